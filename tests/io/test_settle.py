"""Failed writes of a live job are made up for: whatever failed, the tile holds each event once."""

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pytest
from fragile import ENOUGH, Cut, Fragile
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
from chronon_beam.api.data_types import LONG, STRING
from chronon_beam.api.dialect import TimeUnit
from chronon_beam.api.records import Correction, GetRequest, Phase, PutRequest
from chronon_beam.io.repair import correct
from chronon_beam.io.runs.before_images import IMAGES, BeforeImage
from chronon_beam.io.settle import ADDED_TILE, NOT_COMPARABLE, OPEN_TILE, FailedWrite, settle
from chronon_beam.io.write import failed_write, request_failure
from chronon_beam.transforms.keyed_rows import INPUTS_FROM

GROUP_BY = GroupBy(
    name="t.settled",
    sources=Source(EventSource(query=Query(select("k", "d"), time_column="t"))),
    keys=["k"],
    aggregations=[Aggregation("d", Operation.SUM, [Window(6, TimeUnit.HOURS)])],
)
PLAN = Plan(GROUP_BY, {"k": STRING, "d": LONG, "ts": LONG})
ROWS = PLAN.row_aggregator(PLAN.specs[0], INPUTS_FROM)
KEY = PLAN.keys.encode(("a",))
SIZE_MS = PLAN.specs[0].size_ms
_names = itertools.count()


def tile(events: Iterable[int]) -> bytes:
    """The tile of these events, in whose sum each event is a bit."""
    accumulator = ROWS.zero()
    for event in events:
        ROWS.update(accumulator, (KEY, 0, event, 1 << event), 0)
    return PLAN.tiles.encode(accumulator)


def put(value: bytes) -> PutRequest:
    return PutRequest(KEY, value, GROUP_BY.streaming_dataset, 0, 0, SIZE_MS)


def stored(store: Fragile) -> set[int]:
    """The events in the tile that is stored; each must be there once to be told from others."""
    asked = GetRequest(KEY, GROUP_BY.streaming_dataset, 0, 1, SIZE_MS)
    (found,) = store.multi_get([asked])
    if not found:
        return set()
    (total,) = PLAN.tiles.decode(found[0].value_bytes)[0]
    return {event for event in range(64) if total >> event & 1}


class Lived(NamedTuple):
    """What a job has written in the life of a tile: for each write, whether it has failed."""

    opens: list[bool]
    closing: bool
    lones: list[bool]


lives = st.builds(
    Lived,
    st.lists(st.booleans(), min_size=1, max_size=3),
    st.booleans(),
    st.lists(st.booleans(), max_size=3),
)


def live(store: Fragile, life: Lived) -> list[FailedWrite]:
    """Write as a job does; what has failed, in its order."""
    events = iter(range(64))
    failed: list[FailedWrite] = []
    opened = [next(events) for _ in life.opens]
    for number, fails in enumerate(life.opens, start=1):
        _write(store, put(tile(opened[:number])), fails, failed)
    _write(store, put(complete(tile(opened))), life.closing, failed)
    for fails in life.lones:
        event = next(events)
        lone = Correction(put(tile([event])), Phase.CLOSED_FOR_GOOD, f"s@{event}")
        _write(store, lone, fails, failed)
    return failed


def _write(store: Fragile, write: FailedWrite, fails: bool, failed: list[FailedWrite]) -> None:
    if fails:
        failed.append(write)
    elif isinstance(write, Correction):
        assert correct(store, PLAN, [write]) == [None]
    else:
        assert store.multi_put([write]) == [None]


def expected(life: Lived) -> set[int]:
    return set(range(len(life.opens) + len(life.lones)))


