"""The life of the tiles of a window, without Beam: phases, retries, replays, snapshots."""

import random
from typing import Any

import pytest
from beam_state import State
from declarations import group_by, windows
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.aggregator.codecs import complete
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import (
    Aggregation,
    Operation,
)
from chronon_beam.api.data_types import DOUBLE, LONG, STRING
from chronon_beam.api.records import Phase
from chronon_beam.transforms.keyed_rows import INPUTS_FROM
from chronon_beam.transforms.tiling.life import KEPT_MS, Life
from chronon_beam.transforms.tiling.shards import ShardBatch
from chronon_beam.transforms.tiling.state import LogBlob
from chronon_beam.transforms.tiling.window_tiles import NO_EFFECTS, Effects, WindowTiles

WINDOWS = windows("6h")
GROUP_BY = group_by(
    "t.log",
    ["k"],
    [
        Aggregation("d", Operation.COUNT, WINDOWS),
        Aggregation("d", Operation.SUM, WINDOWS),
        Aggregation("s", Operation.LAST, WINDOWS),
        Aggregation("d", Operation.TOP_K(2), WINDOWS),
    ],
)
PLAN = Plan(GROUP_BY, {"k": STRING, "d": DOUBLE, "s": STRING, "ts": LONG})


END_MS = 300_000
LATENESS_MS = 60_000
LATE_MS = END_MS + LATENESS_MS - 1
"""The lowest promise after which an event of the window is late."""


def new_tiles(buffered: bool = False, lateness_ms: int = LATENESS_MS) -> WindowTiles:
    rows = PLAN.row_aggregator(offset=INPUTS_FROM)
    return WindowTiles(rows, PLAN.tiles, Life(0, END_MS, lateness_ms), buffered)


def row(key: bytes, ts_ms: int, number: float | None, text: str | None = None) -> tuple[Any, ...]:
    return (key, ts_ms, ts_ms, number, text)


class Window:
    """A window that commits the effects of every call."""

    def __init__(self, tiles: WindowTiles | None = None) -> None:
        self.tiles = tiles or new_tiles()
        self.state = State()

    def event(self, ts_ms: int, number: float, promised_ms: int | None = None) -> Effects:
        """An event of key `a`."""
        promises = [] if promised_ms is None else [promised_ms]
        return self.rows([row(b"a", ts_ms, number)], promises)

    def rows(self, rows: list[Any], promised_ms: list[int] | None = None) -> Effects:
        batch = ShardBatch("topic/0", rows, promised_ms or [])
        return self._done(self.tiles.receive(batch, self.state.cell.read(), self.state.log.read))

    def end_phase(self) -> Effects:
        return self._done(self.tiles.end_phase(self.state.cell.read(), self.state.log.read))

    def flush(self) -> Effects:
        return self._done(self.tiles.flush(self.state.cell.read(), self.state.log.read))

    def _done(self, effects: Effects) -> Effects:
        self.state.take(effects.change)
        return effects

    def tiles_in_log(self) -> list[float]:
        """The sums in the log, of the key's tile."""
        return [
            sums(value)
            for blob in self.state.log.read()
            for value in LogBlob.unpack(blob).columns.values
        ]


def sums(tile: bytes) -> float:
    return PLAN.tiles.decode(tile)[0][1]


Write = tuple[Phase, list[float], list[str]]


def all_written(effects: Effects) -> list[Write]:
    """What is written, in its order: phase, sums and events."""
    return [(each.phase, list(map(sums, each.values)), list(each.events)) for each in effects.tiles]


def written(effects: Effects) -> Write | None:
    """The only tiles that are written; None for none."""
    found = all_written(effects)
    assert len(found) <= 1
    return found[0] if found else None


def is_complete(effects: Effects) -> list[bool]:
    return [PLAN.tiles.decode(value)[1] for each in effects.tiles for value in each.values]


def test_open_and_closed_windows_write_whole_tiles_and_one_of_them_is_complete() -> None:
    window = Window()
    opened = window.event(1, 1.0)
    assert (written(opened), is_complete(opened)) == ((Phase.OPEN, [1.0], []), [False])
    assert opened.ends_at_ms == END_MS - 1
    assert written(window.event(2, 2.0)) == (Phase.OPEN, [3.0], [])
    closing = window.end_phase()
    assert (written(closing), is_complete(closing)) == ((Phase.OPEN, [3.0], []), [True])
    assert closing.ends_at_ms == END_MS + LATENESS_MS
    in_time = window.event(3, 4.0, promised_ms=END_MS)
    assert written(in_time) == (Phase.CLOSED, [7.0], ["topic/0@3"])
    assert is_complete(in_time) == [False]
    assert (in_time.late, in_time.ends_at_ms) == (0, None)


