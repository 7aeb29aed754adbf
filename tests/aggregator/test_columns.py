"""Buckets, lists and maps around an operation, against brute force."""

from collections import defaultdict
from dataclasses import replace
from typing import Any

import declarations
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.aggregator.row import RowAggregator
from chronon_beam.api import (
    Aggregation,
    GroupByError,
    Operation,
)
from chronon_beam.api import group_by as records
from chronon_beam.api.data_types import (
    DOUBLE,
    INT,
    LONG,
    STRING,
    DataType,
    list_of,
    map_of,
    struct_of,
)
from chronon_beam.api.dialect import DIALECTS

KEYS = st.sampled_from(["a", "b", "é"])
NUMBERS = st.none() | st.integers(-100, 100)


def group_by(*aggregations: Any, dialect: str = "airbnb") -> records.GroupBy:
    source = declarations.events("k", "v", "b")
    return declarations.group_by("t.columns", ["k"], aggregations, sources=source, dialect=dialect)


def rows_of(types: dict[str, DataType], *aggregations: records.Aggregation) -> RowAggregator:
    declared = group_by(*aggregations)
    return RowAggregator(declared.tile_parts, types, declared)


def values(aggregator: RowAggregator, rows: list[tuple[Any, ...]]) -> list[Any]:
    accumulator = aggregator.zero()
    for ts_ms, row in enumerate(rows):
        aggregator.update(accumulator, row, ts_ms)
    return [column.finalize(ir) for column, ir in zip(aggregator.columns, accumulator, strict=True)]


@given(st.lists(st.tuples(NUMBERS, st.none() | KEYS), max_size=12))
def test_buckets_are_aggregated_apart(rows: list[tuple[int | None, str | None]]) -> None:
    aggregator = rows_of(
        {"v": LONG, "b": STRING},
        Aggregation("v", Operation.SUM, buckets=["b"]),
        Aggregation("v", Operation.LAST, buckets=["b"]),
        Aggregation("v", Operation.COUNT),
    )
    sums: dict[str, int] = defaultdict(int)
    last: dict[str, int] = {}
    for number, bucket in rows:
        if number is not None and bucket is not None:
            sums[bucket] += number
            last[bucket] = number
    count = sum(number is not None for number, _ in rows)
    assert values(aggregator, rows) == [dict(sums) or None, last or None, count or None]


@given(st.lists(st.tuples(st.none() | st.lists(NUMBERS, max_size=4)), max_size=8))
def test_lists_are_taken_apart_and_their_nulls_left_out(rows: list[tuple[Any]]) -> None:
    aggregator = rows_of(
        {"v": list_of(LONG)},
        Aggregation("v", Operation.COUNT),
        Aggregation("v", Operation.MAX),
        Aggregation("v", Operation.BOTTOM_K(2)),
    )
    flat = [number for (numbers,) in rows for number in numbers or [] if number is not None]
    expected = [len(flat), max(flat), sorted(flat)[:2]] if flat else [None, None, None]
    assert values(aggregator, rows) == expected


@pytest.mark.parametrize("as_pairs", [False, True])
@given(rows=st.lists(st.none() | st.dictionaries(KEYS, NUMBERS, max_size=3), max_size=8))
def test_maps_are_aggregated_by_key(as_pairs: bool, rows: list[dict[str, Any] | None]) -> None:
    aggregator = rows_of({"v": map_of(LONG)}, Aggregation("v", Operation.SUM))
    sums: dict[str, int] = defaultdict(int)
    for row in rows:
        for key, number in (row or {}).items():
            if number is not None:
                sums[key] += number
    given_rows = [(list(row.items()) if row is not None and as_pairs else row,) for row in rows]
    assert (values(aggregator, given_rows)[0] or {}) == dict(sums)


