"""Batch values: whatever way rows are grouped on their way, the features are the same."""

from dataclasses import replace
from typing import Any

import pytest
from declarations import group_by
from hypothesis import given, settings
from hypothesis import strategies as st

from chronon_beam.aggregator.batch_fold import BatchFold, Partial, pack
from chronon_beam.aggregator.batch_ir import FinalBatchIr
from chronon_beam.aggregator.plan import Plan
from chronon_beam.aggregator.sawtooth import Batch, WindowedRows, is_degraded
from chronon_beam.api import (
    Accuracy,
    Aggregation,
    GroupByError,
    Operation,
    TimeUnit,
    Window,
)
from chronon_beam.api.data_types import LONG, STRING
from chronon_beam.api.dialect import DAY_MS, FIVE_MINUTES_MS, HOUR_MS

END_MS = 20_000 * DAY_MS
WINDOWS = [
    Window(1, TimeUnit.HOURS),
    Window(13, TimeUnit.HOURS),
    Window(3, TimeUnit.DAYS),
    Window(14, TimeUnit.DAYS),
]
TYPES = {"user": STRING, "n": LONG, "ts": LONG}


def plan_of(windows: list[Window] | None, accuracy: Accuracy | None = None, more: Any = ()) -> Plan:
    declared = group_by(
        "t.fold",
        ["user"],
        [
            Aggregation("n", Operation.SUM, windows),
            Aggregation("n", Operation.LAST_K(3), windows),
            *more,
        ],
        accuracy=accuracy,
    )
    return Plan(declared, TYPES)


UNBOUNDED = [Aggregation("n", Operation.COUNT)]

# Rows are kept off the starts of hops: exactly at a tail Chronon differs, as a test below says.
moments = st.one_of(st.integers(-16 * DAY_MS, 2 * DAY_MS), st.integers(-4 * HOUR_MS, HOUR_MS)).map(
    lambda ahead: END_MS + ahead + (ahead % FIVE_MINUTES_MS == 0)
)
rows = st.lists(
    st.tuples(moments, st.none() | st.integers(-9, 9)), max_size=40, unique_by=lambda row: row[0]
)


def folded(plan: Plan, parts: list[list[tuple[int, Any]]]) -> FinalBatchIr | None:
    fold = BatchFold(plan, END_MS)
    packed = []
    for part in parts:
        partial: Partial = {}
        for ts_ms, number in part:
            fold.add(partial, [number], ts_ms)
        packed.append(pack(partial, plan.tiles))
    value = fold.value(packed)
    return plan.batch_irs.decode(value) if value else None


@settings(max_examples=150)
@given(rows, st.integers(1, 5), st.integers(0, 2 * DAY_MS))
def test_batch_and_stream_give_what_all_rows_give(
    drawn: list[tuple[int, Any]], parts: int, ahead_ms: int
) -> None:
    plan, query_ms = plan_of(WINDOWS, more=UNBOUNDED), END_MS + ahead_ms
    windowed = WindowedRows(plan.group_by, plan.inputs)
    everything = [(ts_ms, [number]) for ts_ms, number in drawn]
    ir = folded(plan, [drawn[i::parts] for i in range(parts)])
    merged = windowed.of_rows(everything, query_ms, Batch(END_MS, ir))
    assert merged == windowed.of_rows(everything, query_ms)


def test_rows_exactly_at_the_tail_are_left_out_as_chronon_does() -> None:
    plan = plan_of([Window(1, TimeUnit.HOURS)])
    ir = folded(plan, [[(END_MS - HOUR_MS, 1), (END_MS - HOUR_MS + 1, 2)]])
    values = WindowedRows(plan.group_by, plan.inputs).of_rows([], END_MS, Batch(END_MS, ir))
    assert values["n_sum_1h"] == 2


#   collapsed:        E-3d+2d |----------| E                    query at E + 3 d
def test_late_batch_keeps_its_collapsed_part_whole_as_chronon_does() -> None:
    plan = plan_of([Window(3, TimeUnit.DAYS)])
    ir = folded(plan, [[(END_MS - 2 * DAY_MS, 1), (END_MS - HOUR_MS, 10)]])
    windowed, batch = WindowedRows(plan.group_by, plan.inputs), Batch(END_MS, ir)
    assert windowed.of_rows([], END_MS + HOUR_MS, batch)["n_sum_3d"] == 11
    assert windowed.of_rows([], END_MS + 2 * DAY_MS, batch)["n_sum_3d"] == 10
    assert windowed.of_rows([], END_MS + 9 * DAY_MS, batch)["n_sum_3d"] == 10
    assert is_degraded(plan.group_by, END_MS, END_MS + 9 * DAY_MS)
    assert not is_degraded(plan.group_by, END_MS, END_MS + 2 * DAY_MS)
    short = plan_of([Window(2, TimeUnit.DAYS)])
    assert not is_degraded(short.group_by, END_MS, END_MS + 9 * DAY_MS)


def test_snapshot_values_are_the_features_at_the_batchs_end() -> None:
    plan = plan_of(WINDOWS[2:], Accuracy.SNAPSHOT, UNBOUNDED)
    drawn = [
        (END_MS - 14 * DAY_MS - 1, 1),
        (END_MS - 14 * DAY_MS, 2),
        (END_MS - 3 * DAY_MS, 3),
        (END_MS - 1, 4),
        (END_MS, 5),
    ]
    fold, partial = BatchFold(plan, END_MS), {}
    outside = [fold.add(partial, [number], ts_ms) < 0 for ts_ms, number in drawn]
    value = fold.value([pack(partial, plan.tiles)])
    assert value is not None
    assert outside == [False, False, False, False, True]
    assert plan.outputs.decode(value) == (7, 9, [4, 3], [4, 3, 2], 4)
    assert BatchFold(plan, END_MS).value([pack({}, plan.tiles)]) is None


def test_snapshot_windows_must_be_of_days() -> None:
    # A definition is refused earlier: this is of a compiled one.
    plan = plan_of([Window(48, TimeUnit.HOURS)])
    plan = replace(plan, group_by=replace(plan.group_by, accuracy=Accuracy.SNAPSHOT))
    with pytest.raises(GroupByError, match="n_sum_48h: snapshot features are made once a day"):
        BatchFold(plan, END_MS)
