"""Chronon's bounded heap against a direct model."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.aggregator.operations.min_heap import MinHeap

Pair = tuple[int, int]


def rank(pair: Pair) -> int:
    return pair[0]


def heap_of(k: int, largest: bool) -> MinHeap:
    return MinHeap(k, rank, rank, largest)


# Elements of few ranks, so that many are equal; the second number is the order of arrival.
ARRIVALS = st.lists(st.integers(0, 6), max_size=25).map(
    lambda ranks: [(rank, arrival) for arrival, rank in enumerate(ranks)]
)


@given(ARRIVALS, st.integers(1, 6), st.booleans())
def test_the_k_best_are_kept(arrivals: list[Pair], k: int, largest: bool) -> None:
    heap = heap_of(k, largest)
    kept: list[Any] = []
    for element in arrivals:
        kept = heap.insert(kept, element)
    best = sorted((rank(pair) for pair in arrivals), reverse=largest)[:k]
    assert [rank(pair) for pair in heap.best_first(kept)] == best


@given(ARRIVALS, st.integers(1, 6), st.booleans())
def test_once_full_the_worst_stands_at_the_root(
    arrivals: list[Pair], k: int, largest: bool
) -> None:
    heap = heap_of(k, largest)
    kept: list[Any] = []
    for element in arrivals:
        heap.insert(kept, element)
        if len(kept) == k:
            worst = (min if largest else max)(rank(pair) for pair in kept)
            assert rank(kept[0]) == worst


@pytest.mark.parametrize("largest", [True, False])
def test_of_equal_elements_the_newest_stays(largest: bool) -> None:
    heap = heap_of(1, largest)
    kept: list[Any] = []
    for arrival in range(4):
        heap.insert(kept, (7, arrival))
    assert kept == [(7, 3)]


@given(ARRIVALS, st.integers(1, 5), st.booleans())
def test_element_as_good_as_the_worst_takes_its_place(
    arrivals: list[Pair], k: int, largest: bool
) -> None:
    heap = heap_of(k, largest)
    kept: list[Any] = []
    for element in arrivals:
        before = list(kept)
        heap.insert(kept, element)
        if len(before) == k:
            worse = rank(element) < rank(before[0]) if largest else rank(element) > rank(before[0])
            expected = before if worse else [*before[1:], element]
            assert sorted(kept) == sorted(expected)


@given(ARRIVALS, st.integers(1, 6), st.booleans(), st.integers(0, 25))
def test_merge_keeps_the_best_of_both(
    arrivals: list[Pair], k: int, largest: bool, cut: int
) -> None:
    heap = heap_of(k, largest)
    halves: list[list[Any]] = [[], []]
    for element in arrivals:
        heap.insert(halves[element[1] >= cut], element)
    other = list(halves[1])
    merged = heap.merge(halves[0], halves[1])
    best = sorted((rank(pair) for pair in arrivals), reverse=largest)[:k]
    assert [rank(pair) for pair in heap.best_first(merged)] == best
    assert halves[1] == other


def test_until_full_the_order_is_that_of_arrival() -> None:
    heap = heap_of(4, largest=True)
    kept: list[Any] = []
    for element in [(3, 0), (1, 1), (2, 2)]:
        heap.insert(kept, element)
    assert kept == [(3, 0), (1, 1), (2, 2)]
    assert heap.insert(kept, (0, 3)) == [(0, 3), (1, 1), (2, 2), (3, 0)]
