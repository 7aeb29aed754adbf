"""Chronon's bounded heap, step by step: the order of its list is part of a tile's bytes.

Source: `ai.chronon.aggregator.base.MinHeap`. The list is in order of arrival until it holds k
elements; then it is sorted once, worst first, and kept as a heap with the worst at its root.
"""

from collections.abc import Callable
from dataclasses import dataclass
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

    def insert(self, heap: list[Any], element: Any) -> list[Any]:
        """Add an element in place; of equal ones the newest stays."""
        if len(heap) < self.k - 1:
            heap.append(element)
        elif len(heap) == self.k - 1:
            heap.append(element)
            heap.sort(key=self.sort_rank, reverse=not self.largest)
        elif len(heap) == self.k and self._at_least_as_good(element, heap[0]):
            heap[0] = element
            self._sift_down(heap)
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

    def _at_least_as_good(self, a: Any, b: Any) -> bool:
        return self.rank(a) >= self.rank(b) if self.largest else self.rank(a) <= self.rank(b)

    def _worse(self, a: Any, b: Any) -> bool:
        return self.rank(a) < self.rank(b) if self.largest else self.rank(a) > self.rank(b)

    def _sift_down(self, heap: list[Any]) -> None:
        parent, child = 0, 1
        while child < len(heap):
            right = child + 1
            if right < len(heap) and self._worse(heap[right], heap[child]):
                child = right
            if self._no_better(heap[parent], heap[child]):
                return
            heap[parent], heap[child] = heap[child], heap[parent]
            parent, child = child, 2 * child + 1

    def _no_better(self, a: Any, b: Any) -> bool:
        return self.rank(a) <= self.rank(b) if self.largest else self.rank(a) >= self.rank(b)
