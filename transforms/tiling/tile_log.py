"""Tiles of one (shard, window): live accumulators over a log that survives.

Beam keeps two states for a (shard, window): a *log* (a bag of blobs, each the tiles that one
batch changed, newest wins) and a *cell* (a random token of the batch that wrote last, and the
window's phase). The accumulators live in memory as a cache of the log: they are trusted only if
they carry the token that is in the cell. Whatever happened in between (a bundle failed and is
retried, a checkpoint was restored, the shard moved away and back, another thread or a zombie
attempt ran), the token differs then and the log is read again. So a batch costs one read of the
cell, one append and one write, whatever its size.

This module is the arithmetic of that; it imports no Beam and knows no runner.
"""

import os
import pickle
import struct
from collections.abc import Callable, Collection, Iterable, Iterator
from threading import RLock
from typing import Any, NamedTuple

from chronon_beam.aggregator.codecs import TileCodec, complete
from chronon_beam.aggregator.row import Accumulator, RowAggregator
from chronon_beam.api.records import Phase

_VERSION = 1
_CELL = struct.Struct("<BBB12s")
_SNAPSHOT_SLACK = 1000


class Written(NamedTuple):
    """Tiles to write: parallel lists."""

    keys: list[bytes]
    values: list[bytes]
    ts_ms: list[int]


class Commit(NamedTuple):
    """What to put into Beam's state after a batch.

    Attributes:
        blob: to be added to the log; None for nothing.
        replaces: the log is cleared first.
        cell: the new cell.
    """

    blob: bytes | None
    replaces: bool
    cell: bytes


class _Entry:
    """One tile: accumulator (None until it is needed again after a replay), time and bytes."""

    __slots__ = ("accumulator", "ts_ms", "value")

    def __init__(self, accumulator: Accumulator | None, ts_ms: int, value: bytes) -> None:
        self.accumulator = accumulator
        self.ts_ms = ts_ms
        self.value = value


class FittingRows:
    """Those of some rows that fit their tile: each is looked at when those before it were added.

    So they can be iterated over while they are added, and then again.

    Attributes:
        refused: the other rows, with the reason.
    """

    def __init__(self, rows: Iterable[tuple[Any, ...]], log: "TileLog") -> None:
        self.refused: list[tuple[tuple[Any, ...], str]] = []
        self._rows, self._log = rows, log
        self._taken: list[tuple[Any, ...]] | None = None

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self._look() if self._taken is None else iter(self._taken)

    def _look(self) -> Iterator[tuple[Any, ...]]:
        self._taken = []
        for row in self._rows:
            reason = self._log.refusal(row)
            if reason is None:
                self._taken.append(row)
                yield row
            else:
                self.refused.append((row, reason))


