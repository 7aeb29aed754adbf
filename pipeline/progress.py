"""Counts of what the stages do: Beam counters, a line while it works, a summary.

The process's own tally feeds the progress line where workers run in
the launcher's process (Direct, Flink with LOOPBACK); the summary takes Beam's committed counters
where the runner gives them, since a retried bundle is tallied twice.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from threading import Event, Thread
from typing import Any, TextIO

from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.runners.runner import PipelineResult

NAMESPACE = "chronon"

Counts = Mapping[str, int]

tally: Counter[str] = Counter()
"""What this process has counted since it started."""


@cache
def _counter(name: str) -> Any:
    return Metrics.counter(NAMESPACE, name)


def count(name: str, number: int) -> None:
    """What the stages of a job count with (`api.counts`)."""
    if number:
        _counter(name).inc(number)
        tally[name] += number


def committed(result: PipelineResult, since: Counts) -> dict[str, int]:
    """The job's counts: Beam's, or where it has none this process's own since `since`."""
    try:
        found = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))["counters"]
    except (NotImplementedError, AttributeError):
        found = []
    totals: Counter[str] = Counter()
    for metric in found:
        totals[metric.key.metric.name] += metric.result
    return dict(totals) or tallied_since(since)


def tallied_since(since: Counts) -> dict[str, int]:
    """What this process has counted since a copy of `tally` was taken."""
    return {name: number - since.get(name, 0) for name, number in tally.items()}


class ProgressLine:
    """Prints the counts every few seconds, until it is left; a context manager.

    Args:
        counts: gives them; None where workers in other processes have them.
        interval_s: seconds between two lines.
        to: where lines go; stderr unless it is given.
    """

    _SHOWN = ("messages", "rows", "tiles", "late", "dead", "written")

    def __init__(
        self, counts: Callable[[], Counts | None], interval_s: float = 2.0, to: TextIO | None = None
    ) -> None:
        self._counts = counts
        self._interval_s = interval_s
        self._to = to or sys.stderr
        self._done = Event()
        self._thread = Thread(target=self._show_until_done, name="progress", daemon=True)

    def __enter__(self) -> "ProgressLine":
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._done.set()
        self._thread.join()

    def _show_until_done(self) -> None:
        seen, at = 0, self._began
        while not self._done.wait(self._interval_s):
            counts, now = self._counts(), time.monotonic()
            if counts is None:
                print(self._waiting(now - self._began), file=self._to, flush=True)
                continue
            messages = counts.get("messages", 0)
            rate = (messages - seen) / (now - at)
            seen, at = messages, now
            print(self._line(counts, now - self._began, rate), file=self._to, flush=True)

    @staticmethod
    def _waiting(elapsed_s: float) -> str:
        return f"[{elapsed_s:5.0f} s] running; its workers' counts come with the summary"

    def _line(self, counts: Counts, elapsed_s: float, rate: float) -> str:
        shown = "  ".join(
            f"{'events' if name == 'messages' else name} {counts.get(name, 0):,}"
            for name in self._SHOWN
        )
        return f"[{elapsed_s:5.0f} s] {shown}  {rate:,.0f} events/s"


def summary(counts: Counts, elapsed_s: float) -> str:
    """What the job did, and that nothing is missing."""
    get = counts.get
    return (
        f"{_taken(counts, elapsed_s)}\n"
        f"  {get('tiles', 0):,} tiles, {get('late', 0):,} late events, "
        f"{get('written', 0):,} writes"
    )


def upload_summary(counts: Counts, elapsed_s: float) -> str:
    """What an upload did, and that nothing is missing."""
    get = counts.get
    return (
        f"{_taken(counts, elapsed_s)}\n"
        f"  {get('outside', 0):,} rows in no window or after the batch's end, "
        f"{get('written', 0):,} keys written"
    )


def _taken(counts: Counts, elapsed_s: float) -> str:
    get = counts.get
    return (
        f"{get('messages', 0):,} events in {elapsed_s:.1f} s, start-up included\n"
        f"  {get('rows', 0):,} rows, {get('filtered', 0):,} events filtered out, "
        f"{get('dead', 0):,} dead letters"
    )
