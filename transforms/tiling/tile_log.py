"""Accumulators in memory, as a cache of a log that survives.

The runner keeps the log (see `tiling.state`); the accumulators are a cache of it. They are trusted
only if they carry the token that is in the cell. Whatever happened since they were last used (a
bundle failed and is done again, a checkpoint was restored, the shard moved to another worker and
back, another thread or a zombie attempt ran), the token in the cell is another one then, and the
log is read again. So a batch costs one read of the cell, one append to the log and one write of
the cell, whatever its size.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

from chronon_beam.aggregator.codecs import TileCodec, complete
from chronon_beam.aggregator.row import Accumulator, RowAggregator
from chronon_beam.transforms.keyed_rows import KeyedRow
from chronon_beam.transforms.tiling.state import LogBlob, TileColumns

_SNAPSHOT_SLACK = 1000
"""How many tiles the log may hold beyond twice the live ones before a snapshot replaces it."""


class Size(NamedTuple):
    """How many tiles are kept in memory, and how many bytes their log has."""

    tiles: int
    log_bytes: int


class _Entry:
    """One tile: accumulator (None from a replay until it is needed), time and bytes."""

    __slots__ = ("accumulator", "ts_ms", "value")

    def __init__(self, accumulator: Accumulator | None, ts_ms: int, value: bytes) -> None:
        self.accumulator = accumulator
        self.ts_ms = ts_ms
        self.value = value


class TileLog:
    """The tiles of one (shard, window), by key.

    Attributes:
        late_only: the keys of the tiles that have late events only. Until an event in time comes,
            `flush` and `complete` leave these tiles out; see `tiling.life`.

    `load` comes first; `commit` or `discard` comes last, and says what the log becomes.
    """

    def __init__(self, rows: RowAggregator, codec: TileCodec) -> None:
        self._rows = rows
        self._codec = codec
        self._forget()

    def _forget(self) -> None:
        self._token: bytes | None = None
        self._tiles: dict[bytes, _Entry] = {}
        self._changed: dict[bytes, None] = {}
        self._unflushed: dict[bytes, None] = {}
        self.late_only: frozenset[bytes] = frozenset()
        self._begun_late: list[bytes] = []
        self._logged = self._log_bytes = 0

    @property
    def size(self) -> Size:
        """How much there is, in memory and in the log."""
        return Size(len(self._tiles), self._log_bytes)

    def load(
        self, token: bytes | None, read_log: Callable[[], Iterable[bytes]], all_due: bool = False
    ) -> None:
        """Make the cache equal to the log that was committed under `token`; None for no log.

        Args:
            token: as given to the last `commit`.
            read_log: reads the blobs; called only if the cache carries another token.
            all_due: after the log was read, all tiles are due at the next `flush`, since it is not
                known which of them were written.

        Raises:
            ValueError: a blob is of another version, or its tiles are of columns that are not
                known.
        """
        if token is None:
            self._forget()
        elif token != self._token:
            self._forget()
            self._replay(read_log())
            self._unflushed = dict.fromkeys(self._tiles) if all_due else {}
        self._token = None  # trusted again from the next commit on

    def _replay(self, blobs: Iterable[bytes]) -> None:
        for blob in blobs:
            (keys, values, ts_ms), fingerprint, late_only = LogBlob.unpack(blob)
            # One codec has encoded all tiles of a blob.
            self._codec.require_known(values[0], fingerprint)
            self._logged += len(keys)
            self._log_bytes += len(blob)
            entries = map(_Entry, [None] * len(keys), ts_ms, self._codec.upgraded(values))
            self._tiles.update(zip(keys, entries, strict=True))
            if late_only or self.late_only:
                self.late_only = self.late_only.difference(keys).union(late_only)

    def refusal(self, row: KeyedRow) -> str | None:
        """Why a row cannot be added to its tile as it is now, or None when it can."""
        entry = self._tiles.get(row[0])
        if entry is None:
            return self._rows.refusal(self._rows.zero(), row)
        return self._rows.refusal(entry.accumulator or self._revive(entry), row)

    def add_each(self, rows: Iterable[KeyedRow], late: bool = False) -> TileColumns:
        """Add rows, all late or all in time; gives the tile as it is after each row."""
        tiles, update, encode = self._tiles, self._rows.update, self._codec.encode
        values = []
        for row in rows:
            key, ts_ms = row[0], row[1]
            entry = tiles.get(key) or self._entry(key, late)
            accumulator = entry.accumulator
            if accumulator is None:
                accumulator = self._revive(entry)
            update(accumulator, row, ts_ms)
            entry.ts_ms = ts_ms
            entry.value = value = encode(accumulator)
            values.append(value)
        keys = [row[0] for row in rows]
        self._note_changed(dict.fromkeys(keys), late)
        return TileColumns(keys, values, [row[1] for row in rows])

    def add(self, rows: Iterable[KeyedRow], late: bool = False) -> Collection[bytes]:
        """Add rows, all late or all in time; gives their keys, each once.

        The tiles are due at the next `flush`.
        """
        keys: dict[bytes, None] = {}
        for row in rows:
            entry = self._tiles.get(row[0]) or self._entry(row[0], late)
            accumulator = entry.accumulator
            if accumulator is None:
                accumulator = self._revive(entry)
            self._rows.update(accumulator, row, row[1])
            entry.ts_ms = row[1]
            keys[row[0]] = None
        for key in keys:
            entry = self._tiles[key]
            assert entry.accumulator is not None
            entry.value = self._codec.encode(entry.accumulator)
        self._note_changed(keys, late)
        self._unflushed.update(keys)
        return keys

    def _note_changed(self, keys: dict[bytes, None], late: bool) -> None:
        self._changed.update(keys)
        if late:  # once per batch, since each union is a copy
            self.late_only = self.late_only.union(self._begun_late)
            self._begun_late = []
        elif self.late_only:
            self.late_only = self.late_only.difference(keys)

    def _entry(self, key: bytes, late: bool) -> _Entry:
        if late:
            self._begun_late.append(key)
        entry = self._tiles[key] = _Entry(self._rows.zero(), 0, b"")
        return entry

    def _revive(self, entry: _Entry) -> Accumulator:
        entry.accumulator, _ = self._codec.decode(entry.value)
        return entry.accumulator

    def flush(self) -> TileColumns:
        """The tiles that changed since the last flush, each once."""
        due, self._unflushed = self._unflushed, {}
        return self.tiles(self._in_time(due))

    def complete(self) -> TileColumns:
        """All tiles with isComplete; none is due at a `flush` any more."""
        self._unflushed = {}
        columns = self.tiles(self._in_time(self._tiles))
        return columns._replace(values=[complete(value) for value in columns.values])

    def _in_time(self, keys: Collection[bytes]) -> Collection[bytes]:
        return [key for key in keys if key not in self.late_only] if self.late_only else keys

    def tiles(self, keys: Collection[bytes]) -> TileColumns:
        """The tiles of these keys."""
        entries = [self._tiles[key] for key in keys]
        return TileColumns(
            list(keys), [entry.value for entry in entries], [entry.ts_ms for entry in entries]
        )

    def commit(self, token: bytes) -> tuple[bytes | None, bool]:
        """The blob to add to the log (None for nothing), and whether it replaces the log.

        The cache carries `token` from here on.
        """
        replaces = self._logged + len(self._changed) > 2 * len(self._tiles) + _SNAPSHOT_SLACK
        keys = self._tiles if replaces else self._changed
        self._logged = len(keys) + (0 if replaces else self._logged)
        blob = self._blob(keys) if keys else None
        self._log_bytes = len(blob or b"") + (0 if replaces else self._log_bytes)
        self._changed, self._token = {}, token
        return blob, replaces

    def _blob(self, keys: Collection[bytes]) -> bytes:
        return LogBlob(self.tiles(keys), self._codec.fingerprint, self.late_only).pack()

    def discard(self, token: bytes) -> None:
        """Let go of all tiles; the log is to be cleared. The cache carries `token` from here on."""
        self._forget()
        self._token = token


class FittingRows:
    """Those of some rows that fit their tile, to be iterated over while they are added.

    Each row is looked at when the rows before it were added. A second iteration gives the same
    rows.

    Attributes:
        refused: the other rows, each with the reason.
    """

    def __init__(self, rows: Iterable[KeyedRow], log: TileLog) -> None:
        self.refused: list[tuple[KeyedRow, str]] = []
        self._rows, self._log = rows, log
        self._fitting: list[KeyedRow] | None = None

    def __iter__(self) -> Iterator[KeyedRow]:
        return self._look() if self._fitting is None else iter(self._fitting)

    def _look(self) -> Iterator[KeyedRow]:
        self._fitting = []
        for row in self._rows:
            reason = self._log.refusal(row)
            if reason is None:
                self._fitting.append(row)
                yield row
            else:
                self.refused.append((row, reason))