class TileLog:
    """The live tiles of one (shard, window); use it under its `lock`.

    A batch is `sync`, then `aggregate`, then `commit`; what `commit` returns goes into the state.
    Rows begin with (key bytes, ts_ms).
    """

    def __init__(self, rows: RowAggregator, codec: TileCodec) -> None:
        self.lock = RLock()
        self.phase = Phase.OPEN
        self.flush_armed = False
        self._rows = rows
        self._codec = codec
        self._token: bytes | None = None
        self._tiles: dict[bytes, _Entry] = {}
        self._changed: dict[bytes, None] = {}
        self._unflushed: dict[bytes, None] = {}
        self._logged = 0

    def sync(self, cell: bytes | None, log: Callable[[], Iterable[bytes]]) -> bool:
        """Make this equal to the committed state, and distrust it until `commit`.

        Returns:
            Whether there is any state: False for a (shard, window) never seen.
        """
        if cell is None:
            self._forget()
            self.phase, self.flush_armed = Phase.OPEN, False
            return False
        _, phase, armed, token = _CELL.unpack(cell)
        if token != self._token:
            self._forget()
            self._replay(log())
            # Which tiles were written since is not known: all of them may be due.
            self._unflushed = dict.fromkeys(self._tiles) if armed else {}
        self.phase, self.flush_armed = Phase(phase), bool(armed)
        self._token = None
        return True

    def _forget(self) -> None:
        self._token = None
        self._tiles, self._changed, self._unflushed, self._logged = {}, {}, {}, 0

    def _replay(self, blobs: Iterable[bytes]) -> None:
        for blob in blobs:
            if blob[0] != _VERSION:
                raise ValueError(f"tile log of version {blob[0]}; this code knows {_VERSION}")
            keys, times, values = pickle.loads(memoryview(blob)[1:])
            self._logged += len(keys)
            self._tiles.update(
                zip(keys, map(_Entry, [None] * len(keys), times, values), strict=True)
            )

    def refusal(self, row: tuple[Any, ...]) -> str | None:
        """Why a row cannot be added to its tile as it is now, or None when it can."""
        entry = self._tiles.get(row[0])
        if entry is None:
            return self._rows.refusal(self._rows.zero(), row)
        return self._rows.refusal(entry.accumulator or self._revive(entry), row)

    def aggregate_each(self, rows: Iterable[tuple[Any, ...]]) -> Written:
        """Add rows; one cumulative tile for every row."""
        tiles, update, encode = self._tiles, self._rows.update, self._codec.encode
        values = []
        for row in rows:
            key, ts_ms = row[0], row[1]
            entry = tiles.get(key) or self._entry(key)
            accumulator = entry.accumulator
            if accumulator is None:
                accumulator = self._revive(entry)
            update(accumulator, row, ts_ms)
            entry.ts_ms = ts_ms
            entry.value = value = encode(accumulator)
            values.append(value)
        keys = [row[0] for row in rows]
        self._changed.update(dict.fromkeys(keys))
        return Written(keys, values, [row[1] for row in rows])

    def aggregate(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Add rows; their tiles are due at the next `flush`."""
        for row in rows:
            entry = self._tiles.get(row[0]) or self._entry(row[0])
            accumulator = entry.accumulator
            if accumulator is None:
                accumulator = self._revive(entry)
            self._rows.update(accumulator, row, row[1])
            entry.ts_ms = row[1]
            self._changed[row[0]] = None
        for key in self._changed:
            entry = self._tiles[key]
            assert entry.accumulator is not None
            entry.value = self._codec.encode(entry.accumulator)
        self._unflushed.update(self._changed)

    def _entry(self, key: bytes) -> _Entry:
        entry = self._tiles[key] = _Entry(self._rows.zero(), 0, b"")
        return entry

    def _revive(self, entry: _Entry) -> Accumulator:
        entry.accumulator, _ = self._codec.decode(entry.value)
        return entry.accumulator

    def flush(self) -> Written:
        """The tiles that changed since the last flush, each once."""
        due, self._unflushed = self._unflushed, {}
        return self._written(due)

    def changed(self) -> Written:
        """The tiles that changed since the last `commit`, each once."""
        return self._written(self._changed)

    def close(self) -> Written:
        """All tiles, complete: the write that is made when the watermark passes the window."""
        self._unflushed, self.flush_armed = {}, False
        written = self._written(self._tiles)
        return written._replace(values=[complete(value) for value in written.values])

    def _written(self, keys: Collection[bytes]) -> Written:
        entries = [self._tiles[key] for key in keys]
        return Written(
            list(keys), [entry.value for entry in entries], [entry.ts_ms for entry in entries]
        )

    def commit(self) -> Commit:
        """What the state becomes; this image may be trusted again from here on."""
        replaces = self._logged + len(self._changed) > 2 * len(self._tiles) + _SNAPSHOT_SLACK
        keys = self._tiles if replaces else self._changed
        self._logged = len(keys) + (0 if replaces else self._logged)
        blob = self._blob(self._written(keys)) if keys else None
        self._changed = {}
        return Commit(blob, replaces, self._sealed())

    def discard(self) -> Commit:
        """Let go of all tiles: they are in the store."""
        self._forget()
        return Commit(None, True, self._sealed())

    def _sealed(self) -> bytes:
        self._token = os.urandom(12)
        return _CELL.pack(_VERSION, self.phase, self.flush_armed, self._token)

    @staticmethod
    def _blob(written: Written) -> bytes:
        # Pickle, not marshal: state outlives an upgrade of Python.
        body = pickle.dumps((written.keys, written.ts_ms, written.values), protocol=5)
        return bytes((_VERSION,)) + body