def test_after_a_window_has_closed_for_good_each_event_is_a_tile_of_its_own() -> None:
    window = Window()
    window.event(1, 1.0)
    window.end_phase()
    let_go = window.end_phase()
    assert (written(let_go), window.tiles_in_log()) == (None, [])
    assert let_go.ends_at_ms == END_MS + LATENESS_MS + KEPT_MS
    late = window.event(4, 8.0, promised_ms=LATE_MS)
    assert written(late) == (Phase.CLOSED_FOR_GOOD, [8.0], ["topic/0@4"])
    assert written(window.event(5, 16.0)) == (Phase.CLOSED_FOR_GOOD, [16.0], ["topic/0@5"])
    assert (late.late, window.tiles_in_log()) == (1, [])
    expired = window.end_phase()
    assert expired.ends_at_ms is None
    assert (window.state.cell.read(), window.state.log.read()) == (None, [])


def test_late_events_of_a_new_or_expired_window_are_tiles_of_their_own() -> None:
    window = Window()
    lone = window.event(6, 32.0, promised_ms=LATE_MS)
    assert written(lone) == (Phase.CLOSED_FOR_GOOD, [32.0], ["topic/0@6"])
    assert lone.ends_at_ms == END_MS - 1
    again = window.event(7, 64.0, promised_ms=LATE_MS)
    assert written(again) == (Phase.CLOSED_FOR_GOOD, [64.0], ["topic/0@7"])
    assert written(window.end_phase()) is None
    for _ in range(2):
        window.end_phase()
    assert window.state.cell.read() is None


@pytest.mark.parametrize("buffered", [False, True])
@pytest.mark.parametrize("moves", [False, True])
def test_the_first_event_in_time_replaces_what_late_ones_have_stored(
    buffered: bool, moves: bool
) -> None:
    window = Window(new_tiles(buffered))
    window.event(1, 1.0, promised_ms=LATE_MS)
    if moves:
        window.tiles = new_tiles(buffered)
    in_time = window.event(2, 2.0)
    whole = (Phase.OPEN, [3.0], ["topic/0@2"])
    assert all_written(in_time) == [whole] if buffered else [(Phase.OPEN, [3.0], []), whole]
    late = window.event(3, 4.0, promised_ms=LATE_MS)
    assert written(late) == (None if buffered else (Phase.OPEN, [7.0], []))
    assert (written(window.end_phase()) or [])[1] == [7.0]


def test_a_late_event_of_a_closed_window_is_a_tile_of_its_own_and_in_the_next_whole_one() -> None:
    window = Window()
    window.event(1, 1.0)
    window.end_phase()
    late = window.event(2, 2.0, promised_ms=LATE_MS)
    assert written(late) == (Phase.CLOSED_FOR_GOOD, [2.0], ["topic/0@2"])
    in_time = window.event(3, 4.0, promised_ms=END_MS)
    assert written(in_time) == (Phase.CLOSED, [7.0], ["topic/0@3"])


def test_without_lateness_a_window_closes_for_good_at_its_end() -> None:
    window = Window(new_tiles(lateness_ms=0))
    window.event(1, 1.0)
    assert is_complete(window.end_phase()) == [True]
    assert (written(window.event(2, 2.0)) or [])[0] is Phase.CLOSED_FOR_GOOD


def test_late_events_of_an_open_window_are_in_its_tile_and_counted() -> None:
    window = Window()
    promised_ms = [0, LATE_MS - 1, LATE_MS, LATE_MS + 1]
    effects = window.rows([row(b"a", at, at + 1.0) for at in range(4)], promised_ms)
    assert all_written(effects) == [(Phase.OPEN, [1.0, 3.0], []), (Phase.OPEN, [6.0, 10.0], [])]
    assert effects.late == 2


def test_rows_of_one_late_event_have_names_of_their_own() -> None:
    rows = [row(b"a", 7, 1.0), row(b"a", 7, 2.0), row(b"b", 7, 4.0)]
    effects = Window().rows(rows, [LATE_MS] * 3)
    assert written(effects)[2] == ["topic/0@7", "topic/0@7#1", "topic/0@7"]


