"""Declarations that many tests share: windows by their length, and GroupBys over events."""

from collections.abc import Sequence
from typing import Any

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import (
    Aggregation,
    EventSource,
    GroupBy,
    Query,
    Source,
    TimeUnit,
    Window,
    select,
)
from chronon_beam.api.data_types import DOUBLE, LONG, STRING

UNITS = {"m": TimeUnit.MINUTES, "h": TimeUnit.HOURS, "d": TimeUnit.DAYS}


def window(length: str) -> Window:
    """The window of a length such as `6h` or `30d`."""
    return Window(int(length[:-1]), UNITS[length[-1]])


def windows(*lengths: str) -> list[Window]:
    return [window(length) for length in lengths]


def events(
    *columns: str,
    time_column: str = "ts",
    wheres: Sequence[str] = (),
    topic: str | None = None,
    table: str | None = None,
    **expressions: str,
) -> Any:
    """A source of events whose query selects these columns and expressions, or has no selects."""
    selects = select(*columns, **expressions) if columns or expressions else None
    query = Query(selects, list(wheres) or None, time_column=time_column)
    return Source(EventSource(table, topic, query))


def group_by(name: str, keys: list[str], aggregations: Sequence[Any], **more: Any) -> Any:
    """A GroupBy over `events()`, unless `sources` are given."""
    declared = {"sources": events(), **more}
    return GroupBy(name=name, keys=keys, aggregations=aggregations, **declared)


def plan_over_six_hours(name: str, *operations: Any) -> Plan:
    """Events of a key `k` at a time `t` with a number `d`; each operation aggregates six hours."""
    aggregations = [Aggregation("d", operation, windows("6h")) for operation in operations]
    declared = group_by(name, ["k"], aggregations, sources=events("k", "d", time_column="t"))
    return Plan(declared, {"k": STRING, "d": DOUBLE, "ts": LONG})
