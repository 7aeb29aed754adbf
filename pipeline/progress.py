"""A line every few seconds while a job runs, from its counts so far."""

import sys
import time
from collections.abc import Callable, Mapping
from threading import Event, Thread
from typing import TextIO

from chronon_beam.api.counts import Metric
from chronon_beam.pipeline.summary import Totals


class ProgressLine:
    """Prints the counts every few seconds; a context manager, which stops it.

    Args:
        counts: gives the counts so far; None where workers in other processes have them.
        interval_s: seconds between two lines.
        to: where lines go; stderr unless it is given.
    """

    def __init__(
        self,
        counts: Callable[[], Mapping[str, int] | None],
        interval_s: float = 2.0,
        to: TextIO | None = None,
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
            messages = counts.get(Metric.MESSAGES, 0)
            rate = (messages - seen) / (now - at)
            seen, at = messages, now
            print(self._line(counts, now - self._began, rate), file=self._to, flush=True)

    @staticmethod
    def _waiting(elapsed_s: float) -> str:
        return f"[{elapsed_s:5.0f} s] running; its workers' counts come with the summary"

    def _line(self, counts: Mapping[str, int], elapsed_s: float, rate: float) -> str:
        totals = Totals(counts)
        numbers = {
            "events": totals[Metric.MESSAGES],
            "rows": totals.rows,
            "tiles": totals[Metric.TILES],
            "late": totals[Metric.LATE],
            "dead": totals.dead,
            "written": totals[Metric.WRITTEN],
        }
        shown = "  ".join(f"{name} {number:,}" for name, number in numbers.items())
        return f"[{elapsed_s:5.0f} s] {shown}  {rate:,.0f} events/s"
