"""Every operation over every input type that it takes, with events drawn for it."""

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from chronon_beam.aggregator.avro_reader import AvroRecordReader
from chronon_beam.aggregator.columns import Column, column
from chronon_beam.api import Operation
from chronon_beam.api.data_types import (
    BINARY,
    BOOLEAN,
    BYTE,
    DOUBLE,
    FLOAT,
    INT,
    LONG,
    SHORT,
    STRING,
    DataType,
    DecimalType,
    StructType,
    decimal_of,
    list_of,
    map_of,
    struct_of,
)
from chronon_beam.api.dialect import AIRBNB, ZIPLINE, Dialect
from chronon_beam.api.group_by import AggregationPart

NUMBERS = [SHORT, INT, LONG, FLOAT, DOUBLE]
NESTED = [list_of(STRING), map_of(DOUBLE), struct_of("PStruct", (("x", LONG), ("y", STRING)))]
PRICE = decimal_of(38, 4)
ANY = [*NUMBERS, STRING, BINARY, BOOLEAN, BYTE, PRICE]
ORDERED = [*NUMBERS, STRING]
K = (("k", "3"),)
K_OPERATIONS = {Operation.FIRST_K, Operation.LAST_K, Operation.TOP_K, Operation.BOTTOM_K}
# With few values and a large k the sketches are exact, so parts and wholes can be compared.
ARGUMENTS = {
    **dict.fromkeys(K_OPERATIONS, K),
    Operation.UNIQUE_TOP_K: K,
    Operation.BOUNDED_UNIQUE_COUNT: (("k", "5"),),
    Operation.APPROX_PERCENTILE: (("percentiles", "[0, 0.5, 0.9]"),),
    Operation.APPROX_FREQUENT_K: (("k", "20"),),
    Operation.APPROX_HEAVY_HITTERS_K: (("k", "20"),),
    Operation.APPROX_HISTOGRAM_K: (("k", "20"),),
}
RANKED = struct_of("PStruct", (("sort_key", STRING), ("unique_id", LONG), ("x", DOUBLE)))

INPUTS: dict[Operation, list[DataType]] = {
    Operation.COUNT: ANY,
    Operation.SUM: [*NUMBERS, BOOLEAN, PRICE],
    Operation.AVERAGE: [*NUMBERS, PRICE],
    Operation.VARIANCE: [*NUMBERS, PRICE],
    Operation.SKEW: [*NUMBERS, PRICE],
    Operation.KURTOSIS: [*NUMBERS, PRICE],
    Operation.MIN: [*ORDERED, PRICE],
    Operation.MAX: [*ORDERED, PRICE],
    Operation.TOP_K: [*ORDERED, PRICE],
    Operation.BOTTOM_K: [*ORDERED, PRICE],
    Operation.FIRST: [*ANY, *NESTED],
    Operation.LAST: [*ANY, *NESTED],
    Operation.FIRST_K: [*ANY, *NESTED],
    Operation.LAST_K: [*ANY, *NESTED],
    Operation.UNIQUE_COUNT: [*ORDERED, BINARY, PRICE],
    Operation.HISTOGRAM: [STRING],
    Operation.APPROX_UNIQUE_COUNT: [*ORDERED, BINARY, PRICE],
    Operation.APPROX_PERCENTILE: [*NUMBERS, PRICE],
    Operation.BOUNDED_UNIQUE_COUNT: [*ORDERED, BINARY],
    Operation.APPROX_HISTOGRAM_K: ORDERED,
    Operation.APPROX_FREQUENT_K: ORDERED,
    Operation.APPROX_HEAVY_HITTERS_K: ORDERED,
    Operation.UNIQUE_TOP_K: [INT, LONG, STRING, RANKED],
}

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
FLOATS = st.floats(-1000, 1000, width=32)
VALUES: dict[DataType, st.SearchStrategy[Any]] = {
    BYTE: st.integers(-128, 127),
    SHORT: st.integers(-(1 << 15), (1 << 15) - 1),
    INT: st.integers(-(1 << 31), (1 << 31) - 1),
    LONG: st.integers(-(1 << 63), (1 << 63) - 1),
    FLOAT: FLOATS,
    DOUBLE: FLOATS,
    STRING: TEXTS,
    BINARY: st.binary(max_size=6),
    BOOLEAN: st.booleans(),
    PRICE: st.decimals(-(10**12), 10**12, places=4),
    NESTED[0]: st.lists(TEXTS, max_size=3),
    NESTED[1]: st.dictionaries(TEXTS, FLOATS, max_size=3),
    NESTED[2]: st.fixed_dictionaries({"x": st.none() | st.integers(-9, 9), "y": TEXTS}),
    # One struct for an id: of several with one id Chronon keeps the one that came first.
    RANKED: st.integers(0, 99).map(
        lambda i: {"sort_key": f"{i:03}", "unique_id": -i, "x": None if i % 3 else i / 2}
    ),
}

