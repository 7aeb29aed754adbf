"""Declarations that many tests share: windows by their length, and GroupBys over events."""

from collections.abc import Sequence
from typing import Any

from chronon_beam.api import EventSource, GroupBy, Query, Source, TimeUnit, Window, select

UNITS = {"m": TimeUnit.MINUTES, "h": TimeUnit.HOURS, "d": TimeUnit.DAYS}


def window(length: str) -> Window:
    """The window of a length such as `6h` or `30d`."""
    return Window(int(length[:-1]), UNITS[length[-1]])


def windows(*lengths: str) -> list[Window]:
    return [window(length) for length in lengths]


def events(*columns: str, time_column: str = "ts") -> Any:
    """A source of events whose query selects these columns, or has no selects."""
    query = Query(select(*columns) if columns else None, time_column=time_column)
    return Source(EventSource(query=query))


def group_by(name: str, keys: list[str], aggregations: Sequence[Any], **more: Any) -> Any:
    """A GroupBy over `events()`, unless `sources` are given."""
    declared = {"sources": events(), **more}
    return GroupBy(name=name, keys=keys, aggregations=aggregations, **declared)
