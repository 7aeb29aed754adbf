"""Promises are a function of the log: batch borders and restarts change nothing."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.api.records import MIN_MS
from chronon_beam.io.kafka.progress import Place, Progress
from chronon_beam.io.kafka.promises import AHEAD_MS, promises, watermark_ms

NOW_MS = 10_000_000
DISORDER_MS = 50
TIMES = st.lists(st.integers(-1, NOW_MS + 10 * AHEAD_MS), max_size=40)


def batched(times: list[int], borders: list[int]) -> list[int]:
    """The promises before each record, read in batches from one checkpointed value to the next."""
    found, newest_ms = [], MIN_MS
    for start, stop in pairwise([0, *sorted(borders), len(times)]):
        made = promises(times[start:stop], newest_ms, MIN_MS, DISORDER_MS, NOW_MS)
        found += made.before_ms.tolist()
        newest_ms = made.newest_ms
    return found


@given(st.data(), TIMES)
def test_batch_borders_change_no_promise(data: st.DataObject, times: list[int]) -> None:
    borders = data.draw(st.lists(st.integers(0, len(times))))
    assert batched(times, borders) == batched(times, [])


@given(TIMES, st.integers(0, NOW_MS))
def test_promises_rise_and_keep_to_what_the_runner_was_given(
    times: list[int], floor_ms: int
) -> None:
    before = promises(times, MIN_MS, floor_ms, DISORDER_MS, NOW_MS).before_ms.tolist()
    assert all(one <= other for one, other in pairwise(before))
    assert all(promise >= floor_ms for promise in before)


@given(TIMES)
def test_a_promise_is_the_latest_time_less_the_bound(times: list[int]) -> None:
    usable = [time for time in times if 0 <= time <= NOW_MS + AHEAD_MS]
    made = promises(times, MIN_MS, MIN_MS, DISORDER_MS, NOW_MS)
    assert made.newest_ms == max(usable, default=MIN_MS)
    assert made.ahead == sum(time > NOW_MS + AHEAD_MS for time in times)


def test_a_time_far_ahead_of_the_clock_moves_nothing() -> None:
    made = promises([100, 4_070_908_800_000, 200], MIN_MS, MIN_MS, DISORDER_MS, NOW_MS)
    assert made.before_ms.tolist() == [MIN_MS, 49, 49]
    assert (made.newest_ms, made.ahead) == (200, 1)


def progress(newest_ms: int) -> Progress:
    return Progress(Place("a", newest_ms % 7), "id", 0, newest_ms=newest_ms)


def test_the_watermark_is_that_of_the_slowest_partition() -> None:
    assert watermark_ms([progress(300), progress(100)], DISORDER_MS, NOW_MS) == 49


def test_a_partition_that_has_shown_nothing_yet_holds_the_watermark_back() -> None:
    assert watermark_ms([progress(300), progress(MIN_MS)], DISORDER_MS, NOW_MS) == MIN_MS


def test_when_all_are_idle_the_clock_moves_the_watermark() -> None:
    assert watermark_ms([], DISORDER_MS, NOW_MS) == NOW_MS - DISORDER_MS - 1
