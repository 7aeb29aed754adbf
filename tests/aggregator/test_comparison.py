"""How stored IRs compare with those of all events, for every operation."""

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chronon_beam.aggregator.columns import Column, column
from chronon_beam.aggregator.comparison import COMPARISONS, IrVerdict, compare
from chronon_beam.aggregator.operations.table import OPERATIONS
from chronon_beam.api.data_types import DOUBLE, LONG, STRING, list_of, map_of
from chronon_beam.api.dialect import AIRBNB, ZIPLINE, Operation
from chronon_beam.api.group_by import AggregationPart

_DIALECTS = {o: d for d in (ZIPLINE, AIRBNB) for o in d.operations.values()}
_NUMBERS = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 3))
_VALUES = {DOUBLE: _NUMBERS, LONG: st.integers(-50, 50), STRING: st.sampled_from("abcdefghij")}
_SHAPES = ("whole", "bucket", "map", "items", "elements")


def part_of(operation: Operation, bucket: str | None = None, wise: bool = False) -> AggregationPart:
    k = "128" if operation is Operation.APPROX_PERCENTILE else "8"
    arguments = (("k", k), ("percentiles", json.dumps([0.5, 0.9])))
    return AggregationPart("n", operation, arguments, None, bucket, wise)


def columns() -> list[tuple[Column, Any, str]]:
    """Each operation over a type that it takes, in each shape that it has there."""
    found = []
    for operation, spec in OPERATIONS.items():
        dialect = _DIALECTS[operation]
        kind = next(kind for kind in (DOUBLE, LONG, STRING) if spec.takes(kind, dialect))
        shapes = {
            "whole": (part_of(operation), kind, None),
            "bucket": (part_of(operation, bucket="b"), kind, STRING),
        }
        if not spec.timed:
            shapes |= {
                "map": (part_of(operation), map_of(kind), None),
                "items": (part_of(operation), list_of(kind), None),
            }
        if not spec.timed and dialect is AIRBNB:
            shapes["elements"] = (part_of(operation, wise=True), list_of(kind), None)
        for shape, (part, input_type, bucket) in shapes.items():
            found.append((column(part, input_type, bucket, dialect), _VALUES[kind], shape))
    return found


COLUMNS = columns()
NAMES = [f"{each.part.operation.name}-{shape}" for each, _, shape in COLUMNS]

Event = tuple[Any, str, int]
"""Value, bucket, time."""


def value_in(shape: str, values: Any) -> Any:
    if shape == "map":
        return st.dictionaries(st.sampled_from("xy"), values, min_size=1)
    if shape == "items":
        return st.lists(values, min_size=1, max_size=3)
    return st.tuples(values, values).map(list) if shape == "elements" else values


def folded(made: Column, events: Sequence[Event]) -> Any:
    """The IR of events in their order."""
    ir: Any = None
    for value, bucket, ts_ms in events:
        more = (bucket, ts_ms) if made.part.bucket else (ts_ms,)
        ir = made.prepare(value, *more) if ir is None else made.update(ir, value, *more)
    return ir


def united(made: Column, parts: Sequence[Any]) -> Any:
    whole: Any = None
    for part in parts:
        whole = made.merge(whole, made.operation.clone(part))
    return whole


@pytest.mark.parametrize(("made", "values", "shape"), COLUMNS, ids=NAMES)
def test_order_and_parts_make_no_difference_and_fewer_events_are_not_taken_for_others(
    made: Column, values: Any, shape: str
) -> None:
    @settings(max_examples=12)
    @given(
        st.lists(
            st.tuples(value_in(shape, values), st.sampled_from("pq"), st.integers(0, 5)),
            min_size=2,
            max_size=30,
        ),
        st.randoms(use_true_random=False),
    )
    def check(events: list[Event], chance: random.Random) -> None:
        cut, fewer = chance.randrange(1, len(events)), chance.randrange(1, len(events))
        halves = [events[:cut], events[cut:]]
        parts = [folded(made, half) for half in halves]
        chance.shuffle(halves)  # which log came first is not known to the job either
        stored = folded(made, [event for half in halves for event in half])
        assert compare(made, stored, united(made, parts), parts) is IrVerdict.EQUAL
        behind = compare(made, folded(made, events[:fewer]), united(made, parts), parts)
        assert behind is not IrVerdict.OTHER

    check()


def test_every_operation_has_a_comparison() -> None:
    assert set(COMPARISONS) == set(OPERATIONS)
    assert {each.part.operation for each, _, _ in COLUMNS} == set(OPERATIONS)


def one_of(operation: Operation, shape: str = "whole") -> Column:
    return COLUMNS[NAMES.index(f"{operation.name}-{shape}")][0]


FIVE = [(value, "p", at) for at, value in enumerate([5.0, 3.0, 8.0, 8.0, 1.0])]


