"""The tiles of one shard and window in memory, as a cache of the log that the runner keeps.

The log is described in `tiling.state`. The cache is trusted only if it carries the token that is in
the cell. Whatever happened since its last use (a bundle failed and is done again, a checkpoint was
restored, the shard moved to another worker and back, another thread or a zombie attempt ran), the
token in the cell is another one then, and the log is read again. So a batch costs one read of the
cell, one append to the log and one write of the cell, whatever its size.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

from chronon_beam.aggregator.codecs import TileCodec, complete
from chronon_beam.aggregator.row import Accumulator, RowAggregator
from chronon_beam.transforms.keyed_rows import KeyedRow
from chronon_beam.transforms.tiling.state import LogBlob, TileColumns

_SNAPSHOT_SLACK = 1000
"""How many tiles the log may hold beyond two per key before a snapshot replaces it."""


class Size(NamedTuple):
    """How many tiles are in memory, and how many bytes their log has in the runner's state."""

    tiles: int
    log_bytes: int


class _CachedTile:
    """One tile: its bytes, the time of its last event, and its accumulator.

    The accumulator is None after the log was read, until an event is added.
    """

    __slots__ = ("accumulator", "ts_ms", "value")

    def __init__(self, accumulator: Accumulator | None, ts_ms: int, value: bytes) -> None:
        self.accumulator = accumulator
        self.ts_ms = ts_ms
        self.value = value


