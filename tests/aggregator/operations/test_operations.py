"""Every operation over every input type: parts, wholes and bytes agree."""

import math
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chronon_beam.aggregator.avro import Decoder, reading_schema
from chronon_beam.aggregator.columns import Column, column
from chronon_beam.aggregator.operations.table import TIMED
from chronon_beam.api import GroupByError, Operation
from chronon_beam.api.data_types import (
    BINARY,
    BOOLEAN,
    BYTE,
    DATE,
    DOUBLE,
    FLOAT,
    INT,
    LONG,
    SHORT,
    STRING,
    TIMESTAMP,
    DataType,
    DecimalType,
    StructType,
    decimal_of,
    list_of,
    map_of,
    struct_of,
)
from chronon_beam.api.dialect import AIRBNB, DIALECTS, ZIPLINE, Dialect
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
    return Decoder(reading_schema(record_of(made)))(b"\x02" + payload)["ir"]


def test_every_operation_is_here() -> None:
    assert set(INPUTS) == set(Operation)


@OPERATIONS
@given(data=st.data())
@FEW
def test_merge_of_parts_is_the_aggregate_of_the_whole(
    operation: Operation, data_type: DataType, data: st.DataObject
) -> None:
    made, parts = drawn_parts(data, operation, data_type)
    merged = None
    for part in parts:
        merged = made.merge(merged, aggregated(made, part))
    whole = aggregated(made, [event for part in parts for event in part])
    assert same(made.finalize(merged), made.finalize(whole))


@OPERATIONS
@given(data=st.data())
@FEW
def test_merge_is_associative(
    operation: Operation, data_type: DataType, data: st.DataObject
) -> None:
    made, parts = drawn_parts(data, operation, data_type)
    a, b, c = (aggregated(made, part) for part in parts)
    left = made.merge(made.merge(a, b), c)
    a, b, c = (aggregated(made, part) for part in parts)
    right = made.merge(a, made.merge(b, c))
    assert same(made.finalize(left), made.finalize(right))


@OPERATIONS
@given(data=st.data())
@FEW
def test_merge_is_commutative(
    operation: Operation, data_type: DataType, data: st.DataObject
) -> None:
    """For values with distinct times, and where a k is not exceeded by equal ones."""
    made, parts = drawn_parts(data, operation, data_type)
    a, b = aggregated(made, parts[0]), aggregated(made, parts[1])
    one = made.finalize(made.merge(a, b))
    a, b = aggregated(made, parts[0]), aggregated(made, parts[1])
    assert same(one, made.finalize(made.merge(b, a)))


@OPERATIONS
@given(data=st.data())
@FEW
def test_merge_leaves_its_second_argument_alone(
    operation: Operation, data_type: DataType, data: st.DataObject
) -> None:
    made, (first, second, third) = drawn_parts(data, operation, data_type)
    b = aggregated(made, second)
    before = None if b is None else made.operation.encode(b)
    merged = made.merge(aggregated(made, first), b)
    aggregated(made, third, merged)
    assert (None if b is None else made.operation.encode(b)) == before


@OPERATIONS
@given(data=st.data())
@FEW
def test_bytes_are_fastavros_and_survive_a_decode(
    operation: Operation, data_type: DataType, data: st.DataObject
) -> None:
    made, parts = drawn_parts(data, operation, data_type)
    ir = aggregated(made, parts[0] + parts[1])
    if ir is None:
        return
    ours = made.operation.encode(ir)
    plain = decoded(made, ours)
    assert made.operation.encode(made.operation.from_avro(plain)) == ours
    schema = fastavro.parse_schema(reading_schema(record_of(made)))
    stream = BytesIO()
    fastavro.schemaless_writer(stream, schema, {"ir": plain})
    theirs = stream.getvalue()
    if data_type == PRICE:
        # It gives a decimal such as -128 a byte more than Java does, and so than we.
        assert decoded(made, theirs[1:]) == plain
    else:
        assert theirs == b"\x02" + ours


@OPERATIONS
@given(data=st.data())
@FEW
def test_an_ir_that_was_stored_goes_on_as_the_live_one(
    operation: Operation, data_type: DataType, data: st.DataObject
) -> None:
    made, (before, after, more) = drawn_parts(data, operation, data_type)
    live = aggregated(made, before)
    if live is None:
        return
    stored = made.operation.from_avro(decoded(made, made.operation.encode(live)))
    live, stored = (aggregated(made, after + more, ir) for ir in (live, stored))
    assert made.operation.encode(stored) == made.operation.encode(live)


