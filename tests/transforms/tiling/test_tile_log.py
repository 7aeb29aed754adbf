"""The tile log, without Beam: retries, replays, snapshots, closing."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.aggregator.codecs import complete
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import (
    Aggregation,
    EventSource,
    GroupBy,
    Operation,
    Query,
    Source,
    Window,
    select,
)
from chronon_beam.api.data_types import DOUBLE, LONG, STRING
from chronon_beam.api.dialect import TimeUnit
from chronon_beam.transforms.tiling.tile_log import TileLog

WINDOWS = [Window(6, TimeUnit.HOURS)]
GROUP_BY = GroupBy(
    name="t.log",
    sources=Source(EventSource(Query(select("k", "d", "s"), time_column="t"))),
    keys=["k"],
    aggregations=[
        Aggregation("d", Operation.COUNT, WINDOWS),
        Aggregation("d", Operation.SUM, WINDOWS),
        Aggregation("s", Operation.LAST, WINDOWS),
        Aggregation("d", Operation.TOP_K(2), WINDOWS),
    ],
)
PLAN = Plan(GROUP_BY, {"k": STRING, "d": DOUBLE, "s": STRING, "ts": LONG})


class State:
    """Beam's state of one (shard, window), with bundles that may fail."""

    def __init__(self) -> None:
        self.cell: bytes | None = None
        self.log: list[bytes] = []

    def put(self, commit: Any) -> None:
        if commit.replaces:
            self.log.clear()
        if commit.blob is not None:
            self.log.append(commit.blob)
        self.cell = commit.cell

    def read_log(self) -> list[bytes]:
        return list(self.log)

    def copy(self) -> "State":
        other = State()
        other.cell, other.log = self.cell, list(self.log)
        return other


def new_log() -> TileLog:
    return TileLog(PLAN.row_aggregator(offset=2), PLAN.tiles)


def row(key: bytes, ts_ms: int, number: float | None, text: str | None) -> tuple[Any, ...]:
    return (key, ts_ms, number, text)


rows = st.lists(
    st.tuples(
        st.sampled_from([b"a", b"b", b"c"]),
        st.integers(0, 299_999),
        st.none() | st.integers(-50, 50).map(float),
        st.none() | st.sampled_from(["x", "y", "é"]),
    ).map(lambda r: row(*r)),
    max_size=8,
)


def brute_force(batches: list[list[Any]]) -> dict[bytes, bytes]:
    """Last tile of each key, by one accumulator a key."""
    aggregator = PLAN.row_aggregator(offset=2)
    live: dict[bytes, list[Any]] = {}
    for batch in batches:
        for r in batch:
            aggregator.update(live.setdefault(r[0], aggregator.zero()), r, r[1])
    return {key: PLAN.tiles.encode(accumulator) for key, accumulator in live.items()}


@given(st.lists(rows, max_size=10), st.randoms(use_true_random=False), st.booleans())
def test_failed_lost_and_moved_batches_change_nothing(
    batches: list[list[Any]], chance: random.Random, each: bool
) -> None:
    state, live = State(), new_log()
    stored: dict[bytes, bytes] = {}
    for batch in batches:
        for attempt in range(3):
            if chance.random() < 0.3:
                live = new_log()  # another worker
            trial = state.copy()
            live.sync(trial.cell, trial.read_log)
            written = live.aggregate_each(batch) if each else live.aggregate(batch)
            trial.put(live.commit())
            if attempt == 2 or chance.random() < 0.6:
                state = trial
                if each:
                    assert len(written.keys) == len(batch)
                    stored.update(zip(written.keys, written.values, strict=True))
                break
            # The bundle failed: its state is thrown away, the image has gone on.
    live.sync(state.cell, state.read_log)
    closing = live.close()
    expected = brute_force(batches)
    assert dict(zip(closing.keys, closing.values, strict=True)) == {
        key: complete(tile) for key, tile in expected.items()
    }
    if each:
        assert stored == expected


def test_zombie_that_commits_after_another_worker_is_not_trusted() -> None:
    state, first, second = State(), new_log(), new_log()
    first.sync(None, state.read_log)
    first.aggregate_each([row(b"a", 1, 1.0, None)])
    state.put(first.commit())
    second.sync(state.cell, state.read_log)
    second.aggregate_each([row(b"a", 2, 2.0, None)])
    state.put(second.commit())
    # The first one's image lacks the second's batch, and its token tells.
    first.sync(state.cell, state.read_log)
    written = first.aggregate_each([row(b"a", 3, 4.0, None)])
    assert PLAN.tiles.decode(written.values[0])[0][:2] == [3, 7.0]


def test_log_is_replaced_by_a_snapshot_when_it_outgrows_the_tiles() -> None:
    state, live = State(), new_log()
    for ts_ms in range(1200):
        live.sync(state.cell, state.read_log)
        live.aggregate_each([row(b"a", ts_ms, 1.0, None)])
        state.put(live.commit())
    assert len(state.log) < 300
    fresh = new_log()
    fresh.sync(state.cell, state.read_log)
    assert PLAN.tiles.decode(fresh.close().values[0])[0][0] == 1200


def test_buffered_tiles_are_written_once_a_flush() -> None:
    live = new_log()
    live.sync(None, list)
    live.aggregate([row(b"a", 1, 1.0, "x"), row(b"a", 2, 1.0, "y"), row(b"b", 3, 1.0, "z")])
    live.commit()
    assert live.flush().keys == [b"a", b"b"]
    assert live.flush().keys == []


def test_what_is_due_survives_a_move() -> None:
    state, live = State(), new_log()
    live.sync(None, state.read_log)
    live.aggregate([row(b"a", 1, 1.0, "x")])
    live.flush_armed = True
    state.put(live.commit())
    moved = new_log()
    moved.sync(state.cell, state.read_log)
    assert moved.flush().keys == [b"a"]


def test_log_of_another_version_is_refused() -> None:
    state, live = State(), new_log()
    live.sync(None, state.read_log)
    live.aggregate_each([row(b"a", 1, 1.0, None)])
    state.put(live.commit())
    state.log[0] = b"\x09" + state.log[0][1:]
    with pytest.raises(ValueError, match="version 9"):
        new_log().sync(state.cell, state.read_log)
