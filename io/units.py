"""Units of input: what a run has read, so that a later run knows what is still to be read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple


class Unit(NamedTuple):
    """A stretch of one file.

    Attributes:
        path: the file. Local paths are absolute and free of links.
        start: the first byte to read; above 0 if an earlier run has read the bytes before it.
        stop: the byte after the last one.
        fingerprint: differs if the bytes from 0 to `stop` differ.
    """

    path: str
    start: int
    stop: int
    fingerprint: str


GoesOn = Callable[[Unit, Unit], bool]
"""Takes the unit that was read of a file and the file as it is now. Gives whether the file still
begins with that unit."""


class ChangedFile(ValueError):
    """A file that was read has been changed since, so its events cannot be added."""


def furthest(units: Iterable[Unit]) -> dict[str, Unit]:
    """The unit of each file that reaches furthest, by path."""
    found: dict[str, Unit] = {}
    for unit in units:
        if unit.path not in found or found[unit.path].stop < unit.stop:
            found[unit.path] = unit
    return found


def unread(now: Sequence[Unit], read: Mapping[str, Unit], goes_on: GoesOn) -> list[Unit]:
    """The units that are still to be read.

    Args:
        now: the files as they are now, each from its start.
        read: what has been read of each file, by path.
        goes_on: compares what was read of a file with the file.

    Raises:
        ChangedFile: a file that was read has been changed other than by appended lines.
    """
    left: list[Unit] = []
    for unit in now:
        before = read.get(unit.path)
        if before is None or before.stop == 0:
            left.append(unit)
        elif before.fingerprint != unit.fingerprint or before.stop != unit.stop:
            if before.stop >= unit.stop or not goes_on(before, unit):
                raise ChangedFile(_changed(before, unit))
            left.append(unit._replace(start=before.stop))
    return left


def _changed(before: Unit, now: Unit) -> str:
    return (
        f"{now.path} was read by an earlier run ({before.stop:,} bytes) and is another file now "
        f"({now.stop:,} bytes): what it holds cannot be told from what was counted. Only JSON "
        "lines that are not compressed may grow, by whole lines. Give new events a file with a "
        "name of its own, or start anew with --existing=replace"
    )


def covers(mine: Iterable[Unit], theirs: Iterable[Unit], goes_on: GoesOn) -> bool:
    """Whether `mine` holds every event of `theirs`."""
    by_path = {unit.path: unit for unit in mine}
    for unit in theirs:
        own = by_path.get(unit.path)
        if own is None or own.start != unit.start or own.stop < unit.stop:
            return False
        if own.fingerprint != unit.fingerprint and not goes_on(unit, own):
            return False
    return True
