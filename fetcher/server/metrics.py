"""The metrics of a server, for Prometheus.

Labels are names of GroupBys and joins that are served. A name from a request is never a label, so
that requests cannot make new labels. With several processes, each process writes to a folder that
all share, and any process gives the metrics of all: `prometheus_client` does so if
`PROMETHEUS_MULTIPROC_DIR` is set when it is imported.
"""

import os
from collections.abc import Sequence
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from chronon_beam.aggregator.merged_tiles import MergedTiles
from chronon_beam.fetcher.batch_cache import BatchCache
from chronon_beam.fetcher.rows import RowAnswer, RowOutcome

NAMED = ("kind", "name")
LATENCIES_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
AGES_S = (1, 5, 15, 60, 300, 900, 3_600, 21_600, 86_400, 604_800)

_ROWS = "Rows, by what became of them"
_LATENCY = "How long requests took"
_AGE = "The time of a query less the start of the newest tile, or the time of the row, that it read"
_NEWEST = "The start of the newest tile that was read, or the time of the newest row"
_LATE = "Rows whose batch values are too old for exact windows"
_BATCH_END = "Where the batch values end that are served"


class Metrics:
    """The metrics of a process, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        own = {"registry": self._registry, "namespace": "chronon_server"}
        counter, gauge = partial(Counter, **own), partial(Gauge, **own)
        histogram = partial(Histogram, labelnames=NAMED, **own)
        newest = partial(gauge, labelnames=NAMED, multiprocess_mode="max")
        self.requests = counter("requests", "Requests", (*NAMED, "status"))
        self.rows = counter("rows", _ROWS, (*NAMED, "outcome"))
        self.latency = histogram("request_seconds", _LATENCY, buckets=LATENCIES_S)
        self.age = histogram("freshness_seconds", _AGE, buckets=AGES_S)
        self.newest = newest("newest_event_timestamp_seconds", _NEWEST)
        self.batch_end = newest("batch_end_timestamp_seconds", _BATCH_END)
        self.late_batch = counter("late_batch_rows", _LATE, NAMED)
        self.part_failures = counter("part_failures", "Parts of joins that failed", NAMED)
        self.refused = counter("refused", "Requests that were refused", ("status",))
        self.batch_cache = CacheMetrics(
            counter("batch_cache_hits", "Batch values that came from memory"),
            counter("batch_cache_misses", "Batch values read from the store"),
        )
        self.merged_tiles = CacheMetrics(
            counter("merged_tiles_hits", "Windows whose merged tiles came from memory"),
            counter("merged_tiles_misses", "Windows whose tiles were merged"),
        )
        self.in_flight = gauge("in_flight", "Fetches at this time", multiprocess_mode="livesum")
        self.catalog_failures = counter("catalog_failures", "Failed reads of the store's catalog")

    def named(self, kind: str, name: str) -> "NamedMetrics":
        """The metrics of one GroupBy or join."""
        return NamedMetrics(self, kind, name)

    def exposition(self) -> bytes:
        """All metrics as Prometheus reads them: of all processes, if there are several."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)
        return generate_latest(together)


class CacheMetrics:
    """The hits and misses of a cache."""

    def __init__(self, hits: Counter, misses: Counter) -> None:
        self._hits, self._misses = hits, misses
        self._counted = (0, 0)

    def add(self, cache: BatchCache | MergedTiles) -> None:
        """Count the hits and misses of a cache since the last call."""
        hits, misses = self._counted
        self._counted = now = (cache.hits, cache.misses)
        if now[0] != hits:
            self._hits.inc(now[0] - hits)
        if now[1] != misses:
            self._misses.inc(now[1] - misses)


class NamedMetrics:
    """The metrics of one GroupBy or join, with their labels looked up once."""

    def __init__(self, metrics: Metrics, kind: str, name: str) -> None:
        self._metrics, self._labels = metrics, (kind, name)
        self._latency = metrics.latency.labels(kind, name)
        self._age = metrics.age.labels(kind, name)
        self._newest = metrics.newest.labels(kind, name)
        self._late = metrics.late_batch.labels(kind, name)
        self._statuses = {200: metrics.requests.labels(kind, name, "200")}
        self._rows = {
            each: metrics.rows.labels(kind, name, each) for each in ("found", "not_found")
        }
        self._newest_ms = 0

    def request(self, status: int, seconds: float) -> None:
        """Count an answered request."""
        counter = self._statuses.get(status)
        if counter is None:
            counter = self._metrics.requests.labels(*self._labels, str(status))
            self._statuses[status] = counter
        counter.inc()
        self._latency.observe(seconds)

    def outcomes(self, outcomes: Sequence[RowOutcome], at_ms: int) -> None:
        """Count rows by their outcomes, and note how new their tiles are."""
        numbers: dict[str, int] = {}
        late = newest_ms = 0
        for each in outcomes:
            outcome = _outcome(each)
            numbers[outcome] = numbers.get(outcome, 0) + 1
            if isinstance(each, RowAnswer):
                late += each.late_batch_ms is not None
                newest_ms = max(newest_ms, each.newest_ms or 0)
        for outcome, number in numbers.items():
            self._count(outcome, number)
        if late:
            self._late.inc(late)
        if newest_ms:
            self._age.observe(max(0.0, (at_ms - newest_ms) / 1000))
            if newest_ms > self._newest_ms:
                self._newest_ms = newest_ms
                self._newest.set(newest_ms / 1000)

    def part_failures(self, failures: int) -> None:
        """Count parts of a join that have failed."""
        if failures:
            self._metrics.part_failures.labels(*self._labels).inc(failures)

    def batch_ends(self, end_ms: int) -> None:
        """Note where the batch values end."""
        self._metrics.batch_end.labels(*self._labels).set(end_ms / 1000)

    def _count(self, outcome: str, number: int) -> None:
        counter = self._rows.get(outcome)
        if counter is None:
            counter = self._metrics.rows.labels(*self._labels, outcome)
            self._rows[outcome] = counter
        counter.inc(number)


def _outcome(outcome: RowOutcome) -> str:
    """The label for the outcome of a row."""
    if isinstance(outcome, RowAnswer):
        return "found" if outcome.known else "not_found"
    return outcome.cause