@given(lives, st.integers(0, 12))
def test_all_events_are_stored_once_wherever_it_is_cut_short(life: Lived, cells: int) -> None:
    store = Fragile(f"settle-{next(_names)}")
    failed = live(store, life)
    Fragile.cells_left = cells
    try:
        settle(store, PLAN, failed)
    except Cut:
        pass
    finally:
        Fragile.cells_left = ENOUGH
    reasons = settle(store, PLAN, failed)
    assert set(reasons) <= {None}
    assert stored(store) == expected(life)
    assert settle(store, PLAN, failed) == reasons
    assert stored(store) == expected(life)


@given(lives, st.sampled_from([[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]]))
def test_letters_may_be_settled_in_parts_and_in_any_order(life: Lived, order: list[int]) -> None:
    store = Fragile(f"settle-{next(_names)}")
    failed = live(store, life)
    for part in order:
        settle(store, PLAN, failed[part::4])
    settle(store, PLAN, failed)
    assert stored(store) == expected(life)


def test_an_open_tile_waits_for_its_job_and_is_never_written_over_a_newer_one() -> None:
    store = Fragile(f"settle-{next(_names)}")
    older = put(tile([0]))
    assert settle(store, PLAN, [older]) == [OPEN_TILE]
    assert stored(store) == set()
    store.multi_put([put(tile([0, 1]))])
    assert settle(store, PLAN, [older]) == [OPEN_TILE]
    assert stored(store) == {0, 1}
    store.multi_put([put(complete(tile([0, 1, 2])))])
    assert settle(store, PLAN, [older, put(complete(tile([0, 1])))]) == [None, None]
    assert stored(store) == {0, 1, 2}


def test_the_last_whole_tile_of_a_closed_window_is_written_before_single_events() -> None:
    store = Fragile(f"settle-{next(_names)}")
    store.multi_put([put(complete(tile([0])))])
    whole = [Correction(put(tile(range(number))), Phase.CLOSED, f"s@{number}") for number in (2, 3)]
    lone = Correction(put(tile([3])), Phase.CLOSED_FOR_GOOD, "s@3")
    for _ in range(2):
        assert settle(store, PLAN, [*whole, lone]) == [None] * 3
        assert stored(store) == {0, 1, 2, 3}


def test_a_whole_tile_remains_a_letter_if_the_store_has_events_that_may_not_be_in_it() -> None:
    store = Fragile(f"settle-{next(_names)}")
    store.multi_put([put(complete(tile([0])))])
    corrections = [
        Correction(put(tile([0, 1])), Phase.CLOSED, "s@1"),
        Correction(put(tile([2])), Phase.CLOSED_FOR_GOOD, "s@2"),
    ]
    assert correct(store, PLAN, corrections[1:]) == [None]
    assert settle(store, PLAN, corrections) == [NOT_COMPARABLE, None]
    assert stored(store) == {0, 2}


def test_a_part_of_a_tile_is_left_alone() -> None:
    store = Fragile(f"settle-{next(_names)}")
    image = put(BeforeImage("run", tile([5])).pack())
    store.multi_put([image._replace(dataset=IMAGES.format(image.dataset)), put(tile([5]))])
    assert settle(store, PLAN, [put(complete(tile([0])))]) == [ADDED_TILE]
    assert stored(store) == {5}


def test_rows_are_written_under_their_own_identities() -> None:
    store = Fragile(f"settle-{next(_names)}")
    rows: Sequence[PutRequest] = [
        PutRequest(KEY, b"%d" % n, "D", 7, 7, 0, f"s@{n}#0") for n in range(3)
    ]
    for _ in range(2):
        assert settle(store, PLAN, list(rows)) == [None] * 3
    assert len(store.multi_get([GetRequest(KEY, "D", 7, 8, 0)])[0]) == 3


@pytest.mark.parametrize("phase", [None, *Phase])
def test_a_letter_holds_the_whole_write(phase: Phase | None) -> None:
    request = put(tile([1]))
    write = request if phase is None else Correction(request, phase, "s@1")
    correction = write if isinstance(write, Correction) else None
    assert failed_write(request_failure(request, "full", correction).payload) == write
