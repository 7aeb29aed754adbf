"""Tiles and spans: integer arithmetic on a time line that runs both ways from the epoch."""

import declarations
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.aggregator.layout import Span, TileSpec, floor_to, span, tail_ms, tile_specs
from chronon_beam.api import (
    Aggregation,
    GroupByError,
    Operation,
    TimeUnit,
    Window,
)
from chronon_beam.api import group_by as records

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
TIMES = st.integers(-(10**12), 4 * 10**12)
WINDOWS = st.builds(Window, st.integers(1, 40), st.sampled_from([TimeUnit.HOURS, TimeUnit.DAYS]))


def group_by(*windows: Window | None, dialect: str = "airbnb") -> records.GroupBy:
    """One COUNT per window, each over a column of its own; None is an unbounded window."""
    aggregations = [
        Aggregation(f"c{index}", Operation.COUNT, [window] if window else None)
        for index, window in enumerate(windows)
    ]
    return declarations.group_by("t.layout", ["k"], aggregations, dialect=dialect)


def hours(length: int) -> Window:
    return Window(length, TimeUnit.HOURS)


def days(length: int) -> Window:
    return Window(length, TimeUnit.DAYS)


def starts(spec: TileSpec, ts_ms: int) -> list[int]:
    """Starts of all tiles of a family that hold `ts_ms`, latest first."""
    last = floor_to(ts_ms, spec.period_ms)
    return list(range(last, last - spec.size_ms, -spec.period_ms))


def spans_of(declared: records.GroupBy, layout: str, query_ms: int) -> list[Span]:
    specs = tile_specs(declared, layout)
    return [span(feature, specs, query_ms) for feature in declared.features]


@given(st.lists(WINDOWS, min_size=1, max_size=4), TIMES)
def test_event_is_in_one_tumbling_tile(windows: list[Window], ts_ms: int) -> None:
    (spec,) = tile_specs(group_by(*windows), "tumbling")
    assert spec.tiles_per_event == 1
    (start_ms,) = starts(spec, ts_ms)
    assert start_ms <= ts_ms < start_ms + spec.size_ms
    assert start_ms % spec.size_ms == 0


@given(WINDOWS, TIMES)
def test_event_is_in_a_fixed_number_of_sliding_tiles(window: Window, ts_ms: int) -> None:
    (spec,) = tile_specs(group_by(window), "sliding")
    assert (spec.size_ms, spec.period_ms) == (window.millis + window.hop_ms, window.hop_ms)
    holding = starts(spec, ts_ms)
    assert len(holding) == spec.tiles_per_event == window.millis // window.hop_ms + 1
    assert all(start <= ts_ms < start + spec.size_ms for start in holding)
    assert ts_ms >= holding[0] > ts_ms - spec.period_ms
    assert ts_ms >= holding[-1] + spec.size_ms - spec.period_ms


@given(WINDOWS, TIMES, st.data())
def test_sliding_query_reads_one_tile_that_holds_its_window(
    window: Window, query_ms: int, data: st.DataObject
) -> None:
    ((read,),) = [spans_of(group_by(window), "sliding", query_ms)]
    assert read.end_ms == read.start_ms + 1
    assert read.start_ms == tail_ms(window, query_ms)
    # Of the events up to the query, the tile holds those from the tail on and no others.
    ts_ms = data.draw(st.integers(query_ms - window.millis - 2 * window.hop_ms, query_ms))
    assert (read.start_ms in starts(read.spec, ts_ms)) == (ts_ms >= tail_ms(window, query_ms))


@given(WINDOWS, WINDOWS, TIMES)
def test_tumbling_query_reads_from_the_tail_to_the_query(
    window: Window, other: Window, query_ms: int
) -> None:
    (spec,) = tile_specs(group_by(window, other), "tumbling")
    read = span(group_by(window, other).features[0], (spec,), query_ms)
    assert (read.start_ms, read.end_ms) == (tail_ms(window, query_ms), query_ms)
    assert read.start_ms % spec.size_ms == 0


@given(WINDOWS, TIMES)
def test_tail_jumps_by_hops_and_is_never_less_than_a_window_away(
    window: Window, query_ms: int
) -> None:
    tail = tail_ms(window, query_ms)
    assert tail % window.hop_ms == 0
    assert query_ms - window.millis - window.hop_ms < tail <= query_ms - window.millis


@pytest.mark.parametrize(
    ("window", "writes"), [(hours(6), 73), (days(1), 25), (days(7), 169), (days(30), 31)]
)
def test_writes_an_event_of_the_sliding_layout(window: Window, writes: int) -> None:
    (spec,) = tile_specs(group_by(window), "sliding")
    assert spec.tiles_per_event == writes


def test_each_sliding_family_fills_the_columns_of_its_window() -> None:
    specs = tile_specs(group_by(hours(6), days(30), hours(6), None), "sliding")
    assert [(spec.size_ms, spec.columns) for spec in specs] == [
        (6 * HOUR_MS + 5 * MINUTE_MS, {0, 2}),
        (31 * DAY_MS, {1}),
        (DAY_MS, {3}),
    ]


def test_windows_of_equal_length_share_their_tiles() -> None:
    (spec,) = tile_specs(group_by(hours(24), days(1)), "sliding")
    assert spec.columns == {0, 1}


@given(st.lists(st.none() | WINDOWS, min_size=1, max_size=5))
def test_families_differ_in_size_since_stores_tell_them_apart_by_it(
    windows: list[Window | None],
) -> None:
    specs = tile_specs(group_by(*windows), "sliding")
    assert len({spec.size_ms for spec in specs}) == len(specs)
    assert frozenset().union(*(spec.columns for spec in specs)) == set(range(len(windows)))


def test_unbounded_tiles_step_aside_for_windows_whose_tiles_are_as_long() -> None:
    specs = tile_specs(group_by(hours(23), hours(47), None), "sliding")
    assert [spec.size_ms for spec in specs] == [DAY_MS, 2 * DAY_MS, 3 * DAY_MS]
    assert [spec.tiles_per_event for spec in specs] == [24, 48, 1]


@pytest.mark.parametrize("layout", ["tumbling", "sliding"])
def test_unbounded_feature_reads_all_tiles_up_to_the_query(layout: str) -> None:
    _, unbounded = spans_of(group_by(hours(6), None), layout, 10**12)
    assert unbounded.start_ms < -(10**15)
    assert unbounded.end_ms == 10**12


def test_time_is_floored_before_the_epoch_too() -> None:
    assert [floor_to(ts_ms, 5000) for ts_ms in (-5001, -5000, -1, 0, 4999, 5000)] == [
        -10_000,
        -5000,
        -5000,
        0,
        0,
        5000,
    ]


def test_unknown_layout_is_refused() -> None:
    with pytest.raises(ValueError, match="'hopping': choose one of tumbling, sliding"):
        tile_specs(group_by(hours(6)), "hopping")


def test_without_windows_tumbling_is_as_the_dialect_has_it() -> None:
    (spec,) = tile_specs(group_by(None, dialect="zipline"), "tumbling")
    assert (spec.size_ms, spec.period_ms) == (DAY_MS, DAY_MS)
    with pytest.raises(GroupByError, match="cannot tile such a GroupBy"):
        tile_specs(group_by(None), "tumbling")
