"""Whether an event is late is decided by its log: batches, crashes and replays decide alike."""

import random
from typing import Any

import pytest
from declarations import plan_over_six_hours
from fragile import Fragile
from hypothesis import given, settings
from hypothesis import strategies as st
from replayed_log import Crash, Event, Reading

from chronon_beam.api import (
    Operation,
)
from chronon_beam.api.dialect import DAY_MS
from chronon_beam.api.records import MIN_MS
from chronon_beam.io.kafka.promises import AHEAD_MS, Limits
from chronon_beam.transforms.tiling.settings import Late, Tiling

PLAN = plan_over_six_hours("t.log", Operation.COUNT, Operation.SUM)
(SPEC,) = PLAN.specs
DISORDER_MS = 60_000
BEGIN_MS = 1_700_000_100_000 // SPEC.size_ms * SPEC.size_ms

Tiles = dict[tuple[bytes, int], tuple[int, float]]


NOW_MS = BEGIN_MS + 400 * DAY_MS
LIMITS = Limits(MIN_MS, DISORDER_MS, NOW_MS)
YEAR_2099_MS = 4_070_908_800_000


@st.composite
def logs(draw: st.DrawFn, most: int = 25) -> list[Event]:
    """Events whose time goes on in steps, some of them much too late.

    Their records are stamped when they come, which is then or much later. Clocks that are wrong
    stamp some events, and some of these records as well.
    """
    steps = st.sampled_from([0, 1_000, 60_000, SPEC.size_ms, 2 * DAY_MS])
    delays = st.sampled_from([0, 0, 0, 30_000, 90_000, SPEC.size_ms + 60_000, 2 * DAY_MS])
    lags = st.sampled_from([0, 0, 3_600_000, 30 * DAY_MS])
    clocks = st.sampled_from([(None, None)] * 6 + [(YEAR_2099_MS, None), (YEAR_2099_MS,) * 2])
    kept = st.sampled_from([True, True, True, False])
    drawn = st.tuples(steps, delays, lags, clocks, st.sampled_from("ab"), kept)
    log, now_ms = [], BEGIN_MS + 3 * DAY_MS
    for step_ms, delay_ms, lag_ms, (event_ms, record_ms), key, is_kept in draw(
        st.lists(drawn, min_size=1, max_size=most)
    ):
        now_ms += step_ms
        at_ms, stamped_ms = event_ms or now_ms - delay_ms, record_ms or now_ms + lag_ms
        log.append(Event(key, at_ms, len(log) / 8, stamped_ms, is_kept))
    return log


def late_positions(log: list[Event], lateness_ms: int) -> set[int]:
    """Which events are late, by the rule alone."""
    late, newest_ms = set(), MIN_MS
    for position, event in enumerate(log):
        if not event.kept:
            continue
        end_ms = event.at_ms - event.at_ms % SPEC.size_ms + SPEC.size_ms
        if newest_ms - DISORDER_MS - 1 >= end_ms + lateness_ms - 1:
            late.add(position)
        if event.at_ms <= min(event.record_ms, NOW_MS) + AHEAD_MS:
            newest_ms = max(newest_ms, event.at_ms)
    return late


def brute_force(events: list[Event]) -> Tiles:
    found: Tiles = {}
    for event in filter(lambda each: each.kept, events):
        place = PLAN.keys.encode((event.key,)), event.at_ms - event.at_ms % SPEC.size_ms
        number, total = found.get(place, (0, 0.0))
        found[place] = number + 1, total + event.amount
    return found


def stored(reading: Reading) -> Tiles:
    found = {}
    for key, _, value in Fragile(reading.store_uri).scan(PLAN.group_by.streaming_dataset):
        tile, _ = PLAN.tiles.decode(value.value_bytes)
        found[key, value.ts_ms] = (tile[0], tile[1])
    return found


def read(log: list[Event], tiling: Tiling, crashes: list[Crash], seed: Any) -> Reading:
    return Reading(PLAN, tiling, log, LIMITS, random.Random(seed)).run(crashes)


CRASHES = st.lists(st.builds(Crash, st.integers(0, 12), st.integers(0, 5)), max_size=4)
LATENESS = st.sampled_from([0, 120_000])


@settings(max_examples=200)
@given(logs(), LATENESS, CRASHES, st.integers())
def test_each_event_is_in_its_tile_once_whatever_the_borders(
    log: list[Event], lateness_ms: int, crashes: list[Crash], seed: int
) -> None:
    reading = read(log, Tiling(lateness_ms=lateness_ms, shards=2), crashes, seed)
    assert not reading.dead
    assert stored(reading) == brute_force(log)


@settings(max_examples=200)
@given(logs(), LATENESS, CRASHES, st.integers())
def test_each_event_is_in_its_tile_or_a_dead_letter_as_the_log_says(
    log: list[Event], lateness_ms: int, crashes: list[Crash], seed: int
) -> None:
    late = late_positions(log, lateness_ms)
    tiling = Tiling(lateness_ms=lateness_ms, late=Late.DEAD_LETTER, shards=2)
    reading = read(log, tiling, crashes, seed)
    assert reading.dead == late
    assert stored(reading) == brute_force([e for at, e in enumerate(log) if at not in late])


def day_with_everything(chance: random.Random) -> list[Event]:
    """Events out of order, late, doubled and filtered out; stops, offline phones, wrong clocks."""
    log, now_ms = [], BEGIN_MS + 3 * DAY_MS
    for at in range(250):
        now_ms += chance.choice([0, 5_000, 20_000, 90_000] + [DAY_MS] * (at % 100 == 99))
        delay_ms = chance.choice([0, 10_000, 30_000, 90_000, 400_000, 2 * DAY_MS])
        event_ms = YEAR_2099_MS if at % 40 == 20 else now_ms - delay_ms
        record_ms = YEAR_2099_MS if at % 80 == 20 else now_ms + 200
        event = Event(chance.choice("abc"), event_ms, at / 8, record_ms, at % 10 != 5)
        log += [event] * chance.choice([1, 1, 1, 2])
    return log


@pytest.mark.parametrize("late", list(Late))
def test_ten_replays_of_one_log_decide_alike(late: Late, chance: random.Random) -> None:
    log = day_with_everything(random.Random(11))
    expected = late_positions(log, 0)
    assert 50 < len(expected) < 200
    outcomes = []
    for _ in range(10):
        crashes = [Crash(chance.randrange(80), chance.randrange(6)) for _ in range(5)]
        reading = read(log, Tiling(late=late, shards=2), crashes, chance.random())
        outcomes.append((reading.dead, stored(reading)))
    dead = expected if late is Late.DEAD_LETTER else set()
    kept = [event for at, event in enumerate(log) if at not in dead]
    assert outcomes == [(dead, brute_force(kept))] * 10


def test_no_event_of_a_backfill_is_late_and_its_tiles_close() -> None:
    month_ms = 30 * DAY_MS
    log = [
        Event("ab"[at % 2], BEGIN_MS + at * 20_000, at / 8, BEGIN_MS + month_ms + at)
        for at in range(200)
    ]
    log.insert(100, Event("a", YEAR_2099_MS, 1.0, BEGIN_MS + month_ms))
    reading = read(log, Tiling(late=Late.DEAD_LETTER, shards=2), [], 1)
    assert not reading.dead
    assert stored(reading) == brute_force(log)
    # Tiles close on the way: the watermark lags behind by no more than a batch.
    assert reading.reached_ms > log[-1].at_ms - DISORDER_MS - 10 * 20_000