OPERATIONS = pytest.mark.parametrize(
    ("operation", "data_type"),
    [(operation, data_type) for operation, inputs in INPUTS.items() for data_type in inputs],
    ids=lambda drawn: drawn.name,
)
FEW = settings(max_examples=12)


@dataclass(frozen=True)
class Event:
    ts_ms: int
    value: Any


def column_of(operation: Operation, data_type: DataType, bucket: DataType | None = None) -> Column:
    arguments = ARGUMENTS.get(operation, ())
    part = AggregationPart("v", operation, arguments, None, "b" if bucket else None, False)
    return column(part, data_type, bucket, dialect_of(operation, data_type))


def dialect_of(operation: Operation, data_type: DataType) -> Dialect:
    in_airbnb = operation in AIRBNB.operations.values() and not isinstance(data_type, DecimalType)
    return AIRBNB if in_airbnb else ZIPLINE


def aggregated(made: Column, events: list[Event], ir: Any = None) -> Any:
    for event in events:
        if ir is None:
            ir = made.prepare(event.value, event.ts_ms)
        else:
            ir = made.update(ir, event.value, event.ts_ms)
    return ir


def drawn_parts(
    data: st.DataObject, operation: Operation, data_type: DataType
) -> tuple[Column, list[list[Event]]]:
    """A column over an input type, and three runs of events for it."""
    events = drawn_events(data, operation, data_type)
    first, second = sorted(data.draw(st.integers(0, len(events))) for _ in range(2))
    parts = [events[:first], events[first:second], events[second:]]
    return column_of(operation, data_type), parts


def drawn_events(data: st.DataObject, operation: Operation, data_type: DataType) -> list[Event]:
    """Events with distinct times; for moments, numbers that keep their digits."""
    values = VALUES[data_type]
    if operation in {Operation.AVERAGE, Operation.VARIANCE, Operation.SKEW, Operation.KURTOSIS}:
        values = st.integers(-1000, 1000) if data_type in (INT, LONG, SHORT) else FLOATS
        values = values.map(Decimal) if data_type == PRICE else values
    drawn = data.draw(st.lists(values, max_size=9))
    # Nested values cannot be in a set: repr tells them apart as well.
    if operation in K_OPERATIONS or data_type == RANKED:
        drawn = list({repr(value): value for value in drawn}.values())
    times = data.draw(
        st.lists(
            st.integers(-(10**6), 10**13), min_size=len(drawn), max_size=len(drawn), unique=True
        )
    )
    return [Event(ts_ms, value) for ts_ms, value in zip(times, drawn, strict=True)]


def same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-6) or a == b
    return a == b


def record_of(made: Column) -> StructType:
    return struct_of("R", (("ir", made.operation.ir_type),))


def decoded(made: Column, payload: bytes) -> Any:
    return AvroRecordReader(record_of(made))(b"\x02" + payload)[0]
