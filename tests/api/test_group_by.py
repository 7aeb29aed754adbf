"""Names and tile sizes: Chronon's rules on a GroupBy."""

from typing import Any

import declarations
import pytest
from declarations import events, windows

from chronon_beam.api import (
    Aggregation,
    GroupByError,
    Operation,
)
from chronon_beam.api import group_by as records

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000


def group_by(*aggregations: Any, dialect: str = "airbnb") -> records.GroupBy:
    sources = events("a", "b", time_column="t")
    return declarations.group_by(
        "team/a.b-c", ["k"], aggregations, sources=sources, dialect=dialect
    )


def names(*aggregations: Any, dialect: str = "airbnb") -> list[str]:
    return [feature.name for feature in group_by(*aggregations, dialect=dialect).features]


def test_features_are_named_by_column_operation_window_and_bucket() -> None:
    six_and_thirty = windows("6h", "30d")
    assert names(Aggregation("d", Operation.SUM, six_and_thirty, ["a", "b"])) == [
        "d_sum_6h_by_a",
        "d_sum_30d_by_a",
        "d_sum_6h_by_b",
        "d_sum_30d_by_b",
    ]
    assert names(Aggregation("d", Operation.APPROX_UNIQUE_COUNT)) == ["d_approx_unique_count"]


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (Operation.LAST_K, "d_last3"),
        (Operation.FIRST_K, "d_first3"),
        (Operation.TOP_K, "d_top3"),
        (Operation.BOTTOM_K, "d_bottom3"),
        (Operation.UNIQUE_TOP_K, "d_unique_top3"),
        (Operation.HISTOGRAM, "d_histogram"),
        (Operation.APPROX_HISTOGRAM_K, "d_approx_histogram_k"),
    ],
)
def test_k_operations_have_k_in_their_name(operation: Operation, name: str) -> None:
    dialect = "zipline" if operation is Operation.UNIQUE_TOP_K else "airbnb"
    assert names(Aggregation("d", operation(3)), dialect=dialect) == [name]


def test_features_know_their_tile_column() -> None:
    declared = group_by(
        Aggregation("d", Operation.SUM, windows("6h", "30d"), ["a", "b"]),
        Aggregation("e", Operation.COUNT, windows("1d")),
    )
    assert [part.column for part in declared.tile_parts] == ["d_sum_by_a", "d_sum_by_b", "e_count"]
    assert [feature.tile_index for feature in declared.features] == [0, 0, 1, 1, 2]


def test_inputs_are_buckets_then_column_each_once() -> None:
    declared = group_by(
        Aggregation("d", Operation.SUM, buckets=["a", "b"]), Aggregation("d", Operation.MAX)
    )
    assert declared.aggregation_inputs == ("a", "b", "d")


def test_dataset_is_upper_case_with_plain_letters() -> None:
    assert group_by(Aggregation("d")).streaming_dataset == "TEAM_A_B_C_STREAMING"


@pytest.mark.parametrize(
    ("length", "hop_ms"),
    [
        ("1h", 5 * MINUTE_MS),
        ("11h", 5 * MINUTE_MS),
        ("12h", HOUR_MS),
        ("1d", HOUR_MS),
        ("287h", HOUR_MS),
        ("11d", HOUR_MS),
        ("12d", DAY_MS),
        ("288h", DAY_MS),
        ("30d", DAY_MS),
    ],
)
def test_tail_hop_of_a_window(length: str, hop_ms: int) -> None:
    assert windows(length)[0].hop_ms == hop_ms
    assert group_by(Aggregation("d", windows=windows(length))).tile_size_ms == hop_ms


def test_tile_is_the_smallest_hop_of_all_aggregations() -> None:
    declared = group_by(
        Aggregation("d", windows=windows("30d")),
        Aggregation("d", Operation.COUNT),
        Aggregation("d", Operation.SUM, windows("7d", "60d")),
    )
    assert declared.tile_size_ms == HOUR_MS


def test_without_windows_only_zipline_has_tiles() -> None:
    assert group_by(Aggregation("d"), dialect="zipline").tile_size_ms == DAY_MS
    with pytest.raises(GroupByError, match="add windows, or run with --tiling=untiled"):
        _ = group_by(Aggregation("d")).tile_size_ms


def test_minutes_in_zipline_have_five_minute_tiles() -> None:
    declared = group_by(Aggregation("d", windows=windows("10m")), dialect="zipline")
    assert declared.tile_size_ms == 5 * MINUTE_MS
    assert [feature.name for feature in declared.features] == ["d_last_10m"]
