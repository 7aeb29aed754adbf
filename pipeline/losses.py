"""Whether a job that ran to its end has failed, because of what it could not read or write."""

from collections.abc import Iterator

from chronon_beam.api.counts import UNREAD, dead
from chronon_beam.pipeline.max_dead import MaxDead
from chronon_beam.pipeline.summary import Totals

_SHOWN = 5
"""How many reasons the message has for input that could not be read."""


def losses(totals: Totals, max_dead: MaxDead, allow_unread: bool) -> list[str]:
    """The reasons why a job has failed, each with its remedy; an empty list if it has not.

    Args:
        totals: the counts of the job.
        max_dead: the limit for dead letters of events and rows.
        allow_unread: whether input may be left unread.
    """
    found = [] if allow_unread else list(_unread(totals))
    if lost := totals[dead("Write")]:
        found.append(
            f"{lost:,} requests could not be written: the dead letters say why; mend that, and run "
            "the command again"
        )
    if max_dead.exceeded(totals.dead, totals.events):
        found.append(
            f"{totals.dead:,} of {totals.events:,} events are dead letters, more than "
            f"--max_dead allows ({max_dead}): see the dead letters for the reasons"
        )
    return found


def _unread(totals: Totals) -> Iterator[str]:
    lost = totals[dead("Read")]
    if not lost:
        return
    reasons = sorted(name.removeprefix(UNREAD) for name in totals.counts if name.startswith(UNREAD))
    reasons = [reason for reason in reasons if totals[UNREAD + reason]]
    shown = "; ".join(reasons[:_SHOWN])
    more = f"; and {len(reasons) - _SHOWN:,} or more others" if len(reasons) > _SHOWN else ""
    yield (
        f"input could not be read to its end: {shown}{more}. Mend the input and run the command "
        "again, or take what could be read with --allow_unread"
    )
