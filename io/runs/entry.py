"""Decides how a new run enters a dataset: what it has to read, and what happens to earlier runs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chronon_beam.io.runs.ledger import Run, State
from chronon_beam.io.units import GoesOn, covers, furthest, unread

MERGE, REPLACE, REFUSE = "merge", "replace", "refuse"
"""What a user may choose to do about what is in the dataset."""


class EntryRefused(ValueError):
    """The run would count events twice, lose some, or mix two definitions."""


@dataclass(frozen=True)
class Dataset:
    """What is in a dataset before a run enters it.

    Attributes:
        name: for example `DEMO_ICE_CREAM_STREAMING`.
        runs: see `Ledger.runs`.
        empty: whether the dataset holds no value.
    """

    name: str
    runs: Sequence[Run]
    empty: bool


@dataclass(frozen=True)
class Arrival:
    """A run that wants to enter a dataset.

    Attributes:
        run: as it would be if it were alone; its units are the files as they are now.
        existing: what the user has chosen (`MERGE` and so on), or None.
        knows_units: whether the source can tell what it reads.
        tiled: whether the run writes tiles, which are replaced, or rows, which have identities.
        continues: whether a live job goes on from the state of the one before it.
    """

    run: Run
    existing: str | None = None
    knows_units: bool = True
    tiled: bool = True
    continues: bool = False


@dataclass(frozen=True)
class Entry:
    """What a run does when it enters.

    Attributes:
        run: the run as it is noted in the ledger.
        idle: whether earlier runs have read all that there is, so that nothing is done.
        takes_back: unfinished runs; what they have written is undone first.
        continues: see `Arrival.continues`.
    """

    run: Run
    idle: bool = False
    takes_back: tuple[Run, ...] = ()
    continues: bool = False


def enter(arrival: Arrival, dataset: Dataset, goes_on: GoesOn) -> Entry:
    """Decide how a run enters.

    Args:
        arrival: the run.
        dataset: what is in the dataset.
        goes_on: see `unread`.

    Raises:
        EntryRefused, ChangedFile: the run must not enter; the message has the reason and a remedy.
    """
    _check_name(arrival.run, dataset)
    if arrival.existing == REPLACE and arrival.continues:
        raise EntryRefused(_ANEW_WITH_STATE.format(dataset.name))
    if arrival.existing == REPLACE:
        return Entry(_clearing(arrival.run, dataset.runs))
    standing = [run for run in dataset.runs if run.standing]
    unfinished = [run for run in dataset.runs if not run.standing]
    _check_choice(arrival, dataset, standing, unfinished)
    if arrival.continues:
        return Entry(_continued(arrival.run, dataset.runs), continues=True)
    if not standing and (dataset.empty or _all_alone(unfinished)):
        return Entry(_alone(arrival.run, unfinished, goes_on))
    return _beside(arrival, standing, unfinished, goes_on)


def _all_alone(unfinished: list[Run]) -> bool:
    return bool(unfinished) and all(run.alone for run in unfinished)


def _alone(run: Run, unfinished: list[Run], goes_on: GoesOn) -> Run:
    """A run into a dataset that is empty, or holds only what unfinished runs have written."""
    anew = replace(_replacing(run, unfinished), alone=True)
    if all(_overwrites(run, each, goes_on) for each in unfinished):
        return anew
    return _clearing(run, unfinished)


def _clearing(run: Run, others: Sequence[Run]) -> Run:
    """A run for which the dataset is emptied of what others have written."""
    return replace(_replacing(run, others), alone=True, state=State.CLEARING)


def _continued(run: Run, runs: Sequence[Run]) -> Run:
    """A job that goes on from a savepoint: its tiles also hold what it read before."""
    former = [each for each in runs if each.live == run.live and each.state is State.STARTED][-1:]
    if not former:
        return replace(run, alone=True)  # its state is all that is known of the tiles
    units, alone, continued = former[0].units, former[0].alone, former[0].continued
    run = replace(run, continued=continued | {former[0].id})
    return replace(_replacing(run, former), units=units, alone=alone)


def _beside(arrival: Arrival, standing: list[Run], unfinished: list[Run], goes_on: GoesOn) -> Entry:
    """A run that adds to what others have written."""
    run = arrival.run
    if arrival.knows_units and not run.live:
        read = furthest(unit for each in standing for unit in each.units)
        run = replace(run, units=tuple(unread(run.units, read, goes_on)))
        if not run.units:
            return Entry(run, idle=True)
    others = tuple(each for each in unfinished if not _overwrites(run, each, goes_on))
    return Entry(_replacing(run, unfinished), takes_back=others)


def _overwrites(run: Run, other: Run, goes_on: GoesOn) -> bool:
    """Whether a run writes every tile of another run again, because it reads the same events."""
    return (
        bool(other.units)
        and other.state is State.STARTED
        and other.definition == run.definition
        and covers(run.units, other.units, goes_on)
    )


def _replacing(run: Run, others: Sequence[Run]) -> Run:
    ids = {each.id for each in others}.union(*(each.replaces for each in others))
    return replace(run, replaces=run.replaces | ids)


def _check_name(run: Run, dataset: Dataset) -> None:
    """Refuse a GroupBy whose name differs only in punctuation: it has the same dataset."""
    for each in dataset.runs:
        if each.group_by != run.group_by:
            raise EntryRefused(
                f"dataset {dataset.name} is that of GroupBy {each.group_by!r}, which has written "
                f"it: {run.group_by!r} differs only in what a dataset's name leaves out. Rename "
                "one of them, or use another store"
            )


def _check_choice(
    arrival: Arrival, dataset: Dataset, standing: list[Run], unfinished: list[Run]
) -> None:
    """Refuse a run that may do harm, unless the user has chosen it."""
    unknown = not (dataset.empty or standing or unfinished)
    if arrival.existing == REFUSE and not (dataset.empty and not standing and not unfinished):
        raise EntryRefused(f"dataset {dataset.name} is not empty, and --existing=refuse was given")
    if arrival.existing == MERGE:
        return
    changed = {name: None for each in standing for name in _changed(each, arrival.run)}
    if arrival.continues:  # the caller compares these one by one, see `fetcher.changes`
        changed = {name: None for name in changed if name not in MAY_CHANGE}
    if changed:
        raise EntryRefused(_OTHER_DEFINITION.format(dataset.name, ", ".join(changed)))
    if arrival.continues:
        return
    if unknown:
        raise EntryRefused(_UNKNOWN.format(dataset.name))
    if not arrival.tiled or not standing:
        return
    if arrival.run.live:
        raise EntryRefused(_LIVE.format(dataset.name))
    if not arrival.knows_units:
        raise EntryRefused(_CANNOT_TELL.format(dataset.name))
    if any(each.live for each in standing):
        raise EntryRefused(_AFTER_LIVE.format(dataset.name))


def _changed(old: Run, new: Run) -> list[str]:
    """The parts of two definitions that differ."""
    names = dict.fromkeys((*new.definition, *old.definition))
    return [name for name in names if old.definition.get(name) != new.definition.get(name)]


MAY_CHANGE = ("selects", "aggregations")
"""The parts of a definition of which a job that goes on with its state may change some."""

_ANEW_WITH_STATE = (
    "--existing=replace empties dataset {}, and --savepoint_path goes on with tiles that were in "
    "it: give one of them"
)

_ANEW = "--existing=replace empties it and starts anew"

_OTHER_DEFINITION = (
    "dataset {} was written with other {}, so values would be a mixture that cannot be told apart "
    f"again. {_ANEW}; another name or store keeps both; --existing=merge mixes them all the same"
)

_UNKNOWN = (
    "dataset {} holds values that no run is noted for, for example of another program or of an "
    "earlier version: what they were made of is not known, so events may count twice. "
    f"--existing=merge adds to them; {_ANEW}"
)

_LIVE = (
    "dataset {} holds tiles of earlier runs, and a live job without its state cannot tell which "
    "events are in them. --savepoint_path goes on with the state of the job before it; "
    "--existing=merge adds to the tiles, which is right if the source begins where the job before "
    f"it stopped; {_ANEW}"
)

_CANNOT_TELL = (
    "dataset {} holds tiles of earlier runs, and this source cannot tell which of its events are "
    f"in them. --existing=merge adds all of them; {_ANEW}"
)

_AFTER_LIVE = (
    "dataset {} holds tiles of a live job, which would overwrite what this run adds if it went on, "
    "and may have read the same events. --existing=merge adds to them, which is right if that job "
    f"has ended for good and had other events; {_ANEW}"
)
