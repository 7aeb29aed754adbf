"""The state of a (shard, window): what the runner keeps, and its flat, versioned form.

There are two states. The *log* is a bag of blobs, each with the tiles that one batch changed; of
several tiles of a key the newest counts. The *cell* says the phase, and which batch wrote last.
"""

import struct
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple, Protocol

from chronon_beam.aggregator.flat_blob import (
    pack_table,
    require_version,
    unpack_cell,
    unpack_table,
)
from chronon_beam.api.records import Phase

VERSION = 4
TOKEN_BYTES = 12
FINGERPRINT_BYTES = 8
_CELL = struct.Struct(f"<BBB{TOKEN_BYTES}s")
_INDEX_BYTES = 4


class LogState(Protocol):
    """Beam's handle of a bag state."""

    def read(self) -> Iterable[bytes]:
        """The blobs, in the order in which they were added."""
        ...

    def add(self, value: bytes) -> None:
        """Append a blob."""

    def clear(self) -> None:
        """Remove all blobs."""


class CellState(Protocol):
    """Beam's handle of a state with one value."""

    def read(self) -> bytes | None:
        """The value; None when nothing was written."""
        ...

    def write(self, value: bytes) -> None:
        """Replace the value."""

    def clear(self) -> None:
        """Remove the value."""


class TimerState(Protocol):
    """Beam's handle of a timer."""

    def set(self, timestamp: Any) -> None:
        """Have it fire at a time (Beam's Timestamp), instead of one that was set before."""


class CellValue(NamedTuple):
    """The value of the cell.

    Attributes:
        phase: in which phase the tiles are, see `tiling.life`.
        flush_is_set: whether the timer that writes buffered tiles is set.
        token: a random name of the batch that wrote last.
    """

    phase: Phase
    flush_is_set: bool
    token: bytes

    def pack(self) -> bytes:
        """As bytes."""
        return _CELL.pack(VERSION, *self)

    @staticmethod
    def unpack(blob: bytes) -> "CellValue":
        """The cell that `pack` made; raises ValueError for one of another version, or damaged."""
        phase, flush_is_set, token = unpack_cell(_CELL, blob, VERSION)
        return CellValue(Phase(phase), bool(flush_is_set), token)


class TileColumns(NamedTuple):
    """Tiles as parallel lists: key bytes, tile bytes, time of the last event."""

    keys: list[bytes]
    values: list[bytes]
    ts_ms: list[int]


class LogBlob(NamedTuple):
    """What a blob of the log holds.

    Attributes:
        columns: the tiles.
        fingerprint: 8 bytes that say which columns the tiles have, see `TileCodec.fingerprint`.
        late_only: the keys of those of the tiles that have late events only.
    """

    columns: TileColumns
    fingerprint: bytes
    late_only: Collection[bytes] = ()

    def pack(self) -> bytes:
        """A table of the tiles, the fingerprint, the indices of `late_only`, and their number.

        The indices and the number are unsigned, 4 bytes each, little endian.
        """
        keys, values, ts_ms = self.columns
        late: list[int] = []
        if self.late_only:  # rarely
            late = [at for at, key in enumerate(keys) if key in self.late_only]
        trailer = struct.pack(f"<{len(late) + 1}I", *late, len(late))
        return pack_table(VERSION, [ts_ms], [keys, values]) + self.fingerprint + trailer

    @staticmethod
    def unpack(blob: bytes) -> "LogBlob":
        """The blob that `pack` made; raises ValueError for one of another version, or damaged."""
        require_version(blob, VERSION)
        number = int.from_bytes(blob[-_INDEX_BYTES:], "little")
        late_at = len(blob) - (number + 1) * _INDEX_BYTES
        table_end = max(0, late_at - FINGERPRINT_BYTES)
        (ts_ms,), (keys, values) = unpack_table(blob[:table_end], VERSION, integers=1, values=2)
        late = struct.unpack_from(f"<{number}I", blob, late_at)
        columns = TileColumns(keys, values, ts_ms)
        return LogBlob(columns, blob[table_end:late_at], [keys[at] for at in late])


class StateChange(NamedTuple):
    """What the state becomes after a batch or a timer.

    Attributes:
        blob: to be added to the log; None for nothing.
        clears_log: whether the log is cleared first.
        cell: the new value of the cell; None clears it.
    """

    blob: bytes | None
    clears_log: bool
    cell: bytes | None


def apply(change: StateChange, log: LogState, cell: CellState) -> None:
    """Write a change into the state."""
    if change.clears_log:
        log.clear()
    if change.blob is not None:
        log.add(change.blob)
    if change.cell is None:
        cell.clear()
    else:
        cell.write(change.cell)
