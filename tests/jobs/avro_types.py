"""Drawn types of Avro, each with the values that a file may hold of it."""

import datetime as dt
import itertools
from decimal import Decimal
from typing import Any, NamedTuple

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

UTC = dt.UTC
TIMES = st.datetimes(
    dt.datetime(1600, 1, 2),  # noqa: DTZ001, Hypothesis adds the zone
    dt.datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.just(UTC),
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=4)
LONGS = st.integers(-(2**63), 2**63 - 1)
DOUBLES = st.floats(allow_nan=False)
SMALL = st.integers(-9, 9)
_numbers = itertools.count()


class AvroType(NamedTuple):
    """A schema of Avro, and values as fastavro writes them."""

    schema: Any
    values: SearchStrategy[Any]


def logical(base: str, name: str, values: SearchStrategy[Any], **more: int) -> AvroType:
    return AvroType({"type": base, "logicalType": name, **more}, values)


def decimals(precision: int, scale: int) -> SearchStrategy[Decimal]:
    most = 10**precision - 1
    return st.integers(-most, most).map(lambda unscaled: Decimal(unscaled).scaleb(-scale))


PLAIN = [
    AvroType("null", st.none()),
    AvroType("boolean", st.booleans()),
    AvroType("int", st.integers(-(2**31), 2**31 - 1)),
    AvroType("long", LONGS),
    AvroType("float", st.floats(width=32, allow_nan=False)),
    AvroType("double", DOUBLES),
    AvroType("string", TEXTS),
    AvroType("bytes", st.binary(max_size=5)),
    logical("int", "date", st.dates(dt.date(1600, 1, 1))),
    logical(
        "long",
        "timestamp-millis",
        TIMES.map(lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)),
    ),
    logical("long", "timestamp-micros", TIMES),
    logical("long", "local-timestamp-millis", st.integers(-(10**13), 10**14)),
    logical("long", "local-timestamp-micros", st.integers(-(10**16), 10**17)),
    logical("int", "time-millis", st.integers(0, 86_399_999)),
    logical("string", "uuid", st.uuids()),
    logical("bytes", "decimal", decimals(4, 0), precision=4),
    logical("bytes", "decimal", decimals(9, 2), precision=9, scale=2),
    logical("bytes", "decimal", decimals(38, 10), precision=38, scale=10),
]
UNIONS = [
    AvroType(["int", "long"], LONGS),
    AvroType(["null", "int", "long"], st.none() | SMALL),
    AvroType(["float", "double"], DOUBLES),
    AvroType(["int", "string"], SMALL | TEXTS),
    AvroType(["null", "string", "long"], st.none() | TEXTS | LONGS),
    AvroType(["null", "long", "double"], st.none() | SMALL | DOUBLES),
    AvroType(["boolean", "bytes", "string"], st.booleans() | st.binary(max_size=3) | TEXTS),
    AvroType(["string"], TEXTS),
    AvroType([{"type": "array", "items": "int"}, "string"], st.lists(SMALL, max_size=2) | TEXTS),
]
NAMED = [
    ({"type": "enum", "symbols": ["A", "b_c"]}, st.sampled_from(["A", "b_c"])),
    ({"type": "fixed", "size": 3}, st.binary(min_size=3, max_size=3)),
    ({"type": "fixed", "size": 12, "logicalType": "duration"}, st.binary(min_size=12, max_size=12)),
    ({"type": "fixed", "size": 16, "logicalType": "uuid"}, st.uuids().map(lambda u: u.bytes)),
    (
        {"type": "fixed", "size": 9, "logicalType": "decimal", "precision": 18, "scale": 3},
        decimals(18, 3),
    ),
]


def named(schema: dict[str, Any], values: SearchStrategy[Any]) -> AvroType:
    """A type under a name that no other type of a file has."""
    return AvroType({**schema, "name": f"N{next(_numbers)}"}, values)


def nullable(inner: AvroType) -> AvroType:
    if inner.schema == "null" or isinstance(inner.schema, list):
        return inner
    return AvroType(["null", inner.schema], st.none() | inner.values)


def array(inner: AvroType) -> AvroType:
    return AvroType({"type": "array", "items": inner.schema}, st.lists(inner.values, max_size=3))


def mapped(inner: AvroType) -> AvroType:
    """With one key at most: the order of keys is nobody's promise."""
    values = st.dictionaries(st.sampled_from(["k", "l m"]), inner.values, max_size=1)
    return AvroType({"type": "map", "values": inner.schema}, values)


def record(inner: list[AvroType]) -> AvroType:
    fields = [{"name": f"f{at}", "type": each.schema} for at, each in enumerate(inner)]
    values = {f"f{at}": each.values for at, each in enumerate(inner)}
    return named({"type": "record", "fields": fields}, st.fixed_dictionaries(values))


leaves = st.sampled_from(PLAIN) | st.sampled_from(NAMED).map(lambda each: named(*each))
types = st.recursive(
    leaves | st.sampled_from(UNIONS),
    lambda inner: st.one_of(
        *(inner.map(around) for around in (nullable, array, mapped)),
        st.lists(inner, min_size=1, max_size=3).map(record),
    ),
    max_leaves=4,
)