DELETABLE = {Operation.COUNT, Operation.SUM, Operation.AVERAGE, Operation.HISTOGRAM}


@OPERATIONS
@given(data=st.data())
@FEW
def test_delete_undoes_update_in_any_order(
    operation: Operation, data_type: DataType, data: st.DataObject
) -> None:
    """Where Chronon can delete. Whole numbers, since sums of floats round."""
    made = column_of(operation, data_type)
    assert (made.undo is not None) == (operation in DELETABLE)
    if made.undo is None:
        return
    values = VALUES[data_type]
    if operation is not Operation.COUNT and data_type in (*NUMBERS, PRICE):
        kind = {FLOAT: float, DOUBLE: float, PRICE: Decimal}.get(data_type, int)
        values = st.integers(-1000, 1000).map(kind)
    drawn = [data.draw(st.lists(values, max_size=6)) for _ in range(2)]
    kept, gone = ([Event(0, value) for value in chosen] for chosen in drawn)
    steps = [*((made, e) for e in kept + gone), *((made.undo, e) for e in gone)]
    ir = None
    for which, event in data.draw(st.permutations(steps)):
        ir = aggregated(which, [event], ir)
    expected = made.finalize(aggregated(made, kept))
    assert (made.finalize(ir) or None) == (expected or None)


@given(st.lists(st.integers(-50, 50), unique=True, max_size=9), st.permutations(range(9)))
def test_k_operations_keep_the_right_ones(values: list[int], times: list[int]) -> None:
    events = [Event(ts_ms, value) for ts_ms, value in zip(times, values, strict=False)]
    by_time = [event.value for event in sorted(events, key=lambda event: event.ts_ms)]
    expected = {
        Operation.TOP_K: sorted(values, reverse=True)[:3],
        Operation.BOTTOM_K: sorted(values)[:3],
        Operation.FIRST_K: by_time[:3],
        Operation.LAST_K: by_time[::-1][:3],
    }
    for operation, wanted in expected.items():
        made = column_of(operation, LONG)
        assert (made.finalize(aggregated(made, events)) or []) == wanted


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=20))
def test_moments_are_those_of_the_textbook(values: list[float]) -> None:
    n, mean = len(values), sum(values) / len(values)
    m2, m3, m4 = (sum((v - mean) ** p for v in values) for p in (2, 3, 4))
    events = [Event(0, value) for value in values]

    def ours(operation: Operation) -> Any:
        made = column_of(operation, DOUBLE)
        return made.finalize(aggregated(made, events))

    assert ours(Operation.AVERAGE) == pytest.approx(mean, abs=1e-9)
    assert ours(Operation.VARIANCE) == pytest.approx(m2 / n, abs=1e-9)
    if n >= 3 and m2 > 1e-3:
        assert ours(Operation.SKEW) == pytest.approx(math.sqrt(n) * m3 / m2**1.5, abs=1e-6)
    if n >= 4 and m2 > 1e-3:
        assert ours(Operation.KURTOSIS) == pytest.approx(n * m4 / m2**2 - 3, abs=1e-6)


@pytest.mark.parametrize(
    ("operation", "values"),
    [
        (Operation.SKEW, [1.0, 2.0]),
        (Operation.SKEW, [2.0, 2.0, 2.0]),
        (Operation.KURTOSIS, [1.0, 2.0, 4.0]),
        (Operation.SUM, [math.inf, -math.inf]),
        (Operation.AVERAGE, [math.inf]),
        (Operation.LAST, [math.nan]),
    ],
)
def test_what_is_not_a_number_is_null(operation: Operation, values: list[float]) -> None:
    made = column_of(operation, DOUBLE)
    events = [Event(i, value) for i, value in enumerate(values)]
    assert made.finalize(aggregated(made, events)) is None


@pytest.mark.parametrize(("operation", "expected"), [(Operation.FIRST, "a"), (Operation.LAST, "a")])
def test_of_equal_times_the_event_that_came_first_counts(
    operation: Operation, expected: str
) -> None:
    made = column_of(operation, STRING)
    assert made.finalize(aggregated(made, [Event(5, "a"), Event(5, "b")])) == expected


