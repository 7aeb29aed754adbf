"""Late events and failures: the stored tile is what all events give, whatever was done twice.

One (shard, window) is led through its life without a runner: the product's own steps from the
stateful one to the store, with Beam's state and timer in plain fields. An attempt may end anywhere,
also between two cells of one write; then the state is that of an earlier checkpoint again, while
the store keeps what it was given.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pytest
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import IntervalWindow
from apache_beam.utils.timestamp import Timestamp
from beam_state import State
from declarations import plan_over_six_hours
from fragile import ENOUGH, Cut, Fragile
from hypothesis import given, settings
from hypothesis import strategies as st

from chronon_beam.api import (
    Operation,
)
from chronon_beam.api.counts import uncounted
from chronon_beam.api.records import MIN_MS, Correction, GetRequest, Phase, PutRequest
from chronon_beam.io.kv_store import MemoryStore
from chronon_beam.io.repair import WriteTiles, WriteTilesFn
from chronon_beam.transforms.convert import tile_requests
from chronon_beam.transforms.tiling.settings import Tiling
from chronon_beam.transforms.tiling.shards import ShardBatch
from chronon_beam.transforms.tiling.tile_fn import EveryEventFn

PLAN = plan_over_six_hours("t.late", Operation.COUNT, Operation.SUM, Operation.TOP_K(3))
(SPEC,) = PLAN.specs
PANE = IntervalWindow(Timestamp(0), Timestamp(SPEC.size_ms / 1000))
DATASET = PLAN.group_by.streaming_dataset
KEYS = [PLAN.keys.encode((name,)) for name in "ab"]
DAY_MS = 24 * 60 * 60 * 1000

_names = itertools.count()


class Rows(NamedTuple):
    """A batch that comes: key and amount of each row, by position."""

    promised_ms: int
    events: tuple[tuple[int, int, int], ...]


TIMER = None
Step = Rows | None


class Worker:
    """The steps from state to store, in a process of their own."""

    def __init__(self, uri: str, lateness_ms: int) -> None:
        self._fn = EveryEventFn(PLAN, SPEC, Tiling(lateness_ms=lateness_ms), uncounted)
        self._fn.setup()
        self._write = WriteTilesFn(WriteTiles(PLAN, uri, uncounted))
        self._write.setup()

    def bundle(self, steps: Iterable[Step], state: State) -> None:
        self._write.start_bundle()
        for step in steps:
            for tiles in self._step(step, state):
                dead = list(self._write.process(tile_requests(tiles, DATASET)))
                assert not any(isinstance(each, TaggedOutput) for each in dead)
        list(self._write.finish_bundle())

    def _step(self, step: Step, state: State) -> Iterator[Any]:
        if step is TIMER:
            return self._fn.on_phase_end(b"0", PANE, state.log, state.cell, state.phase_end)
        rows = [(KEYS[key], at, at, amount / 8) for key, amount, at in step.events]
        promised_ms = [step.promised_ms] * len(rows)
        element = b"0", ShardBatch("topic/0", rows, promised_ms).pack()
        return self._fn.process(element, PANE, state.log, state.cell, state.phase_end)


class Failing(NamedTuple):
    """An attempt that ends.

    Attributes:
        cells: how many it writes.
        back: how many bundles before that the checkpoint lies.
        swapped: the timer fires one bundle later when it is done again.
    """

    cells: int
    back: int
    swapped: bool


def live(bundles: list[list[Step]], failing: list[Failing], lateness_ms: int = 0) -> MemoryStore:
    """Run all bundles to their end; the store."""
    uri = f"fragile:{next(_names)}"
    checkpoints, ahead = [State()], list(failing)
    worker = Worker(uri, lateness_ms)
    Fragile.cells_left = ahead[0].cells if ahead else ENOUGH
    while len(checkpoints) <= len(bundles):
        state = checkpoints[-1].checkpoint()
        try:
            worker.bundle(bundles[len(checkpoints) - 1], state)
            checkpoints.append(state)
        except Cut:
            failed = ahead.pop(0)
            del checkpoints[max(1, len(checkpoints) - failed.back) :]
            if failed.swapped:
                swap_timer(bundles, len(checkpoints) - 1)
            worker = Worker(uri, lateness_ms)
            Fragile.cells_left = ahead[0].cells if ahead else ENOUGH
    Fragile.cells_left = ENOUGH
    return Fragile(uri)


def swap_timer(bundles: list[list[Step]], since: int) -> None:
    """Of the bundles that are done again, let a late one change places with a timer's.

    A late event may come before the timer in one attempt, and after it in another one.
    """
    for at in range(since, len(bundles) - 1):
        pair = bundles[at : at + 2]
        steps = itertools.chain.from_iterable(pair)
        are_late = all(step is TIMER or step.promised_ms == LATE_MS for step in steps)
        if [TIMER] in pair and are_late:
            bundles[at : at + 2] = pair[::-1]
            return


def stored(store: MemoryStore) -> dict[bytes, tuple[int, float, list[float]]]:
    asked = [GetRequest(key, DATASET, 0, 1, SPEC.size_ms) for key in KEYS]
    found = {}
    for key, values in zip(KEYS, store.multi_get(asked), strict=True):
        for value in values:
            (number, total, top), _ = PLAN.tiles.decode(value.value_bytes)
            found[key] = number, total, sorted(top)
    return found


def expected(bundles: list[list[Step]]) -> dict[bytes, tuple[int, float, list[float]]]:
    amounts: dict[bytes, list[float]] = {}
    for step in itertools.chain.from_iterable(bundles):
        for key, amount, _ in step.events if step else ():
            amounts.setdefault(KEYS[key], []).append(amount / 8)
    return {key: (len(all_), sum(all_), sorted(all_)[-3:]) for key, all_ in amounts.items()}


@st.composite
def batches(draw: st.DrawFn, promised_ms: int, first: int, most: int) -> list[list[Step]]:
    """Bundles of one or two batches; positions begin at `first`."""
    found, at = [], itertools.count(first)
    for _ in range(draw(st.integers(1, most))):
        pairs = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 99)), min_size=1, max_size=3)
        found.append(
            [
                Rows(promised_ms, tuple((key, amount, next(at)) for key, amount in draw(pairs)))
                for _ in range(draw(st.integers(1, 2)))
            ]
        )
    return found


ATTEMPTS = st.lists(
    st.builds(Failing, st.integers(0, 12), st.integers(0, 5), st.booleans()), max_size=4
)
LATE_MS = SPEC.size_ms + 2 * DAY_MS


@settings(max_examples=200)
@given(batches(MIN_MS, 1, 3), batches(LATE_MS, 100, 4), ATTEMPTS, st.booleans())
def test_late_events_are_in_the_tile_once_whatever_fails(
    open_: list[list[Step]], late: list[list[Step]], failing: list[Failing], in_one: bool
) -> None:
    # The timer may fire in the bundle that brings the first late event.
    closing = [[TIMER, *late[0]]] if in_one else [[TIMER], late[0]]
    bundles = [*open_, *closing, *late[1:]]
    assert stored(live(bundles, failing)) == expected(bundles)


@settings(max_examples=200)
@given(
    batches(MIN_MS, 1, 2),
    batches(SPEC.size_ms, 100, 3),
    batches(LATE_MS, 200, 3),
    ATTEMPTS,
)
def test_events_within_the_lateness_and_later_ones_are_in_the_tile_once(
    open_: list[list[Step]],
    in_time: list[list[Step]],
    late: list[list[Step]],
    failing: list[Failing],
) -> None:
    bundles = [*open_, [TIMER], *in_time, [TIMER], *late]
    assert stored(live(bundles, failing, lateness_ms=DAY_MS)) == expected(bundles)


@settings(max_examples=200)
@given(batches(LATE_MS, 1, 5), ATTEMPTS)
def test_events_of_a_window_that_nothing_is_known_of_are_added_to_the_stored_tile_once(
    late: list[list[Step]], failing: list[Failing]
) -> None:
    assert stored(live(late, failing)) == expected(late)


@pytest.mark.parametrize("lateness_ms", [0, DAY_MS])
@pytest.mark.parametrize("key", [0, 1])
def test_a_late_event_that_one_attempt_finds_open_and_the_next_one_closed_is_there_once(
    lateness_ms: int, key: int
) -> None:
    closing: list[list[Step]] = [[TIMER], [TIMER]] if lateness_ms else [[TIMER]]
    for cells, back in itertools.product(range(10), range(4)):
        bundles = [[Rows(MIN_MS, ((0, 1, 1),))], [Rows(LATE_MS, ((key, 2, 2),))], *closing]
        failing = [Failing(cells, back, swapped=True)]
        assert stored(live(bundles, failing, lateness_ms)) == expected(bundles)


def test_the_closing_write_alone_is_complete() -> None:
    on_time, late = Rows(MIN_MS, ((0, 8, 1),)), Rows(LATE_MS, ((0, 16, 2),))
    asked = [GetRequest(KEYS[0], DATASET, 0, 1, SPEC.size_ms)]
    for bundles, is_complete in (
        ([[on_time]], False),
        ([[on_time], [TIMER]], True),
        ([[on_time], [TIMER], [late]], False),
        ([[on_time], [TIMER], [late], [TIMER]], False),
    ):
        ((value,),) = live(bundles, []).multi_get(asked)
        assert PLAN.tiles.decode(value.value_bytes)[1] is is_complete


def test_tiles_that_cannot_be_merged_are_dead_letters_of_their_late_event() -> None:
    uri = f"fragile:{next(_names)}"
    put = PutRequest(KEYS[0], b"\xff", DATASET, 0, 0, SPEC.size_ms)
    store = Fragile(uri)
    store.multi_put([put])
    write = WriteTilesFn(WriteTiles(PLAN, uri, uncounted))
    write.setup()
    tile = PLAN.tiles.encode(PLAN.aggregator.zero())
    late = Correction(put._replace(value_bytes=tile), Phase.CLOSED_FOR_GOOD, "topic/0@7")
    failure, written = write.process([late])
    assert written == 0
    assert (failure.value.source, failure.value.position) == ("topic/0", 7)
    assert failure.value.reason.startswith("late event is not in its tile: ")
    assert (
        store.multi_get([GetRequest(KEYS[0], DATASET, 0, 1, SPEC.size_ms)])[0][0].value_bytes
        == b"\xff"
    )
