"""What operations give for particular values, and what they refuse."""

import math
from collections import Counter
from typing import Any

import pytest
from drawn_operations import NESTED, Event, aggregated, column_of
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.aggregator.columns import column
from chronon_beam.aggregator.operations.table import TIMED
from chronon_beam.api import GroupByError, Operation
from chronon_beam.api.data_types import (
    BINARY,
    BOOLEAN,
    BYTE,
    DATE,
    DOUBLE,
    INT,
    LONG,
    STRING,
    TIMESTAMP,
    DataType,
    list_of,
    map_of,
)
from chronon_beam.api.dialect import AIRBNB, DIALECTS
from chronon_beam.api.group_by import AggregationPart


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