def test_a_timer_of_a_window_without_state_does_nothing() -> None:
    window = Window()
    assert window.end_phase() == NO_EFFECTS
    assert window.flush() == NO_EFFECTS


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
    """Last tile of each key, by one accumulator per key."""
    aggregator = PLAN.row_aggregator(offset=INPUTS_FROM)
    found: dict[bytes, list[Any]] = {}
    for batch in batches:
        for r in batch:
            aggregator.update(found.setdefault(r[0], aggregator.zero()), r, r[1])
    return {key: PLAN.tiles.encode(accumulator) for key, accumulator in found.items()}


def by_key(effects: Effects) -> dict[bytes, bytes]:
    return {
        key: value
        for each in effects.tiles
        for key, value in zip(each.keys, each.values, strict=True)
    }


@given(st.lists(rows, max_size=10), st.randoms(use_true_random=True), st.booleans())
def test_failed_lost_and_moved_batches_change_nothing(
    batches: list[list[Any]], chance: random.Random, buffered: bool
) -> None:
    state, tiles = State(), new_tiles(buffered)
    stored: dict[bytes, bytes] = {}
    for batch in batches:
        for attempt in range(3):
            if chance.random() < 0.3:
                tiles = new_tiles(buffered)  # another worker
            trial = state.checkpoint()
            effects = tiles.receive(ShardBatch("s", batch, []), trial.cell.read(), trial.log.read)
            trial.take(effects.change)
            if attempt == 2 or chance.random() < 0.6:
                state = trial
                stored.update(by_key(effects))
                break
            # The bundle failed: its state is thrown away, the cache has gone on.
    expected = brute_force(batches)
    assert stored == ({} if buffered else expected)
    closing = tiles.end_phase(state.cell.read(), state.log.read)
    assert by_key(closing) == {key: complete(tile) for key, tile in expected.items()}


def test_zombie_that_commits_after_another_worker_is_not_trusted() -> None:
    window, first, second = Window(), new_tiles(), new_tiles()
    for at_ms, window.tiles in ((1, first), (2, second)):
        window.event(at_ms, float(at_ms))
    # The first one's cache lacks the second's batch, and its token tells.
    window.tiles = first
    assert written(window.event(3, 4.0))[1] == [7.0]


def test_log_is_replaced_by_a_snapshot_when_it_outgrows_the_tiles() -> None:
    window = Window()
    for ts_ms in range(1200):
        window.event(ts_ms, 1.0)
    assert len(window.state.log.blobs) < 300
    window.tiles = new_tiles()
    assert written(window.end_phase())[1] == [1200.0]


def test_buffered_tiles_are_written_once_per_flush() -> None:
    window = Window(new_tiles(buffered=True))
    effects = window.rows([row(b"a", 1, 1.0), row(b"a", 2, 1.0), row(b"b", 3, 1.0)])
    assert (effects.tiles, effects.sets_flush) == ((), True)
    assert not window.event(4, 1.0).sets_flush
    assert written(window.flush()) == (Phase.OPEN, [3.0, 1.0], [])
    assert written(window.flush()) is None
    assert window.event(5, 1.0).sets_flush


def test_buffered_tiles_that_are_due_survive_a_move() -> None:
    window = Window(new_tiles(buffered=True))
    window.event(1, 1.0)
    window.tiles = new_tiles(buffered=True)
    assert written(window.flush()) == (Phase.OPEN, [1.0], [])


def test_buffered_tiles_that_have_closed_are_corrected_at_once() -> None:
    window = Window(new_tiles(buffered=True))
    window.event(1, 1.0)
    window.end_phase()
    effects = window.event(2, 2.0)
    assert (written(effects)[0], effects.sets_flush) == (Phase.CLOSED, False)
    assert window.flush() == NO_EFFECTS


def test_state_of_another_version_is_refused() -> None:
    window = Window()
    window.event(1, 1.0)
    blob, cell = window.state.log.blobs[0], window.state.cell.value
    window.tiles, window.state.log.blobs[0] = new_tiles(), b"\x09" + blob[1:]
    with pytest.raises(ValueError, match="version 9"):
        window.event(2, 1.0)
    window.state.cell.value = b"\x08" + (cell or b"")[1:]
    with pytest.raises(ValueError, match="version 8"):
        window.event(2, 1.0)
