"""Promises are a function of the log: batch borders and restarts change nothing."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.api.records import MIN_MS
from chronon_beam.io.kafka.promises import (
    AHEAD_MS,
    Limits,
    LogPart,
    Promises,
    promises,
    watermark_ms,
)

NOW_MS = 10_000_000
DISORDER_MS = 50
YEAR_2099_MS = 4_070_908_800_000


class Record(NamedTuple):
    """A record of the log: its own time, and those of its rows."""

    at_ms: int
    rows_ms: tuple[int, ...]


class Row(NamedTuple):
    """A row as `TimedRows` has it."""

    position: int
    at_ms: int


class FewRows(NamedTuple):
    """`TimedRows` of some records."""

    rows: list[Row]

    @property
    def positions(self) -> list[int]:
        return [row.position for row in self.rows]

    @property
    def times_ms(self) -> pa.Array:
        return pa.array([row.at_ms for row in self.rows], pa.int64())

    def outputs(self, promised_ms: pa.Array) -> Iterator[Any]:
        raise NotImplementedError


# Event time and record time know nothing of each other.
TIMES = st.integers(-5 * AHEAD_MS, NOW_MS + 10 * AHEAD_MS) | st.just(YEAR_2099_MS)
ROWS = st.lists(TIMES, max_size=3).map(tuple)
LOGS = st.lists(st.builds(Record, st.just(-1) | TIMES, ROWS), max_size=30)


def made(
    log: list[Record], start: int, stop: int, newest_ms: int, floor_ms: int = MIN_MS
) -> Promises:
    """The promises of a part of the log, whose Messages were cut in the middle."""
    part = LogPart(
        # Offsets have gaps.
        np.array([2 * at for at in range(start, stop)], np.int64),
        np.array([record.at_ms for record in log[start:stop]], np.int64),
    )
    middle = (start + stop) // 2
    rows = [
        FewRows([Row(2 * at, ms) for at in range(*cut) for ms in log[at].rows_ms])
        for cut in ((start, middle), (middle, stop))
    ]
    return promises(part, rows, newest_ms, Limits(floor_ms, DISORDER_MS, NOW_MS))


def batched(log: list[Record], borders: list[int]) -> list[int]:
    """The promises before each record, read in batches from one checkpointed value to the next."""
    found, newest_ms = [], MIN_MS
    for start, stop in pairwise([0, *sorted(borders), len(log)]):
        batch = made(log, start, stop, newest_ms)
        found += batch.before_ms.tolist()
        newest_ms = batch.newest_ms
    return found


def bound_ms(record: Record) -> int:
    """The latest time that counts."""
    return (NOW_MS if record.at_ms < 0 else min(record.at_ms, NOW_MS)) + AHEAD_MS


@given(st.data(), LOGS)
def test_batch_borders_change_no_promise(data: st.DataObject, log: list[Record]) -> None:
    borders = data.draw(st.lists(st.integers(0, len(log))))
    assert batched(log, borders) == batched(log, [])


@given(LOGS)
def test_a_promise_is_the_latest_time_before_less_the_bound(log: list[Record]) -> None:
    expected, newest_ms = [], MIN_MS
    for record in log:
        expected.append(max(newest_ms - DISORDER_MS - 1, MIN_MS))
        usable = [ms for ms in record.rows_ms if ms <= bound_ms(record)]
        newest_ms = max([newest_ms, *usable])
    found = made(log, 0, len(log), MIN_MS)
    assert found.before_ms.tolist() == expected
    assert found.newest_ms == newest_ms
    assert found.counted == (newest_ms > MIN_MS)


@given(LOGS)
def test_records_with_a_time_too_far_ahead_are_counted_once(log: list[Record]) -> None:
    far = [record for record in log if any(ms > bound_ms(record) for ms in record.rows_ms)]
    assert made(log, 0, len(log), MIN_MS).ahead == len(far)


@given(LOGS, st.integers(0, NOW_MS))
def test_promises_rise_and_keep_to_what_the_runner_was_given(
    log: list[Record], floor_ms: int
) -> None:
    before = made(log, 0, len(log), MIN_MS, floor_ms).before_ms.tolist()
    assert all(one <= other for one, other in pairwise(before))
    assert all(promise >= floor_ms for promise in before)


def test_one_event_of_the_year_2099_moves_nothing_in_the_present_nor_in_a_backfill() -> None:
    for event_ms in (NOW_MS - 10, 1000):
        log = [Record(NOW_MS, (event_ms,)), Record(NOW_MS, (YEAR_2099_MS,)), Record(NOW_MS, ())]
        found = made(log, 0, 3, MIN_MS)
        assert found.before_ms.tolist() == [MIN_MS, *[event_ms - DISORDER_MS - 1] * 2]
        assert (found.newest_ms, found.ahead) == (event_ms, 1)


def test_a_producer_whose_clock_is_wrong_moves_nothing() -> None:
    log = [Record(100, (100,)), Record(YEAR_2099_MS, (YEAR_2099_MS,)), Record(200, (200,))]
    found = made(log, 0, 3, MIN_MS)
    assert found.before_ms.tolist() == [MIN_MS, 49, 49]
    assert (found.newest_ms, found.ahead) == (200, 1)


def test_an_event_of_now_counts_although_its_record_says_2099() -> None:
    found = made([Record(YEAR_2099_MS, (NOW_MS,))], 0, 1, MIN_MS)
    assert (found.newest_ms, found.ahead) == (NOW_MS, 0)


def test_records_that_are_filtered_or_dead_do_not_count() -> None:
    found = made([Record(100, ()), Record(200, ())], 0, 2, MIN_MS)
    assert (found.newest_ms, found.ahead, found.counted) == (MIN_MS, 0, False)


def test_rows_of_one_record_meet_one_promise_and_the_latest_of_them_counts() -> None:
    log = [Record(900, (300, 800, 100)), Record(900, (1,))]
    assert made(log, 0, 2, MIN_MS).before_ms.tolist() == [MIN_MS, 749]


def test_the_watermark_is_that_of_the_slowest_partition() -> None:
    assert watermark_ms([300, 100], DISORDER_MS, NOW_MS) == 49


def test_a_partition_that_has_shown_nothing_yet_holds_the_watermark_back() -> None:
    assert watermark_ms([300, MIN_MS], DISORDER_MS, NOW_MS) == MIN_MS


def test_when_all_are_idle_the_clock_moves_the_watermark() -> None:
    assert watermark_ms([], DISORDER_MS, NOW_MS) == NOW_MS - DISORDER_MS - 1
