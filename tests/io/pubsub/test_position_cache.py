"""A message counts once for as long as it is remembered, whatever becomes of the cache."""

from collections.abc import Iterable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.io.pubsub.distinct import shards_of
from chronon_beam.io.pubsub.position_cache import PositionCache

REMEMBER_MS = 100_000
batches = st.lists(
    st.tuples(
        st.lists(st.integers(0, 30), max_size=8),
        st.integers(0, 50_000),
        st.sampled_from(["goes on", "is another process", "goes back"]),
    ),
    max_size=30,
)


class State:
    """What a runner keeps."""

    def __init__(self) -> None:
        self.bags: list[list[bytes]] = [[], []]
        self.cell: bytes | None = None

    def copy(self) -> "State":
        other = State()
        other.bags, other.cell = [list(bag) for bag in self.bags], self.cell
        return other

    def read(self, generation: int) -> Iterable[bytes]:
        return self.bags[generation]

    def take(self, remembered: PositionCache, positions: list[int], now_ms: int) -> list[int]:
        """The new ones of the positions."""
        array = np.array(positions, np.int64)
        taken = remembered.take(array, self.cell, self.read, now_ms)
        if taken.begins:
            self.bags[taken.young] = []
        if taken.blob:
            self.bags[taken.young].append(taken.blob)
        self.cell = taken.cell
        return [positions[index] for index in taken.fresh]


@given(batches)
def test_it_is_the_set_of_what_the_runner_kept(drawn: list[tuple[list[int], int, str]]) -> None:
    remembered, state, now_ms = PositionCache(REMEMBER_MS), State(), 0
    seen_at: dict[int, int] = {}
    for positions, later_ms, then in drawn:
        now_ms += later_ms
        before, seen_before = state.copy(), dict(seen_at)
        fresh = state.take(remembered, positions, now_ms)
        for each in set(positions):
            age_ms = now_ms - seen_at.get(each, -3 * REMEMBER_MS)
            if age_ms <= REMEMBER_MS:
                assert each not in fresh
            elif each not in seen_at:
                assert fresh.count(each) == 1
        seen_at |= dict.fromkeys(fresh, now_ms)
        if then == "goes back":  # to the checkpoint before the batch; the cache stays
            state, seen_at = before, seen_before
        elif then == "is another process":
            remembered = PositionCache(REMEMBER_MS)


def test_it_forgets_in_time_that_the_job_ran_and_not_while_it_stood_still() -> None:
    remembered, state = PositionCache(REMEMBER_MS), State()
    assert state.take(remembered, [1], 0) == [1]
    a_month_ms = 30 * 24 * 3_600_000
    assert state.take(PositionCache(REMEMBER_MS), [1], a_month_ms) == []
    for minute in range(5):
        state.take(remembered, [], a_month_ms + minute * 60_000)
    assert state.take(remembered, [1], a_month_ms + 300_000) == [1]
    assert sum(map(len, state.bags[0] + state.bags[1])) == 8


def test_many_positions_are_known() -> None:
    remembered, state = PositionCache(REMEMBER_MS), State()
    many = list(range(0, 300_000, 2))
    for start in range(0, len(many), 10_000):
        assert len(state.take(remembered, many[start : start + 10_000], 0)) == 10_000
    assert state.take(remembered, many, 0) == []
    assert state.take(remembered, [1, 1, 3, 4], 0) == [1, 3]


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1), st.integers(1, 64))
def test_a_message_is_always_of_the_same_shard(positions: list[int], shards: int) -> None:
    found = shards_of(np.array(positions, np.int64), shards)
    assert (found < shards).all()
    assert (found[-1:] == shards_of(np.array(positions[-1:], np.int64), shards)).all()


def test_ids_that_have_a_pattern_are_spread() -> None:
    counts = np.bincount(shards_of(np.arange(0, 80_000, 8, np.int64), 8).astype(int))
    assert counts.min() > 1000