@given(st.lists(st.sampled_from(["a", "b", "c", "😀", "\uffff"]), min_size=1, max_size=20))
def test_histogram_counts_and_keeps_frequent_ones(values: list[str]) -> None:
    made = column_of(Operation.HISTOGRAM, STRING)
    events = [Event(i, value) for i, value in enumerate(values)]
    assert made.finalize(aggregated(made, events)) == Counter(values)
    part = AggregationPart("v", Operation.HISTOGRAM, (("k", "2"),), None, None, False)
    two = column(part, STRING, None, AIRBNB)
    counts = Counter(values)
    kept = two.finalize(aggregated(two, events))
    assert kept.items() <= counts.items()
    assert len(kept) == min(len(counts), 2)
    # As Chronon: of those as frequent as the second, the first two in the order of its map.
    least = sorted(counts.values(), reverse=True)[:2][-1]
    assert min(kept.values()) >= least


def test_unique_count_tells_doubles_apart_by_their_bits() -> None:
    made = column_of(Operation.UNIQUE_COUNT, DOUBLE)
    values = [0.0, -0.0, math.nan, math.nan, 1.0, 1.0]
    assert made.finalize(aggregated(made, [Event(0, value) for value in values])) == 4


def test_average_without_count_is_what_java_divides_to() -> None:
    """A row that was changed leaves a sum without a count; in maps Chronon gives it as it is."""
    made = column_of(Operation.AVERAGE, DOUBLE, STRING)
    assert made.undo is not None
    ir = None
    for bucket, added, taken in (("up", 5.0, 2.0), ("down", 2.0, 5.0), ("level", 2.0, 2.0)):
        ir = made.update(ir, added, bucket, 0)
        ir = made.undo.update(ir, taken, bucket, 0)
    assert repr(made.finalize(ir)) == "{'up': inf, 'down': -inf, 'level': nan}"


def test_sum_of_longs_wraps_as_javas() -> None:
    made = column_of(Operation.SUM, LONG)
    assert made.finalize(aggregated(made, [Event(0, 2**63 - 1), Event(1, 1)])) == -(2**63)


WRONG = [
    (Operation.SUM, STRING, "SUM does not take 'v' of type string: it takes"),
    (Operation.MIN, BOOLEAN, "MIN does not take 'v' of type bool"),
    (Operation.MAX, BINARY, "MAX does not take 'v' of type binary"),
    (Operation.HISTOGRAM, INT, "HISTOGRAM does not take 'v' of type int"),
    (Operation.AVERAGE, BYTE, "AVERAGE does not take 'v' of type byte"),
    (
        Operation.COUNT,
        DATE,
        "does not take .* of type date: .* is taken by none: select it as a BIGINT",
    ),
    (Operation.LAST, TIMESTAMP, "does not take .* of type timestamp: .* is taken by none"),
    (Operation.LAST, list_of(DATE), "date has no form in a tile: cast it"),
    (Operation.LAST, map_of(STRING, INT), "int has no form in a tile"),
    (Operation.APPROX_HISTOGRAM_K, BINARY, "does not take 'v' of type binary: it takes int, long"),
    (Operation.APPROX_PERCENTILE, STRING, "string is taken by MIN, MAX, FIRST, LAST, UNIQUE_COUNT"),
    (Operation.UNIQUE_TOP_K, NESTED[2], r"struct with sort_key \(string\) and unique_id \(long\)"),
]


@pytest.mark.parametrize(("operation", "data_type", "message"), WRONG)
def test_operation_that_does_not_take_a_type(
    operation: Operation, data_type: DataType, message: str
) -> None:
    with pytest.raises(GroupByError, match=message):
        column_of(operation, data_type)


@pytest.mark.parametrize("k", ["0", "-1"])
def test_k_must_be_positive(k: str) -> None:
    part = AggregationPart("v", Operation.TOP_K, (("k", k),), None, None, False)
    with pytest.raises(GroupByError, match="k must be at least 1, found"):
        column(part, LONG, None, AIRBNB)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_counts_of_averages_are_declared_as_the_dialect_does(dialect: Any) -> None:
    part = AggregationPart("v", Operation.AVERAGE, (), None, None, False)
    ir_type: Any = column(part, DOUBLE, None, dialect).operation.ir_type
    assert dict(ir_type.fields)["count"] == (LONG if dialect.long_counts else INT)


def test_timed_operations_take_lists_whole() -> None:
    assert {Operation.FIRST, Operation.LAST, Operation.FIRST_K, Operation.LAST_K} == TIMED
    made = column_of(Operation.LAST, list_of(STRING))
    assert made.finalize(aggregated(made, [Event(1, ["a", "b"])])) == ["a", "b"]
