"""Chronon's bounded heap. It takes the same steps, because the list's order is in a tile's bytes.

Source: `ai.chronon.aggregator.base.MinHeap`. The list is in order of arrival until it holds k
elements. Then it is sorted once, worst first, and from there on it is a heap with the worst
element at its root.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import ge, gt, le, lt
from typing import Any


@dataclass(frozen=True)
class MinHeap:
    """Keeps the `k` best elements of a list.

    Attributes:
        k: how many elements are kept; at least 1.
        rank: the key by which elements are compared.
        sort_rank: the key by which elements are sorted; for doubles it differs from `rank`, because
            of NaN and -0.0.
        largest: whether the largest elements are the best; otherwise the smallest.
    """

    k: int
    rank: Callable[[Any], Any]
    sort_rank: Callable[[Any], Any]
    largest: bool
    insert: Callable[[list[Any], Any], list[Any]] = field(init=False, repr=False)
    """Adds an element in place; of equal elements the newest stays."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "insert", self._inserter())

    def _inserter(self) -> Callable[[list[Any], Any], list[Any]]:
        k, rank, sort_rank, smallest = self.k, self.rank, self.sort_rank, not self.largest
        as_good = ge if self.largest else le
        replace_worst = _replacer(rank, gt if self.largest else lt, as_good)

        def insert(heap: list[Any], element: Any) -> list[Any]:
            if len(heap) < k:
                heap.append(element)
                if len(heap) == k:
                    heap.sort(key=sort_rank, reverse=smallest)
            elif as_good(rank(element), rank(heap[0])):
                replace_worst(heap, element)
            return heap

        return insert

    def merge(self, heap: list[Any], other: list[Any]) -> list[Any]:
        """Add all of `other` to `heap` in place."""
        if len(heap) + len(other) < self.k:
            heap.extend(other)
        else:
            for element in other:
                self.insert(heap, element)
        return heap

    def best_first(self, heap: list[Any]) -> list[Any]:
        """The elements, best first; equal elements in the order of the list."""
        return sorted(heap, key=self.sort_rank, reverse=self.largest)


def _replacer(
    rank: Callable[[Any], Any],
    better: Callable[[Any, Any], bool],
    as_good: Callable[[Any, Any], bool],
) -> Callable[[list[Any], Any], None]:
    def replace_worst(heap: list[Any], element: Any) -> None:
        """Replace the root by an element, and move the element down to its place."""
        its_rank, parent, child, size = rank(element), 0, 1, len(heap)
        while child < size:
            worst, right = rank(heap[child]), child + 1
            if right < size and better(worst, rank(heap[right])):
                child, worst = right, rank(heap[right])
            if as_good(worst, its_rank):
                break
            heap[parent] = heap[child]
            parent, child = child, 2 * child + 1
        heap[parent] = element

    return replace_worst
