"""How a job is doing by its counts so far: one live line on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Mapping
from threading import Event, Thread
from typing import TextIO

from tqdm import tqdm

from chronon_beam.api.counts import Metric
from chronon_beam.pipeline.summary import Totals

_LIVE_S, _PLAIN_S = 0.5, 2.0
"""Seconds between two states of a live line, and between two plain lines."""

_MOVING = ("events", "tiles", "written")
"""What a rate is told of: the first of them that has grown."""


class ProgressLine:
    """Shows the counts every now and then; a context manager, which stops it.

    Args:
        counts: gives the counts so far; None where workers in other processes have them.
        interval_s: seconds between two lines; of a terminal fewer unless it is given.
        to: where lines go; stderr unless it is given.
    """

    def __init__(
        self,
        counts: Callable[[], Mapping[str, int] | None],
        interval_s: float | None = None,
        to: TextIO | None = None,
    ) -> None:
        self._counts = counts
        self._to = to or sys.stderr
        self._is_live = self._to.isatty()
        self._interval_s = interval_s or (_LIVE_S if self._is_live else _PLAIN_S)
        self._done = Event()
        self._thread = Thread(target=self._show_until_done, name="progress", daemon=True)

    def __enter__(self) -> "ProgressLine":
        self._began = self._at = time.monotonic()
        self._seen = dict.fromkeys(_MOVING, 0)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._done.set()
        self._thread.join()

    def _show_until_done(self) -> None:
        if not self._is_live:
            self._repeat(lambda line: print(line, file=self._to, flush=True))
            return
        with tqdm(bar_format="{desc}", file=self._to, leave=False, dynamic_ncols=True) as live:
            self._repeat(live.set_description_str)

    def _repeat(self, show: Callable[[str], object]) -> None:
        while not self._done.wait(self._interval_s):
            counts, now = self._counts(), time.monotonic()
            text = _ELSEWHERE if counts is None else self._text(numbers_of(counts), now)
            show(f"[{now - self._began:5.0f} s] {text}")

    def _text(self, numbers: Mapping[str, int], now: float) -> str:
        grown = {name: numbers[name] - self._seen[name] for name in _MOVING}
        moving = next((name for name in _MOVING if grown[name]), _MOVING[0])
        rate = grown[moving] / (now - self._at)
        self._at, self._seen = now, {name: numbers[name] for name in _MOVING}
        shown = "  ".join(f"{name} {number:,}" for name, number in numbers.items())
        return f"{shown}  {rate:,.0f} {moving}/s"


_ELSEWHERE = "running; its workers' counts come with the summary"


def numbers_of(counts: Mapping[str, int]) -> dict[str, int]:
    """What is shown of a job's counts, under the names that it is shown with."""
    totals = Totals(counts)
    return {
        "events": totals[Metric.MESSAGES],
        "rows": totals.rows,
        "tiles": totals[Metric.TILES],
        "late": totals[Metric.LATE],
        "dead": totals.dead,
        "written": totals[Metric.WRITTEN],
    }