@given(
    st.integers(1, 3).flatmap(
        lambda n: st.lists(st.none() | st.lists(st.integers(-9, 9), min_size=n, max_size=n))
    )
)
def test_element_wise_aggregates_each_place_of_the_lists(rows: list[list[int] | None]) -> None:
    aggregator = rows_of(
        {"v": list_of(LONG)},
        Aggregation("v", Operation.SUM, element_wise=True),
        Aggregation("v", Operation.MAX, element_wise=True),
        Aggregation("v", Operation.TOP_K(2), element_wise=True),
    )
    places = list(zip(*[row for row in rows if row is not None], strict=True))
    expected = [
        [sum(place) for place in places],
        [max(place) for place in places],
        [sorted(place, reverse=True)[:2] for place in places],
    ]
    assert [value or [] for value in values(aggregator, [(row,) for row in rows])] == expected


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (([1],), "v_sum: elementWise needs lists of one length: 1 after 2"),
        (([1, None],), "v_sum: elementWise takes no null inside a list"),
        ((None,), None),
        (([3, 4],), None),
    ],
)
def test_lists_that_do_not_fit_are_refused_before_anything_is_added(
    row: tuple[Any], reason: str | None
) -> None:
    aggregator = rows_of(
        {"v": list_of(LONG)},
        Aggregation("v", Operation.COUNT),
        Aggregation("v", Operation.SUM, element_wise=True),
    )
    accumulator = aggregator.zero()
    aggregator.update(accumulator, ([1, 2],), 0)
    assert aggregator.may_refuse
    found = aggregator.refusal(accumulator, row)
    assert found is None if reason is None else reason in (found or "")
    assert accumulator == [2, [1, 2]]


def test_dialects_differ_in_what_they_have() -> None:
    with pytest.raises(GroupByError, match="dialect zipline has no elementWise"):
        rows_of_dialect("zipline", Aggregation("v", Operation.SUM, element_wise=True))
    with pytest.raises(GroupByError, match="dialect zipline does not have it; it has MIN, MAX"):
        rows_of_dialect("zipline", Aggregation("v", Operation.BOUNDED_UNIQUE_COUNT))
    with pytest.raises(GroupByError, match="UNIQUE_TOP_K over 'v': dialect airbnb does not"):
        rows_of_dialect("airbnb", Aggregation("v", Operation.UNIQUE_TOP_K(3)))


def rows_of_dialect(dialect: str, *aggregations: records.Aggregation) -> RowAggregator:
    # A definition is refused earlier: this is of a compiled one.
    other = "airbnb" if dialect == "zipline" else "zipline"
    declared = replace(group_by(*aggregations, dialect=other), dialect=DIALECTS[dialect])
    return RowAggregator(declared.tile_parts, {"v": list_of(LONG)}, declared)


def test_structs_without_what_they_are_ranked_by_are_refused() -> None:
    ranked = struct_of("S", (("sort_key", STRING), ("unique_id", LONG)))
    declared = group_by(Aggregation("v", Operation.UNIQUE_TOP_K(1)), dialect="zipline")
    aggregator = RowAggregator(declared.tile_parts, {"v": ranked}, declared)
    good, bad = {"sort_key": "a", "unique_id": 1}, {"sort_key": None, "unique_id": 1}
    assert aggregator.refusal([None], (good,)) is None
    assert "a struct without sort_key" in (aggregator.refusal([None], (bad,)) or "")


def test_merge_of_accumulators_is_column_by_column() -> None:
    aggregator = rows_of(
        {"v": LONG, "b": STRING},
        Aggregation("v", Operation.SUM, buckets=["b"]),
        Aggregation("v", Operation.MIN),
    )
    a, b = aggregator.zero(), aggregator.zero()
    aggregator.update(a, (5, "x"), 0)
    aggregator.update(b, (3, "y"), 0)
    aggregator.update(b, (4, "x"), 0)
    merged = aggregator.merge(a, b)
    assert [c.finalize(ir) for c, ir in zip(aggregator.columns, merged, strict=True)] == [
        {"x": 9, "y": 3},
        3,
    ]


ROWS = st.tuples(
    NUMBERS,
    st.none() | KEYS,
    st.none() | st.lists(NUMBERS, max_size=3),
    st.none() | st.dictionaries(KEYS, NUMBERS, max_size=2),
)


