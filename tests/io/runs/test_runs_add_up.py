"""Runs in any order, again, over more, over files that have grown, and killed: nothing is lost."""

from functools import partial
from typing import NamedTuple

import pytest
from fragile import Fragile
from hypothesis import given, settings
from hypothesis import strategies as st
from runs_model import DATASET, World, killed_after, names

from chronon_beam.api.records import GetRequest, TimedValue
from chronon_beam.io.kv_store import MemoryStore
from chronon_beam.io.runs.before_images import IMAGES
from chronon_beam.io.runs.entry import Entry
from chronon_beam.io.units import ChangedFile

PATHS = ["a", "b", "c", "d"]
EVENTS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 99)), max_size=5)


class Grow(NamedTuple):
    path: str
    events: list[tuple[int, int, int]]


class Start(NamedTuple):
    """A run over some files.

    Attributes:
        every: how many events a batch has.
        cells: after so many it is killed; many: it is not.
    """

    paths: frozenset[str]
    every: int
    cells: int


STEPS = st.lists(
    st.builds(Grow, st.sampled_from(PATHS), EVENTS)
    | st.builds(
        Start,
        st.frozensets(st.sampled_from(PATHS), min_size=1),
        st.integers(1, 4),
        st.integers(0, 12) | st.just(10_000),
    ),
    max_size=10,
)


@settings(max_examples=600)
@given(st.lists(EVENTS, min_size=4, max_size=4), STEPS)
def test_a_dataset_holds_what_finished_runs_have_read_and_nothing_twice(
    contents: list[list[tuple[int, int, int]]], steps: list[Grow | Start]
) -> None:
    name = str(next(names))
    world = World(Fragile(name), dict(zip(PATHS, contents, strict=True)))
    read: dict[str, int] = {}
    for step in steps:
        if isinstance(step, Grow):
            world.files[step.path] = world.files[step.path] + step.events
            continue
        entries: list[Entry] = []
        killed = killed_after(step.cells, partial(world.run_into, entries, step.paths, step.every))
        if not killed:
            read |= {path: len(world.files[path]) for path in step.paths}
            assert entries[0].idle or world.tiles() == world.expected(read.items())
    world.run(PATHS)
    assert world.tiles() == world.expected((path, len(world.files[path])) for path in PATHS)
    MemoryStore.forget(name)


def test_a_file_that_has_changed_otherwise_than_by_growing_is_refused() -> None:
    world = World(MemoryStore(str(next(names))), {"a": [(0, 0, 1), (0, 0, 2)]})
    world.run("a")
    before = world.tiles()
    for changed in ([(0, 0, 9), (0, 0, 2), (1, 0, 3)], [(0, 0, 1)], [(1, 1, 1)] * 2):
        world.files["a"] = changed
        with pytest.raises(ChangedFile, match=r"a was read by an earlier run .*--existing=replace"):
            world.run("a")
    assert world.tiles() == before
    world.run("a", existing="replace")
    assert world.tiles() == world.expected([("a", 2)])


@settings(max_examples=200)
@given(st.integers(0, 12), st.integers(0, 12), st.booleans())
def test_replace_leaves_nothing_of_what_was_there_wherever_it_is_killed(
    first: int, second: int, again: bool
) -> None:
    events = [(0, 0, 5), (1, 0, 6), (0, 1, 7)]
    name = str(next(names))
    world = World(Fragile(name), {"a": events, "b": events[:2], "c": events[1:]})
    world.run("a")
    killed_after(first, lambda: world.run("b"))
    if killed_after(second, lambda: world.run("c", existing="replace", definition="new")):
        world.run("c", existing="replace" if again or not second else None, definition="new")
    assert world.tiles() == world.expected([("c", 2)])
    MemoryStore.forget(name)


def test_the_first_run_reads_nothing_and_notes_no_image() -> None:
    world = World(Counting(str(next(names))), {"a": [(k % 7, 0, k) for k in range(50)]})
    world.run("a", every=5)
    assert world.store.reads == 0
    assert world.store.is_empty(IMAGES.format(DATASET))
    world.files["b"] = world.files["a"]
    world.run("b", every=5)
    assert world.store.reads == 2 * 7  # a tile and its image, once


def test_tiles_are_complete_once_the_run_that_wrote_last_has_ended() -> None:
    world = World(Fragile(str(next(names))), {"a": [(0, 0, 5), (0, 0, 6)], "b": [(0, 0, 7)]})
    world.run("a")
    assert world.complete() == {True}
    assert killed_after(3, lambda: world.run("b"))  # after the ledger, an image and a tile
    assert world.complete() == {False}
    world.run("b")
    assert world.complete() == {True}


class Counting(MemoryStore):
    """Counts the values that are asked for."""

    reads = 0

    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        self.reads += len(requests)
        return super().multi_get(requests)
