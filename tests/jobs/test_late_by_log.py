"""Whether an event is late is decided by its log: batches, crashes and replays decide alike."""

import random
from typing import Any

import pytest
from declarations import plan_over_six_hours
from fragile import Fragile
from hypothesis import given, settings
from hypothesis import strategies as st
from replayed_log import Crash, Event, Reading, promises

from chronon_beam.api import (
    Operation,
)
from chronon_beam.api.dialect import DAY_MS
from chronon_beam.transforms.tiling.settings import Late, Tiling

PLAN = plan_over_six_hours("t.log", Operation.COUNT, Operation.SUM)
(SPEC,) = PLAN.specs
BOUND_MS = 60_001
BEGIN_MS = 1_700_000_100_000 // SPEC.size_ms * SPEC.size_ms

Tiles = dict[tuple[bytes, int], tuple[int, float]]


@st.composite
def logs(draw: st.DrawFn, most: int = 25) -> list[Event]:
    """Events whose time goes on in steps, some of them much too late."""
    steps = st.sampled_from([0, 1_000, 60_000, SPEC.size_ms, 2 * DAY_MS])
    delays = st.sampled_from([0, 0, 0, 30_000, 90_000, SPEC.size_ms + 60_000, 2 * DAY_MS])
    log, now_ms = [], BEGIN_MS + 3 * DAY_MS
    for step_ms, delay_ms, key in draw(
        st.lists(st.tuples(steps, delays, st.sampled_from("ab")), min_size=1, max_size=most)
    ):
        now_ms += step_ms
        log.append(Event(key, now_ms - delay_ms, len(log) / 8))
    return log


def late_positions(log: list[Event], lateness_ms: int) -> set[int]:
    """Which events are late, by the rule alone."""
    pairs = zip(log, promises(log, BOUND_MS), strict=False)
    return {
        position
        for position, (event, promised_ms) in enumerate(pairs)
        if promised_ms >= event.at_ms - event.at_ms % SPEC.size_ms + SPEC.size_ms + lateness_ms - 1
    }


def brute_force(events: list[Event]) -> Tiles:
    found: Tiles = {}
    for key, at_ms, amount in events:
        place = PLAN.keys.encode((key,)), at_ms - at_ms % SPEC.size_ms
        number, total = found.get(place, (0, 0.0))
        found[place] = number + 1, total + amount
    return found


def stored(reading: Reading) -> Tiles:
    found = {}
    for key, _, value in Fragile(reading.store_uri).scan(PLAN.group_by.streaming_dataset):
        tile, _ = PLAN.tiles.decode(value.value_bytes)
        found[key, value.ts_ms] = (tile[0], tile[1])
    return found


def read(log: list[Event], tiling: Tiling, crashes: list[Crash], seed: Any) -> Reading:
    return Reading(PLAN, tiling, log, BOUND_MS, random.Random(seed)).run(crashes)


CRASHES = st.lists(st.builds(Crash, st.integers(0, 12), st.integers(0, 5)), max_size=4)
LATENESS = st.sampled_from([0, 120_000])


@settings(max_examples=150)
@given(logs(), LATENESS, CRASHES, st.integers())
def test_each_event_is_in_its_tile_once_whatever_the_borders(
    log: list[Event], lateness_ms: int, crashes: list[Crash], seed: int
) -> None:
    reading = read(log, Tiling(lateness_ms=lateness_ms, shards=2), crashes, seed)
    assert not reading.dead
    assert stored(reading) == brute_force(log)


@settings(max_examples=150)
@given(logs(), LATENESS, CRASHES, st.integers())
def test_each_event_is_in_its_tile_or_a_dead_letter_as_the_log_says(
    log: list[Event], lateness_ms: int, crashes: list[Crash], seed: int
) -> None:
    late = late_positions(log, lateness_ms)
    tiling = Tiling(lateness_ms=lateness_ms, late=Late.DEAD_LETTER, shards=2)
    reading = read(log, tiling, crashes, seed)
    assert reading.dead == late
    assert stored(reading) == brute_force([e for at, e in enumerate(log) if at not in late])


@pytest.mark.parametrize("late", list(Late))
def test_ten_replays_of_one_log_decide_alike(late: Late) -> None:
    chance = random.Random(11)
    log, now_ms = [], BEGIN_MS + 3 * DAY_MS
    for at in range(250):
        now_ms += chance.choice([0, 5_000, 20_000, 90_000] + [DAY_MS] * (at % 100 == 99))
        delay_ms = chance.choice([0, 10_000, 30_000, 90_000, 400_000, 2 * DAY_MS])
        log.append(Event(chance.choice("abc"), now_ms - delay_ms, at / 8))
    expected = late_positions(log, 0)
    assert 50 < len(expected) < 150
    outcomes = []
    for seed in range(10):
        crashes = [Crash(chance.randrange(80), chance.randrange(6)) for _ in range(5)]
        reading = read(log, Tiling(late=late, shards=2), crashes, seed)
        outcomes.append((reading.dead, stored(reading)))
    dead = expected if late is Late.DEAD_LETTER else set()
    kept = [event for at, event in enumerate(log) if at not in dead]
    assert outcomes == [(dead, brute_force(kept))] * 10
