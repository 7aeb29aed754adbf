"""What a user sees of the demo: some lines that stay, and two that are live."""

import sys
import time
from collections.abc import Sequence
from typing import TextIO

from tqdm import tqdm

from chronon_beam.fetcher.fetch import Features
from chronon_beam.pipeline.demo.watch import SHOWN, Counts

_LIVE_S, _PLAIN_S = 0.5, 10.0
"""Seconds between two updates on a terminal, and between two pairs of lines elsewhere."""


class Screen:
    """Prints lines; while this context manager is entered, two live lines stay below them.

    Args:
        to: where lines go; by default to standard output.
    """

    def __init__(self, to: TextIO | None = None) -> None:
        self._to = to or sys.stdout
        self._live: list[tqdm] = []
        self._interval_s = _LIVE_S if self._to.isatty() else _PLAIN_S
        self._shown_s = 0.0
        self._lines: Sequence[str] = ()

    def __enter__(self) -> "Screen":
        if self._to.isatty():
            self._live = [
                tqdm(
                    bar_format="{desc}", file=self._to, dynamic_ncols=True, leave=False, position=at
                )
                for at in range(2)
            ]
        return self

    def __exit__(self, *exc_info: object) -> None:
        for line in reversed(self._live):
            line.close()
        if self._live and self._lines:
            self.say("\n".join(self._lines))
        self._live = []

    def say(self, text: str) -> None:
        """Print a line, or several, that stay."""
        tqdm.write(text, file=self._to)
        self._to.flush()

    @property
    def is_due(self) -> bool:
        """Whether the last `show` was long enough ago."""
        return time.monotonic() - self._shown_s >= self._interval_s

    def show(self, lines: Sequence[str]) -> None:
        """Replace the live lines, of which the last stay; without a terminal, print them."""
        self._shown_s = time.monotonic()
        self._lines = lines
        for at, live in enumerate(self._live):
            live.set_description_str(lines[at] if at < len(lines) else "")
        if lines and not self._live:
            self.say("\n".join(lines))


def starting_line(elapsed_s: float, said: str) -> str:
    """While the job starts: what it said last."""
    return f"{_clock(elapsed_s)} the job starts{f': {said}' if said else ''}"


def counts_line(elapsed_s: float, counts: Counts) -> str:
    """How far the job has come, and how fresh its features are.

    >>> from chronon_beam.pipeline.demo.freshness import Percentiles
    >>> counts_line(83, Counts(4150, 4138, 8, Percentiles(94.2, 211.9)))
    '[ 1:23] orders 4,150  stored 4,138  dead 8  lag 4  fresh in 94 ms (p99 212 ms)'
    """
    took = counts.fresh
    fresh = f"fresh in {took.p50_ms:,.0f} ms (p99 {took.p99_ms:,.0f} ms)" if took else "fresh in ?"
    return (
        f"{_clock(elapsed_s)} orders {counts.logged:,}  stored {counts.stored:,}  "
        f"dead {counts.dead:,}  lag {counts.lag:,}  {fresh}"
    )


def features_line(features: Features) -> str:
    """The features of the customer who is shown, in words.

    >>> features_line({"flavor_count_1h": 23, "flavor_last_1h": "mango"})
    '        Alice: 23 orders in the last hour, the last one mango'
    """
    number, flavor = features["flavor_count_1h"], features["flavor_last_1h"]
    return f"        {SHOWN}: {number} orders in the last hour, the last one {flavor}"


def names_row(features: Features) -> str:
    """The head of a table of features: their names."""
    return "".join(f"  {name}" for name in features)


def values_row(features: Features) -> str:
    r"""A row of that table: the values, each under the end of its name.

    >>> features: Features = {"flavor_count_1h": 23, "flavor_last_1h": "mango"}
    >>> print(names_row(features), values_row(features), sep="\n")
      flavor_count_1h  flavor_last_1h
                   23           mango
    """
    return "".join(f"  {value!s:>{len(name)}}" for name, value in features.items())


def _clock(elapsed_s: float) -> str:
    minutes, seconds = divmod(int(elapsed_s), 60)
    return f"[{minutes:2}:{seconds:02}]"
