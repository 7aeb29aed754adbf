"""The positions of messages that were counted: what the runner keeps of them, and a cache of that.

Positions are kept in two generations. When the younger one is as old as the source's `remember`,
the older one is deleted and a new one begins: so a message is remembered for that time at least.
Only time in which the job runs counts: when the job stops, some messages are not acknowledged, and
they come again when it goes on, perhaps a day later.

The cache carries the token of the batch that wrote last, as the runner's state does. If the two
differ (a checkpoint was restored, another process has worked), the state is read again.
"""

import struct
import uuid
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chronon_beam.aggregator.flat_blob import unpack_cell

Positions = NDArray[np.int64]

_VERSION = 1
_CELL = struct.Struct("<BBqq12s")
_LONGEST_STEP_MS = 60_000
"""The most of the time between two batches that counts as time in which the job runs."""

_RECENT = 50_000


class _Cell(NamedTuple):
    """What the runner keeps beside the positions.

    Attributes:
        young: which of the generations is the younger one, 0 or 1.
        age_ms: how old that generation is, in time in which the job ran.
        seen_ms: the time of the last batch.
        token: a random name of the last batch.
    """

    young: int
    age_ms: int
    seen_ms: int
    token: bytes

    def pack(self) -> bytes:
        return _CELL.pack(_VERSION, *self)

    @staticmethod
    def unpack(blob: bytes) -> "_Cell":
        """The cell that `pack` made; raises ValueError for one of another version, or damaged."""
        return _Cell(*unpack_cell(_CELL, blob, _VERSION))


class _Generation:
    """A set of positions: most of them in a sorted array, 8 bytes each."""

    def __init__(self, blobs: Iterable[bytes] = ()) -> None:
        read = [np.frombuffer(blob, np.int64) for blob in blobs]
        self._sorted: Positions = np.sort(np.concatenate([*read, np.empty(0, np.int64)]))
        self._recent: set[int] = set()

    def has(self, positions: Positions) -> NDArray[np.bool_]:
        at = np.searchsorted(self._sorted, positions)
        known = np.zeros(len(positions), bool)
        inside = at < len(self._sorted)
        known[inside] = self._sorted[at[inside]] == positions[inside]
        recent = self._recent
        if recent:
            known |= np.fromiter((each in recent for each in positions.tolist()), bool)
        return known

    def add(self, positions: Positions) -> None:
        self._recent.update(positions.tolist())
        if len(self._recent) > _RECENT:
            fresh = np.fromiter(self._recent, np.int64, len(self._recent))
            # A stable sort of two arrays that are sorted only merges them.
            self._sorted = np.sort(np.concatenate([self._sorted, np.sort(fresh)]), kind="stable")
            self._recent = set()


class PositionChange(NamedTuple):
    """What a batch changes in the state, and which of its messages are new.

    Attributes:
        fresh: the indices of the messages that are new.
        young: the generation that `blob` is added to.
        begins: whether that generation is cleared first.
        blob: the positions of the new messages; empty for none.
        cell: the new value of the cell.
    """

    fresh: NDArray[np.intp]
    young: int
    begins: bool
    blob: bytes
    cell: bytes


class PositionCache:
    """The positions that one shard has had; for one thread at a time.

    Args:
        remember_ms: the source's `remember`, see the module's docstring.
    """

    def __init__(self, remember_ms: int) -> None:
        self._remember_ms = remember_ms
        self._token: bytes | None = None
        self._generations = [_Generation(), _Generation()]

    def take(
        self,
        positions: Positions,
        cell: bytes | None,
        read: Callable[[int], Iterable[bytes]],
        now_ms: int,
    ) -> PositionChange:
        """Find out which messages are new, and remember them.

        Args:
            positions: of a batch; a message may be in it twice.
            cell: as the last `PositionChange` gave it; None at first.
            read: reads the blobs of a generation; called only if the cache is not that of `cell`.
            now_ms: the machine's clock.

        Raises:
            ValueError: the state is of another version.
        """
        before = self._load(cell, read, now_ms)
        step_ms = min(max(now_ms - before.seen_ms, 0), _LONGEST_STEP_MS)
        young, age_ms = before.young, before.age_ms + step_ms
        begins = age_ms >= self._remember_ms
        if begins:
            young, age_ms = 1 - young, 0
            self._generations[young] = _Generation()
        fresh = self._fresh(positions)
        self._generations[young].add(positions[fresh])
        self._token = uuid.uuid4().bytes[:12]
        after = _Cell(young, age_ms, now_ms, self._token)
        return PositionChange(fresh, young, begins, positions[fresh].tobytes(), after.pack())

    def _load(
        self, cell: bytes | None, read: Callable[[int], Iterable[bytes]], now_ms: int
    ) -> _Cell:
        if cell is None:
            self._generations = [_Generation(), _Generation()]
            return _Cell(0, 0, now_ms, b"")
        found = _Cell.unpack(cell)
        if found.token != self._token:
            self._generations = [_Generation(read(0)), _Generation(read(1))]
        return found

    def _fresh(self, positions: Positions) -> NDArray[np.intp]:
        _, first = np.unique(positions, return_index=True)
        first = np.sort(first)
        known = self._generations[0].has(positions[first])
        return first[~(known | self._generations[1].has(positions[first]))]
