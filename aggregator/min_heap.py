"""Chronon's bounded heap, step by step: the order of its list is part of a tile's bytes.

Source: `ai.chronon.aggregator.base.MinHeap`. The list is in order of arrival until it holds k
elements; then it is sorted once, worst first, and kept as a heap with the worst at its root.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import ge, gt, le, lt
from typing import Any


@dataclass(frozen=True)
class MinHeap:
    """Keeps the `k` best elements of a list.

    Attributes:
        k: how many are kept; at least 1.
        rank: what elements are compared by.
        sort_rank: what they are sorted by, where that differs (doubles: NaN, -0.0).
        largest: whether the largest are the best, or the smallest.
    """

    k: int
    rank: Callable[[Any], Any]
    sort_rank: Callable[[Any], Any]
    largest: bool
    _better: Callable[[Any, Any], bool] = field(init=False, repr=False)
    _as_good: Callable[[Any, Any], bool] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        better, as_good = (gt, ge) if self.largest else (lt, le)
        object.__setattr__(self, "_better", better)
        object.__setattr__(self, "_as_good", as_good)

    def insert(self, heap: list[Any], element: Any) -> list[Any]:
        """Add an element in place; of equal ones the newest stays."""
        size = len(heap)
        if size < self.k:
            heap.append(element)
            if size == self.k - 1:
                heap.sort(key=self.sort_rank, reverse=not self.largest)
        elif self._as_good(self.rank(element), self.rank(heap[0])):
            self._replace_worst(heap, element)
        return heap

    def merge(self, heap: list[Any], other: list[Any]) -> list[Any]:
        """Add all of `other` to `heap` in place."""
        if len(heap) + len(other) < self.k:
            heap.extend(other)
        else:
            for element in other:
                self.insert(heap, element)
        return heap

    def best_first(self, heap: list[Any]) -> list[Any]:
        """The elements, best first; of equal ones the order of the list."""
        return sorted(heap, key=self.sort_rank, reverse=self.largest)

    def _replace_worst(self, heap: list[Any], element: Any) -> None:
        """Put an element in the place of the root, and let it sink to where it belongs."""
        rank, better, as_good, size = self.rank, self._better, self._as_good, len(heap)
        its_rank, parent, child = rank(element), 0, 1
        while child < size:
            worst, right = rank(heap[child]), child + 1
            if right < size and better(worst, rank(heap[right])):
                child, worst = right, rank(heap[right])
            if as_good(worst, its_rank):
                break
            heap[parent] = heap[child]
            parent, child = child, 2 * child + 1
        heap[parent] = element
