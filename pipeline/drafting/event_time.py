"""Finds the column that is the time of an event, and the SQL that makes milliseconds of it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute

from chronon_beam.pipeline.drafting.names import quoted, words_of
from chronon_beam.pipeline.options import UsageError

compute: Any = pyarrow.compute
"""As Any, because Arrow makes these functions at run time, where no type checker sees them."""

_TIME_WORDS = words_of(
    "time timestamp ts date datetime created occurred happened event when at on epoch t day hour "
    "ms millis updated modified"
)
_BEST_WORDS = words_of("event created occurred happened timestamp ts")
_FIRST_MS, _LAST_MS = 631_152_000_000, 4_102_444_800_000
"""The years 1990 and 2100: numbers that are times between them, in some unit, look like times."""

_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?")


class _Unit(NamedTuple):
    """A unit of time: how milliseconds are made of it in Spark SQL and in Python."""

    name: str
    sql: str
    to_ms: Callable[[int], int]


_MILLISECONDS = _Unit("milliseconds", "{}", int)
_UNITS = (
    _MILLISECONDS,
    _Unit("seconds", "{} * 1000", lambda s: int(s * 1000)),
    _Unit("microseconds", "{} DIV 1000", lambda us: int(us // 1000)),
    _Unit("nanoseconds", "{} DIV 1000000", lambda ns: int(ns // 1_000_000)),
)


@dataclass(frozen=True)
class EventTime:
    """The time of an event.

    Attributes:
        column: the column that holds the time; None if the user gave an expression.
        expression: Spark SQL for milliseconds since the epoch.
        why: why this column is taken for the time.
        latest_ms: the latest time in the events that were looked at, if it is known.
        likelihood: how likely the column is the time of an event; a higher number is likelier.
        others: other columns that could be the time.
    """

    column: str | None
    expression: str
    why: str
    latest_ms: int | None = None
    likelihood: int = 0
    others: tuple[str, ...] = ()


def event_time(events: pa.RecordBatch, given: str | None = None) -> EventTime:
    """The time of an event: the column or expression that is `given`, else the likeliest column.

    Raises:
        UsageError: no column looks like a time.
    """
    if given is not None and given not in events.schema.names:
        return EventTime(None, given, "as --time says")
    names: Sequence[str] = events.schema.names if given is None else [given]
    found = [time for name in names if (time := _time_in(name, events.column(name), bool(given)))]
    if not found:
        raise UsageError(
            f"none of the columns {', '.join(names)} looks like a time: say how milliseconds are "
            "made, in Spark SQL, for example "
            "--time \"unix_millis(to_timestamp(day, 'dd/MM/yyyy'))\""
        )
    best = max(found, key=lambda time: time.likelihood)
    others = tuple(time.column for time in found if time.column and time is not best)
    return replace(best, others=others)


def _time_in(name: str, column: pa.Array, sure: bool) -> EventTime | None:
    """A column as the time of an event; None if it does not look like a time and is not `sure`."""
    values = column.drop_null()
    kind, words = column.type, words_of(name)
    named = (2 if words & _TIME_WORDS else 0) + (1 if words & _BEST_WORDS else 0)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _of_temporal(name, values, named + (4 if pa.types.is_timestamp(kind) else 1))
    if pa.types.is_string(kind):
        return _of_text(name, values.to_pylist(), named)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _of_numbers(name, values, named, sure)
    return None


def _of_temporal(name: str, values: pa.Array, likelihood: int) -> EventTime:
    zoned = pa.types.is_timestamp(values.type) and values.type.tz is not None
    column = quoted(name)
    sql = f"unix_millis({column})" if zoned else f"unix_millis(CAST({column} AS TIMESTAMP))"
    latest = compute.max(values.cast(pa.timestamp("ms"), safe=False).cast(pa.int64())).as_py()
    return EventTime(name, sql, f"it is a {values.type}", latest, likelihood)


def _of_text(name: str, texts: list[str], named: int) -> EventTime | None:
    column = quoted(name)
    if texts and all(_ISO.fullmatch(text) for text in texts):
        latest_ms = max(map(_iso_ms, texts))
        sql = f"unix_millis(CAST({column} AS TIMESTAMP))"
        return EventTime(name, sql, f"text like {texts[-1]}", latest_ms, named + 3)
    if texts and named and all(re.fullmatch(r"\d{1,18}", text) for text in texts):
        numbers = [int(text) for text in texts]
        unit = _unit_of(min(numbers), max(numbers))
        if unit is not None:
            sql = unit.sql.format(f"CAST({column} AS BIGINT)")
            latest_ms = unit.to_ms(max(numbers))
            return EventTime(name, sql, f"text that is {unit.name}", latest_ms, named)
    return None


def _iso_ms(text: str) -> int:
    moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(zoned.timestamp() * 1000)


def _of_numbers(name: str, values: pa.Array, named: int, sure: bool) -> EventTime | None:
    least, most = (bound.as_py() for bound in compute.min_max(values).values())
    unit = None if least is None else _unit_of(least, most)
    if unit is None and not (sure or named):
        return None
    likelihood = named + (1 if unit is not None else -1)
    sql = (unit or _MILLISECONDS).sql.format(quoted(name))
    if pa.types.is_floating(values.type):
        sql = f"CAST({sql.replace(' DIV ', ' / ')} AS BIGINT)"
    if unit is None:
        why = f"numbers from {least} to {most}, taken for milliseconds"
        return EventTime(name, sql, why, most if most is None else int(most), likelihood)
    return EventTime(name, sql, f"numbers that are {unit.name}", unit.to_ms(most), likelihood)


def _unit_of(least: float, most: float) -> _Unit | None:
    """The unit in which the numbers from `least` to `most` are times of the years 1990 to 2099."""
    for unit in _UNITS:
        if unit.to_ms(int(least)) >= _FIRST_MS and unit.to_ms(int(most)) < _LAST_MS:
            return unit
    return None
