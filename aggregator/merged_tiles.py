"""Remembers what tiles have merged to, so that a request merges only what has changed.

The tiles of a window are merged one after another, from the oldest to the newest. All but the last
one seldom change: a request for the same key finds them as the request before found them. So the
IRs of all tiles but the last are kept, under the bytes that they were made of. A tile that has
changed, by a late event or a repair, has other bytes, and the tiles are merged anew: what is
remembered cannot be out of date.
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
    """What IRs were merged of.

    Attributes:
        reader: tells apart those that make different IRs of the same bytes.
        digest: of all bytes.
    """

    reader: Hashable
    digest: bytes


def merged_key(reader: Hashable, batch: bytes, tiles: Sequence[bytes]) -> MergedKey:
    """The key of a batch value, which may be empty, merged with tiles."""
    lengths = array("Q", (len(batch), *map(len, tiles)))
    return MergedKey(reader, sha256(b"".join((lengths, batch, *tiles))).digest())


class _Entry(NamedTuple):
    irs: list[object]
    size: int


class MergedTiles:
    """IRs by what they were merged of; safe to use from several threads.

    The least recently used IRs leave first. Whoever gets IRs must not change them.

    Args:
        capacity_bytes: the most memory that the IRs take, as far as Python tells their size.

    Attributes:
        at_least: so many tiles or more are looked for; a few are merged as fast.
        hits: how often the IRs were known.
        misses: how often they were not.
    """

    def __init__(self, capacity_bytes: int, at_least: int = 5) -> None:
        self.at_least = at_least
        self.hits = self.misses = 0
        self._capacity, self._held = capacity_bytes, 0
        self._known: OrderedDict[MergedKey, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def held_bytes(self) -> int:
        """The memory that is taken."""
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
        """Remember IRs."""
        entry = _Entry(irs, _ENTRY_BYTES + size_of(irs))
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
