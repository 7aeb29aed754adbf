"""Reading back: from the tiles or rows of a key to the values of its features.

Source: `ai.chronon.online.FetcherBase.constructGroupByResponse`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import islice

from chronon_beam.aggregator.layout import Span
from chronon_beam.aggregator.merged_tiles import MergedTiles
from chronon_beam.aggregator.plan import Plan
from chronon_beam.aggregator.sawtooth import (
    NO_BATCH,
    Batch,
    Mutation,
    Sawtooth,
    TileFamily,
    WindowedRows,
    is_degraded,
)
from chronon_beam.api.derivations import rename_only, renamed, time_values
from chronon_beam.api.group_by import GroupByError
from chronon_beam.api.records import MIN_MS, GetRequest, TimedValue
from chronon_beam.fetcher.batch_info import VALUE_MS, BatchInfo
from chronon_beam.fetcher.entity_key import Key, check_key
from chronon_beam.fetcher.readable_store import ReadableStore
from chronon_beam.fetcher.serving_info import ServingInfo

Features = dict[str, object]
"""Feature values by name; None where there is no value."""

Derive = Callable[[Sequence[Mapping[str, object]]], list[Features]]
"""Rows of keys, features, `ts` and `ds` to derived features: `pipeline.derive` makes one."""


class QueryBeforeBatch(ValueError):
    """A query at a time before the end of the batch values, which cannot be split by time."""


@dataclass(frozen=True)
class Reading:
    """The requests of one fetch to the store, and how its result is made of the answers.

    Attributes:
        requests: the requests of the first key, then those of the second key, and so on.
        requests_per_key: how many of the requests belong to each key.
        features: a function from the answers to a key's requests to the key's feature values.
        derive: a function from the feature values of all keys to the result of the fetch.
    """

    requests: list[GetRequest]
    requests_per_key: int
    features: Callable[[list[list[TimedValue]]], Features]
    derive: Callable[[list[Features]], list[Features]]

    def values(self, found: list[list[TimedValue]]) -> list[Features]:
        """Feature values of each key, from the answers to all requests."""
        each = self.requests_per_key
        starts = range(0, len(found), each)
        return self.derive([self.features(found[at : at + each]) for at in starts])


async def fetch_together(
    store: ReadableStore, asked: Sequence[tuple["Fetcher", Sequence[Key]]], at_ms: int
) -> list[list[Features]]:
    """Fetch keys of several GroupBys by one read of the store that they share.

    Args:
        store: holds the values of all these GroupBys.
        asked: (fetcher, keys to fetch) of each GroupBy.
        at_ms: the time of the query.

    Returns:
        The result of each fetcher's `fetch`; the errors are those of `fetch` too.
    """
    readings = [fetcher.reading(keys, at_ms) for fetcher, keys in asked]
    found = iter(
        await store.multi_get_async([request for each in readings for request in each.requests])
    )
    return [reading.values(list(islice(found, len(reading.requests)))) for reading in readings]


@dataclass(frozen=True)
class Fetcher:
    """Fetches the features of one GroupBy.

    Attributes:
        plan: the GroupBy and the types of its columns.
        store: where the job has written.
        tiled: whether the store holds tiles, or rows.
        batch: the batch values to merge with tiles or rows; None without an upload.
        streamed: whether the store holds tiles or rows; False for batch values alone.
        derive: makes the features that the GroupBy derives; not needed for renames.
        merged: a cache of the IRs of merged tiles; None merges the tiles for each query.
        counts: under `degraded`, how many answers used a batch that is too old for exact windows.
    """

    plan: Plan
    store: ReadableStore
    tiled: bool = True
    batch: BatchInfo | None = None
    streamed: bool = True
    derive: Derive | None = None
    merged: MergedTiles | None = None
    counts: Counter[str] = field(default_factory=Counter, compare=False)

    @classmethod
    def of(
        cls,
        info: ServingInfo,
        store: ReadableStore,
        derive: Derive | None = None,
        merged: MergedTiles | None = None,
    ) -> "Fetcher":
        """The fetcher for what the jobs have noted in the store."""
        return cls(info.plan, store, info.tiled, info.batch, info.streamed, derive, merged)

    def fetch(self, keys: Sequence[Key], at_ms: int) -> list[Features]:
        """The features of each key at `at_ms`, derived if the GroupBy derives; None for no value.

        Raises:
            GroupByError: a derivation needs Spark, and there is no `derive`.
            KeyMismatch: a key column is missing, unknown or of the wrong type.
            QueryBeforeBatch: `at_ms` is before the end of the batch values.
            AvroError: the store holds bytes that are not of this GroupBy.
        """
        reading = self.reading(keys, at_ms)
        return reading.values(self.store.multi_get(reading.requests))

    async def fetch_async(self, keys: Sequence[Key], at_ms: int) -> list[Features]:
        """`fetch` for an event loop, which runs other tasks while the store answers."""
        reading = self.reading(keys, at_ms)
        return reading.values(await self.store.multi_get_async(reading.requests))

    def reading(self, keys: Sequence[Key], at_ms: int) -> "Reading":
        """The reads of `fetch`, and what it does with the answers; raises as `fetch` does."""
        key_bytes = [self.key_bytes(key) for key in keys]
        streams = self._requests(at_ms) if self.streamed else []
        batches = [] if self.batch is None else [self._batch_request(self.batch, at_ms)]
        each = [*batches, *streams]
        return Reading(
            [request._replace(key_bytes=key) for key in key_bytes for request in each],
            len(each),
            lambda answer: self._values(answer, streams, at_ms),
            lambda values: self._derived(keys, values, at_ms),
        )

    def _derived(self, keys: Sequence[Key], values: list[Features], at_ms: int) -> list[Features]:
        derivations, names = self.plan.group_by.derivations, [*values[0]] if values else []
        if not derivations:
            return values
        times = time_values(at_ms)
        known = [{**key, **found, **times} for key, found in zip(keys, values, strict=True)]
        if self.derive is not None:
            return self.derive(known)
        if not rename_only(derivations):
            raise GroupByError(
                f"{self.plan.group_by.name}: its derivations are Spark expressions: give the "
                "fetcher derive=spark_derivations(plan) of chronon_beam.pipeline.derive"
            )
        return [renamed(derivations, row, names) for row in known]

    def _batch_request(self, batch: BatchInfo, at_ms: int) -> GetRequest:
        if at_ms < batch.end_ms and not batch.is_snapshot:
            raise QueryBeforeBatch(
                f"a query at {at_ms} is before the end of the batch values at {batch.end_ms} "
                f"({_minute(batch.end_ms)}): ask for a later time"
            )
        dataset = batch.plan.group_by.batch_dataset
        return GetRequest(b"", dataset, batch.values_ms, batch.values_ms + 1, VALUE_MS)

    def _requests(self, at_ms: int) -> list[GetRequest]:
        """The requests for tiles or rows that each key needs, with an empty key."""
        dataset = self.plan.group_by.streaming_dataset
        # A feature that is not in the batch needs tiles or rows of all times.
        since_ms = self.batch.end_ms if self.batch and not self._batch_lacks_feature else MIN_MS
        if not self.tiled:
            from_ms = max(self._earliest_ms(at_ms), since_ms)
            return [GetRequest(b"", dataset, from_ms, at_ms, 0)]
        return [
            GetRequest(b"", dataset, max(span.start_ms, since_ms), span.end_ms, span.spec.size_ms)
            for span in self.reads(at_ms)
        ]

    def _values(
        self, answer: list[list[TimedValue]], streams: list[GetRequest], at_ms: int
    ) -> Features:
        """The features of a key, from its batch value (if there are any) and its tiles or rows."""
        streamed, batch = answer[len(answer) - len(streams) :], NO_BATCH
        if self.batch is not None:
            value = answer[0][0].value_bytes if answer[0] else None
            if self.batch.is_snapshot:
                return self._snapshot(value)
            ir = None if value is None else self.batch.plan.batch_irs.decode(value)
            features = self.batch.plan.group_by.features
            batch = Batch(self.batch.end_ms, ir, features, value or b"")
            self.counts["degraded"] += is_degraded(self.plan.group_by, batch.end_ms, at_ms)
        if not self.tiled:
            return self._of_rows([value for timed in streamed for value in timed], at_ms, batch)
        families = {
            request.tile_size_ms: self._family(timed)
            for request, timed in zip(streams, streamed, strict=True)
        }
        return self._sawtooth.of_tiles(families, self.plan.specs, at_ms, batch)

    def _family(self, timed: list[TimedValue]) -> TileFamily:
        tiles, starts = zip(*timed, strict=True) if timed else ((), ())
        return TileFamily(starts, tiles, self.plan.tiles.accumulators)

    def _of_rows(self, stored: list[TimedValue], at_ms: int, batch: Batch) -> Features:
        rows = [(value.ts_ms, self.plan.rows.decode(value.value_bytes)) for value in stored]
        if not self.plan.group_by.is_entities:
            return self._windowed_rows.of_rows(rows, at_ms, batch)
        mutations = [Mutation(ms, row[-2], (*row[:-2], row[-1])) for ms, row in rows]
        return self._windowed_rows.of_mutations(mutations, at_ms, batch)

    def _snapshot(self, value: bytes | None) -> Features:
        """The features in a batch value of accuracy SNAPSHOT, which holds the features as such."""
        assert self.batch is not None
        written = self.batch.plan
        values = written.outputs.decode(value) if value else [None] * len(written.group_by.features)
        parts = [feature.part for feature in written.group_by.features]
        known = dict(zip(parts, values, strict=True))
        return {each.name: known.get(each.part) for each in self.plan.group_by.features}

    @cached_property
    def _batch_lacks_feature(self) -> bool:
        """Whether the batch lacks a feature, because it was made for an earlier declaration."""
        held = {each.part for each in self.batch.plan.group_by.features} if self.batch else set()
        return any(each.part not in held for each in self.plan.group_by.features)

    def key_bytes(self, key: Key) -> bytes:
        """The bytes under which a key is stored; raises KeyMismatch as `fetch` does."""
        columns = self.plan.keys.columns
        check_key(key, columns)
        return self.plan.keys.encode([key[name] for name in columns])

    @cached_property
    def _sawtooth(self) -> Sawtooth:
        return Sawtooth(self.plan.group_by, self.plan.aggregator.columns, self.merged)

    @cached_property
    def _windowed_rows(self) -> WindowedRows:
        return WindowedRows(self.plan.group_by, self.plan.inputs)

    def reads(self, at_ms: int) -> list[Span]:
        """The tiles that a fetch reads per key: one span per family of tiles."""
        widest: dict[int, Span] = {}
        for span in self._sawtooth.spans(self.plan.specs, at_ms):
            known = widest.get(span.spec.size_ms, span)
            start_ms = min(known.start_ms, span.start_ms)
            widest[span.spec.size_ms] = Span(span.spec, start_ms, max(known.end_ms, span.end_ms))
        return list(widest.values())

    def _earliest_ms(self, at_ms: int) -> int:
        """The earliest time of a row that any feature at `at_ms` may need."""
        if self.plan.group_by.is_entities:
            return MIN_MS  # a row of any age may have changed
        windows = [feature.part.window for feature in self.plan.group_by.features]
        bounded = [window for window in windows if window is not None]
        if len(bounded) < len(windows):
            return MIN_MS
        return min(at_ms - window.millis - window.hop_ms for window in bounded)


def _minute(ms: int) -> str:
    return (datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)).isoformat(
        timespec="minutes"
    )
