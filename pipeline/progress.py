"""Shows how a job proceeds, by its counts: one live line on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Mapping
from threading import Event, Thread
from typing import TextIO

from tqdm import tqdm

from chronon_beam.api.counts import Metric
from chronon_beam.pipeline.summary import Totals

_LIVE_S, _PLAIN_S = 0.5, 2.0
"""Seconds between two updates of a live line, and between two plain lines."""

_MOVING = ("events", "tiles", "written")
"""Counts that may be shown with a rate; the first one that has grown is."""


class ProgressLine:
    """Shows the counts every few seconds, as long as the context lasts.

    Args:
        counts: gives the counts so far; None if workers in other processes count.
        group_bys: of how many GroupBys rows, tiles and so on are; they may share the events.
        interval_s: seconds between two lines; by default fewer on a terminal than elsewhere.
        to: where lines go; by default to stderr.
    """

    def __init__(
        self,
        counts: Callable[[], Mapping[str, int] | None],
        group_bys: int = 1,
        interval_s: float | None = None,
        to: TextIO | None = None,
    ) -> None:
        self._counts = counts
        self._of_all = f"of {group_bys} GroupBys: " if group_bys > 1 else ""
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
        events, *others = (f"{name} {number:,}" for name, number in numbers.items())
        return f"{events}  {self._of_all}{'  '.join(others)}  {rate:,.0f} {moving}/s"


_ELSEWHERE = "running; its workers' counts come with the summary"


def numbers_of(counts: Mapping[str, int]) -> dict[str, int]:
    """The numbers to show of a job's counts, by the names to show them under."""
    totals = Totals(counts)
    return {
        "events": totals[Metric.MESSAGES],
        "rows": totals.rows,
        "tiles": totals[Metric.TILES],
        "late": totals[Metric.LATE],
        "dead": totals.dead,
        "written": totals[Metric.WRITTEN],
    }
