"""The state of a (shard, window): what the runner keeps, and its flat, versioned form.

Two states are kept. The *log* is a bag of blobs, each the tiles that one batch changed; of a key
the newest tile counts. The *cell* says the phase, and which batch wrote last.
"""

import struct
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from chronon_beam.aggregator.flat_blob import pack_table, unpack_table
from chronon_beam.api.records import Phase

VERSION = 3
TOKEN_BYTES = 12
FINGERPRINT_BYTES = 8
_CELL = struct.Struct(f"<BBB{TOKEN_BYTES}s")


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
        """Let it fire at a time; a time that was set before does not count any more."""


class CellValue(NamedTuple):
    """The value of the cell.

    Attributes:
        phase: of the window's life.
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
        """The cell that `pack` made; raises ValueError for one of another version."""
        if blob[0] != VERSION or len(blob) != _CELL.size:
            raise ValueError(f"state of version {blob[0]}: this code reads version {VERSION}")
        _, phase, flush_is_set, token = _CELL.unpack(blob)
        return CellValue(Phase(phase), bool(flush_is_set), token)


class TileColumns(NamedTuple):
    """Tiles as parallel lists: key, tile bytes, time of the last event."""

    keys: list[bytes]
    values: list[bytes]
    ts_ms: list[int]

    def pack(self, fingerprint: bytes) -> bytes:
        """As a blob of the log; `fingerprint` tells what columns the tiles have."""
        return pack_table(VERSION, [self.ts_ms], [self.keys, self.values]) + fingerprint

    @staticmethod
    def unpack(blob: bytes) -> "tuple[TileColumns, bytes]":
        """What `pack` was given; raises ValueError for a blob of another version."""
        table, fingerprint = blob[:-FINGERPRINT_BYTES], blob[-FINGERPRINT_BYTES:]
        (ts_ms,), (keys, values) = unpack_table(table, VERSION, integers=1, values=2)
        return TileColumns(keys, values, ts_ms), fingerprint


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
