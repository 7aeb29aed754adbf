"""A cache of the IRs of merged tiles, so that a request merges only the tiles that have changed.

The tiles of a window are merged one after another, from the oldest to the newest. All but the last
tile seldom change between two requests for the same key. So the merged IRs of all tiles but the
last are kept, under the bytes of these tiles. A tile that has changed, by a late event or a repair,
has other bytes, and the tiles are merged anew: the cache is never out of date.
"""

import sys
import threading
from array import array
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from hashlib import sha256
from typing import NamedTuple

_ENTRY_BYTES = 500
"""What an entry takes beside its IRs."""


class MergedKey(NamedTuple):
    """Names the batch value and the tiles that IRs were merged of.

    Attributes:
        reader: names the reader, since other readers make other IRs of the same bytes.
        digest: SHA-256 of all bytes.
    """

    reader: Hashable
    digest: bytes


def merged_key(reader: Hashable, batch: bytes, tiles: Sequence[bytes]) -> MergedKey:
    """The key of a batch value, which may be empty, merged with tiles."""
    lengths = array("Q", (len(batch), *map(len, tiles)))
    return MergedKey(reader, sha256(b"".join((lengths, batch, *tiles))).digest())


class _MergedIrs(NamedTuple):
    irs: list[object]
    size: int


class MergedTiles:
    """The cache; several threads may use it.

    A full cache drops the least recently used IRs. Callers must not change the IRs that they get.

    Args:
        capacity_bytes: the most memory that the IRs take, as far as Python tells their size.

    Attributes:
        at_least: the least number of tiles for which the cache is used; fewer merge as fast.
        hits: how often the IRs were known.
        misses: how often they were not.
    """

    def __init__(self, capacity_bytes: int, at_least: int = 5) -> None:
        self.at_least = at_least
        self.hits = self.misses = 0
        self._capacity, self._held = capacity_bytes, 0
        self._known: OrderedDict[MergedKey, _MergedIrs] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def held_bytes(self) -> int:
        """The memory that the IRs take."""
        return self._held

    def get(self, key: MergedKey) -> list[object] | None:
        """The IRs of a key, one per column; None if they are not known."""
        with self._lock:
            entry = self._known.get(key)
            if entry is None:
                self.misses += 1
                return None
            self.hits += 1
            self._known.move_to_end(key)
            return entry.irs

    def put(self, key: MergedKey, irs: list[object]) -> None:
        """Keep the IRs of a key."""
        entry = _MergedIrs(irs, _ENTRY_BYTES + size_of(irs))
        with self._lock:
            before = self._known.pop(key, None)
            self._held += entry.size - (before.size if before else 0)
            self._known[key] = entry
            while self._held > self._capacity:
                self._held -= self._known.popitem(last=False)[1].size


def size_of(ir: object) -> int:
    """The bytes of an IR of Python's own types, with all that is in it."""
    size = sys.getsizeof(ir)
    if isinstance(ir, dict):
        return size + sum(size_of(key) + size_of(value) for key, value in ir.items())
    return size + sum(map(size_of, ir)) if isinstance(ir, (list, tuple)) else size