@pytest.mark.parametrize(
    ("operation", "stored", "verdict"),
    [
        (Operation.COUNT, FIVE[:4], IrVerdict.FEWER),
        (Operation.COUNT, [*FIVE, FIVE[0]], IrVerdict.OTHER),
        (Operation.SUM, FIVE[:4], IrVerdict.UNSURE),
        (Operation.MIN, FIVE[:4], IrVerdict.FEWER),
        (Operation.MAX, [*FIVE, (9.0, "p", 9)], IrVerdict.OTHER),
        (Operation.AVERAGE, [(25.0, "p", 0)], IrVerdict.FEWER),
        (Operation.AVERAGE, [*FIVE[:4], (2.0, "p", 4)], IrVerdict.OTHER),
        (Operation.VARIANCE, [*FIVE[:4], (1.001, "p", 4)], IrVerdict.OTHER),
        (Operation.LAST, FIVE[:4], IrVerdict.FEWER),
        (Operation.LAST, [*FIVE[:4], (2.0, "p", 4)], IrVerdict.OTHER),
        (Operation.FIRST, FIVE[1:], IrVerdict.FEWER),
        (Operation.FIRST, [(5.0, "p", -1)], IrVerdict.OTHER),
        (Operation.LAST_K, [*FIVE[:4], (2.0, "p", 4)], IrVerdict.OTHER),
        (Operation.TOP_K, FIVE[:4], IrVerdict.FEWER),
        (Operation.TOP_K, [*FIVE[:4], (2.0, "p", 4)], IrVerdict.OTHER),
        (Operation.UNIQUE_COUNT, FIVE[:2], IrVerdict.FEWER),
        (Operation.UNIQUE_COUNT, [*FIVE[:4], (2.0, "p", 4)], IrVerdict.OTHER),
        (Operation.BOUNDED_UNIQUE_COUNT, [*FIVE[:4], (2.0, "p", 4)], IrVerdict.OTHER),
        (Operation.APPROX_UNIQUE_COUNT, FIVE[:2], IrVerdict.FEWER),
        (Operation.APPROX_UNIQUE_COUNT, [*FIVE[:4], (2.0, "p", 4)], IrVerdict.OTHER),
        (Operation.APPROX_PERCENTILE, FIVE[:2], IrVerdict.FEWER),
        (Operation.APPROX_PERCENTILE, [*FIVE[:4], (2.0, "p", 4)], IrVerdict.OTHER),
        (Operation.APPROX_HISTOGRAM_K, [*FIVE[:4], (2.0, "p", 4)], IrVerdict.OTHER),
        (Operation.APPROX_FREQUENT_K, FIVE[:3], IrVerdict.FEWER),
        (Operation.APPROX_HEAVY_HITTERS_K, [*FIVE[:4], (2.0, "p", 4)], IrVerdict.OTHER),
    ],
)
def test_difference_is_told(operation: Operation, stored: list[Event], verdict: IrVerdict) -> None:
    made = one_of(operation)
    assert compare(made, folded(made, stored), folded(made, FIVE)) is verdict


def test_difference_of_one_bucket_counts() -> None:
    made = one_of(Operation.COUNT, "bucket")
    expected = folded(made, [*FIVE, (1.0, "q", 1)])
    assert compare(made, folded(made, FIVE), expected) is IrVerdict.FEWER
    assert compare(made, folded(made, [*FIVE, (1.0, "r", 1)]), expected) is IrVerdict.OTHER
    assert compare(made, None, expected) is IrVerdict.FEWER
    assert compare(made, expected, None) is IrVerdict.OTHER


def test_sketches_in_any_order_are_equal_within_their_error_and_others_are_not() -> None:
    made, chance = one_of(Operation.APPROX_PERCENTILE), random.Random(7)
    events = [(chance.gauss(0, 1), "p", 0) for _ in range(20_000)]
    expected = folded(made, events)
    for _ in range(5):
        chance.shuffle(events)
        assert compare(made, folded(made, events), expected) is IrVerdict.EQUAL
    lowest = min(events)[0]
    moved = [(each if abs(each) > 3 else each * 0.5, b, at) for each, b, at in events]
    assert min(moved)[0] == lowest
    assert compare(made, folded(made, moved), expected) is IrVerdict.OTHER


def test_sums_are_equal_to_a_billionth() -> None:
    made = one_of(Operation.SUM)
    assert compare(made, 1e9 + 0.5, 1e9) is IrVerdict.EQUAL
    assert compare(made, 1e9 + 1.5, 1e9) is IrVerdict.UNSURE
    assert compare(made, float("nan"), float("nan")) is IrVerdict.EQUAL


def test_sums_that_cancel_out_are_equal_to_a_billionth_of_what_has_cancelled_out() -> None:
    added, left = [1e9, 0.1, -1e9], (1e9 + 0.1) - 1e9
    assert left != 0.1
    assert compare(one_of(Operation.SUM), left, 0.1, added) is IrVerdict.EQUAL
    assert compare(one_of(Operation.SUM), left + 2, 0.1, added) is IrVerdict.UNSURE
    counted = [(each, 1) for each in added]
    mean = one_of(Operation.AVERAGE)
    assert compare(mean, (left, 3), (0.1, 3), counted) is IrVerdict.EQUAL
    assert compare(mean, (left, 4), (0.1, 3), counted) is IrVerdict.OTHER