@given(st.lists(ROWS, max_size=5), st.lists(ROWS, min_size=1, max_size=5), st.booleans())
def test_deleted_rows_are_as_if_they_had_never_been(
    kept: list[Any], gone: list[Any], deletes_first: bool
) -> None:
    aggregator = rows_of(
        {"v": LONG, "b": STRING, "l": list_of(LONG), "m": map_of(LONG)},
        Aggregation("v", Operation.SUM),
        Aggregation("v", Operation.COUNT, buckets=["b"]),
        Aggregation("l", Operation.AVERAGE),
        Aggregation("m", Operation.SUM),
    )
    accumulator = aggregator.zero()
    for is_before in (deletes_first, not deletes_first):
        for row in gone:
            if is_before:
                assert aggregator.delete(accumulator, row, 0) == ()
            else:
                aggregator.update(accumulator, row, 0)
    for row in kept:
        aggregator.update(accumulator, row, 0)
    found = [c.finalize(ir) for c, ir in zip(aggregator.columns, accumulator, strict=True)]
    assert [without_zeros(value) for value in found] == [
        without_zeros(value) for value in values(aggregator, kept)
    ]


def without_zeros(value: Any) -> Any:
    """What was added and deleted leaves a 0 behind, also under its bucket."""
    if isinstance(value, dict):
        value = {key: number for key, number in value.items() if number}
    return value or None


def test_delete_names_the_columns_that_hold_on_to_the_row() -> None:
    aggregator = rows_of(
        {"v": LONG, "w": LONG, "b": STRING},
        Aggregation("v", Operation.MAX),
        Aggregation("v", Operation.COUNT),
        Aggregation("w", Operation.LAST),
        Aggregation("v", Operation.MIN, buckets=["b"]),
    )
    accumulator = aggregator.zero()
    aggregator.update(accumulator, (5, None, "x"), 0)
    assert aggregator.delete(accumulator, (5, None, "x"), 0) == ("v_max", "v_min_by_b")
    assert accumulator == [5, 0, None, {"x": 5}]
    assert aggregator.delete(accumulator, (5, 1, None), 0) == ("v_max", "w_last")


def test_columns_not_chosen_stay_null_and_rows_may_have_more_before() -> None:
    declared = group_by(Aggregation("v", Operation.SUM), Aggregation("v", Operation.COUNT))
    aggregator = RowAggregator(declared.tile_parts, {"v": LONG}, declared, frozenset({1}), offset=2)
    accumulator = aggregator.zero()
    aggregator.update(accumulator, (b"key", 0, 7), 0)
    assert accumulator == [None, 1]


@pytest.mark.parametrize(
    ("types", "aggregation", "message"),
    [
        ({"v": LONG, "b": INT}, Aggregation("v", buckets=["b"]), "bucket 'b' is of type int"),
        (
            {"v": map_of(LONG), "b": STRING},
            Aggregation("v", Operation.SUM, buckets=["b"]),
            "buckets over a map column are not supported",
        ),
        ({"v": LONG}, Aggregation("w"), r"w_last needs column 'w', which .* \(it gives v\)"),
        ({"v": LONG}, Aggregation("v", buckets=["b"]), "v_last_by_b needs column 'b'"),
        (
            {"v": list_of(DOUBLE), "b": STRING},
            Aggregation("v", Operation.SUM, buckets=["b"], element_wise=True),
            "buckets over elementWise are not supported",
        ),
        (
            {"v": DOUBLE},
            Aggregation("v", Operation.SUM, element_wise=True),
            "elementWise needs a list of scalars, found 'v' of type double",
        ),
        ({"v": list_of(STRING)}, Aggregation("v", Operation.SUM), "SUM does not take 'v'"),
        ({"v": map_of(STRING)}, Aggregation("v", Operation.SUM), "SUM does not take 'v'"),
        ({"v": map_of(LONG, INT)}, Aggregation("v", Operation.SUM), "SUM does not take 'v'"),
    ],
)
def test_shapes_that_do_not_go_together(
    types: dict[str, DataType], aggregation: records.Aggregation, message: str
) -> None:
    with pytest.raises(GroupByError, match=f"^t.columns: .*{message}"):
        rows_of(types, aggregation)
