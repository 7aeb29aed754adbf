"""Sums up a job in a few lines whose numbers add up, so that no event can go missing unseen.

    events + extra_rows = rows + filtered + dead

where `rows` are the rows that were aggregated or stored, and `dead` are the dead letters of the
steps that take events and rows (Decode, Evaluate, and Tile, Convert or Fold). Dead letters of other
steps stand for other things (input that could not be read, requests, batch values), and have lines
of their own.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chronon_beam.api.counts import Metric, dead
from chronon_beam.pipeline.event_times import event_times
from chronon_beam.pipeline.max_dead import MaxDead

_EVENT_STEPS = ("Decode", "Evaluate")
_ROW_STEPS = ("Tile", "Convert", "Fold")
_OTHERS = {
    "Read": "dead letters of input that could not be read",
    "Delete": "rows that were taken back from some columns only",
    "Unite": "batch values that could not be made",
    "Write": "requests that could not be written",
}
"""What the dead letters of other steps are about."""

_DEFAULT = MaxDead()


@dataclass(frozen=True)
class Totals:
    """The counts of a job, by the names of `api.counts`."""

    counts: Mapping[str, int]

    def __getitem__(self, name: str) -> int:
        return self.counts.get(name, 0)

    @property
    def rows(self) -> int:
        """Rows that were aggregated or stored."""
        return self[Metric.ROWS] - sum(self[dead(step)] for step in _ROW_STEPS)

    @property
    def events(self) -> int:
        """Events that were read; an event of several rows counts once per row."""
        return self[Metric.MESSAGES] + self[Metric.EXTRA_ROWS]

    @property
    def dead_by_step(self) -> dict[str, int]:
        """Dead letters of events and rows, by step; steps without any are left out."""
        numbers = {step: self[dead(step)] for step in (*_EVENT_STEPS, *_ROW_STEPS)}
        return {step: number for step, number in numbers.items() if number}

    @property
    def dead(self) -> int:
        """Dead letters of events and rows."""
        return sum(self.dead_by_step.values())

    @property
    def missing(self) -> int:
        """Events that no other count accounts for; 0 unless something is wrong."""
        known = self.rows + self[Metric.FILTERED] + self.dead
        return self.events - known


def summary(counts: Mapping[str, int], elapsed_s: float, max_dead: MaxDead = _DEFAULT) -> str:
    """The summary of a job that writes tiles or rows."""
    totals = Totals(counts)
    stored = (
        f"  {totals[Metric.TILES]:,} tiles, {totals[Metric.LATE]:,} late events, "
        f"{totals[Metric.WRITTEN]:,} writes"
    )
    return _text(totals, stored, elapsed_s, max_dead)


def upload_summary(
    counts: Mapping[str, int], elapsed_s: float, max_dead: MaxDead = _DEFAULT
) -> str:
    """The summary of an upload."""
    totals = Totals(counts)
    stored = (
        f"  {totals[Metric.OUTSIDE]:,} rows in no window or after the batch's end, "
        f"{totals[Metric.WRITTEN]:,} keys written"
    )
    return _text(totals, stored, elapsed_s, max_dead)


def _text(totals: Totals, stored: str, elapsed_s: float, max_dead: MaxDead) -> str:
    lines = [*_taken(totals, elapsed_s), stored, *_others(totals), *_limit(totals, max_dead)]
    return "\n".join([*lines, *_times(totals)])


def _taken(totals: Totals, elapsed_s: float) -> Iterator[str]:
    yield f"{totals[Metric.MESSAGES]:,} events in {elapsed_s:.1f} s, start-up included"
    extra = totals[Metric.EXTRA_ROWS]
    more = f" ({extra:,} more than one per event)" if extra else ""
    steps = ", ".join(f"{step} {number:,}" for step, number in totals.dead_by_step.items())
    by_step = f" ({steps})" if steps else ""
    yield (
        f"  {totals.rows:,} rows{more}, {totals[Metric.FILTERED]:,} events filtered out, "
        f"{totals.dead:,} dead letters{by_step}"
    )
    if totals.missing:
        yield f"  {totals.missing:,} events are unaccounted for: please report this"


def _limit(totals: Totals, max_dead: MaxDead) -> Iterator[str]:
    if totals.dead:
        share = 100 * totals.dead / max(totals.events, 1)
        yield f"  {share:.3g} % of the events are dead; --max_dead is {max_dead}"


def _times(totals: Totals) -> Iterator[str]:
    if Metric.EARLIEST_S in totals.counts and Metric.LATEST_S in totals.counts:
        yield from event_times(totals[Metric.EARLIEST_S], totals[Metric.LATEST_S], time.time())


def _others(totals: Totals) -> Iterator[str]:
    if totals[Metric.DEAD_REPEATED]:
        yield f"  {totals[Metric.DEAD_REPEATED]:,} more dead letters, of further tiles of such rows"
    if totals[Metric.AHEAD]:
        yield f"  {totals[Metric.AHEAD]:,} records with a time too far ahead to close any tile"
    for step, what in _OTHERS.items():
        if totals[dead(step)]:
            yield f"  {totals[dead(step)]:,} {what}"