class TileLog:
    """The tiles of one (shard, window), by key.

    Attributes:
        late_only: the keys of the tiles that have late events only. `flush` and `complete` leave
            these tiles out; see `tiling.life`.

    For each batch or timer, call `load` first, and `commit` or `discard` last.
    """

    def __init__(self, rows: RowAggregator, codec: TileCodec) -> None:
        self._rows = rows
        self._codec = codec
        self._clear()

    def _clear(self) -> None:
        self._token: bytes | None = None
        self._tiles: dict[bytes, _CachedTile] = {}
        self._changed: dict[bytes, None] = {}
        self._unflushed: dict[bytes, None] = {}
        self.late_only: frozenset[bytes] = frozenset()
        self._new_late_keys: list[bytes] = []
        self._log_tiles = self._log_bytes = 0

    @property
    def size(self) -> Size:
        """How many tiles there are, and how large their log is."""
        return Size(len(self._tiles), self._log_bytes)

    def load(
        self, token: bytes | None, read_log: Callable[[], Iterable[bytes]], all_due: bool = False
    ) -> None:
        """Make the cache equal to the log that was committed under `token`; None for no log.

        Args:
            token: as given to the last `commit` or `discard`.
            read_log: reads the blobs; called only if the cache carries another token.
            all_due: whether all tiles are due at the next `flush` if the log is read: the log does
                not say which of them were written.

        Raises:
            ValueError: a blob is of another version, or its tiles have columns that this job
                cannot read.
        """
        if token is None:
            self._clear()
        elif token != self._token:
            self._clear()
            self._replay(read_log())
            self._unflushed = dict.fromkeys(self._tiles) if all_due else {}
        self._token = None  # trusted again from the next commit on

    def _replay(self, blobs: Iterable[bytes]) -> None:
        for blob in blobs:
            (keys, values, ts_ms), fingerprint, late_only = LogBlob.unpack(blob)
            # One codec has encoded all tiles of a blob.
            self._codec.require_known(values[0], fingerprint)
            self._log_tiles += len(keys)
            self._log_bytes += len(blob)
            found = map(_CachedTile, [None] * len(keys), ts_ms, self._codec.upgraded(values))
            self._tiles.update(zip(keys, found, strict=True))
            if late_only or self.late_only:
                self.late_only = self.late_only.difference(keys).union(late_only)

    def refusal(self, row: KeyedRow) -> str | None:
        """Why a row cannot be added to its tile as it is now; None if it can."""
        tile = self._tiles.get(row[0])
        if tile is None:
            return self._rows.refusal(self._rows.zero(), row)
        return self._rows.refusal(tile.accumulator or self._revive(tile), row)

    def add_each(self, rows: Iterable[KeyedRow], late: bool = False) -> TileColumns:
        """Add rows, all late or all in time; gives one tile per row, as it is after the row."""
        tiles, update, encode = self._tiles, self._rows.update, self._codec.encode
        values = []
        for row in rows:
            key, ts_ms = row[0], row[1]
            tile = tiles.get(key) or self._new_tile(key, late)
            accumulator = tile.accumulator
            if accumulator is None:
                accumulator = self._revive(tile)
            update(accumulator, row, ts_ms)
            tile.ts_ms = ts_ms
            tile.value = value = encode(accumulator)
            values.append(value)
        keys = [row[0] for row in rows]
        self._note_changed(dict.fromkeys(keys), late)
        return TileColumns(keys, values, [row[1] for row in rows])

    def add(self, rows: Iterable[KeyedRow], late: bool = False) -> Collection[bytes]:
        """Add rows, all late or all in time, to tiles that are then due at the next `flush`.

        Gives the keys of the rows, each once.
        """
        keys: dict[bytes, None] = {}
        for row in rows:
            tile = self._tiles.get(row[0]) or self._new_tile(row[0], late)
            accumulator = tile.accumulator
            if accumulator is None:
                accumulator = self._revive(tile)
            self._rows.update(accumulator, row, row[1])
            tile.ts_ms = row[1]
            keys[row[0]] = None
        for key in keys:
            tile = self._tiles[key]
            assert tile.accumulator is not None
            tile.value = self._codec.encode(tile.accumulator)
        self._note_changed(keys, late)
        self._unflushed.update(keys)
        return keys

    def _note_changed(self, keys: dict[bytes, None], late: bool) -> None:
        self._changed.update(keys)
        if late:  # here and not in `_new_tile`, since each union makes a copy
            self.late_only = self.late_only.union(self._new_late_keys)
            self._new_late_keys = []
        elif self.late_only:
            self.late_only = self.late_only.difference(keys)

    def _new_tile(self, key: bytes, late: bool) -> _CachedTile:
        if late:
            self._new_late_keys.append(key)
        tile = self._tiles[key] = _CachedTile(self._rows.zero(), 0, b"")
        return tile

    def _revive(self, tile: _CachedTile) -> Accumulator:
        tile.accumulator, _ = self._codec.decode(tile.value)
        return tile.accumulator

    def flush(self) -> TileColumns:
        """The tiles that have changed since the last flush, each once, as they are now."""
        due, self._unflushed = self._unflushed, {}
        return self.tiles(self._in_time(due))

    def complete(self) -> TileColumns:
        """All tiles, for the closing write: with isComplete. No tile is due at a `flush` then."""
        self._unflushed = {}
        columns = self.tiles(self._in_time(self._tiles))
        return columns._replace(values=[complete(value) for value in columns.values])

    def _in_time(self, keys: Collection[bytes]) -> Collection[bytes]:
        return [key for key in keys if key not in self.late_only] if self.late_only else keys

    def tiles(self, keys: Collection[bytes]) -> TileColumns:
        """The tiles of these keys."""
        found = [self._tiles[key] for key in keys]
        return TileColumns(
            list(keys), [tile.value for tile in found], [tile.ts_ms for tile in found]
        )

    def commit(self, token: bytes) -> tuple[bytes | None, bool]:
        """The blob to add to the log (None for nothing), and whether it replaces the log.

        The cache carries `token` from here on.
        """
        replaces = self._log_tiles + len(self._changed) > 2 * len(self._tiles) + _SNAPSHOT_SLACK
        keys = self._tiles if replaces else self._changed
        self._log_tiles = len(keys) + (0 if replaces else self._log_tiles)
        blob = self._blob(keys) if keys else None
        self._log_bytes = len(blob or b"") + (0 if replaces else self._log_bytes)
        self._changed, self._token = {}, token
        return blob, replaces

    def _blob(self, keys: Collection[bytes]) -> bytes:
        return LogBlob(self.tiles(keys), self._codec.fingerprint, self.late_only).pack()

    def discard(self, token: bytes) -> None:
        """Drop all tiles; the caller clears the log. The cache carries `token` from here on."""
        self._clear()
        self._token = token


class FittingRows:
    """The rows that can be added to their tiles; add each row before you take the next one.

    Whether a row fits depends on the rows that were added before it, so the first iteration checks
    a row when it comes to it. Further iterations give the same rows again.

    Attributes:
        refused: the rows that do not fit, each with the reason.
    """

    def __init__(self, rows: Iterable[KeyedRow], log: TileLog) -> None:
        self.refused: list[tuple[KeyedRow, str]] = []
        self._rows, self._log = rows, log
        self._fitting: list[KeyedRow] | None = None

    def __iter__(self) -> Iterator[KeyedRow]:
        return self._check_each() if self._fitting is None else iter(self._fitting)

    def _check_each(self) -> Iterator[KeyedRow]:
        self._fitting = []
        for row in self._rows:
            reason = self._log.refusal(row)
            if reason is None:
                self._fitting.append(row)
                yield row
            else:
                self.refused.append((row, reason))
