"""What a batch of rows, or a timer, does to the tiles of one shard and window.

The rules of time are in `tiling.life`, the arithmetic is in `tiling.tile_log`; this module puts
them together, without Beam. Each public method takes the committed state and returns `Effects`:
what to write to the store, what the state becomes, and which timers to set.
"""

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from chronon_beam.aggregator.codecs import TileCodec
from chronon_beam.aggregator.row import RowAggregator
from chronon_beam.api.records import Phase
from chronon_beam.transforms.keyed_rows import KeyedRow
from chronon_beam.transforms.rows import Tiles
from chronon_beam.transforms.tiling.life import Life
from chronon_beam.transforms.tiling.shards import ShardBatch
from chronon_beam.transforms.tiling.state import TOKEN_BYTES, CellValue, StateChange, TileColumns
from chronon_beam.transforms.tiling.tile_log import FittingRows, Size, TileLog


class Effects(NamedTuple):
    """What is to be done after a batch or a timer: to the store, the state and the timers.

    Attributes:
        change: what the state becomes; None leaves it as it is.
        tiles: to be written, in this order.
        refused: the rows that cannot be added to their tiles, each with the reason.
        late: how many rows were late.
        ends_at_ms: the watermark at which the phase ends: the timer `phase_end` is to be set for
            it; None leaves the timer as it is.
        sets_flush: whether the timer `flush`, which writes buffered tiles, is to be set.
    """

    change: StateChange | None = None
    tiles: tuple[Tiles, ...] = ()
    refused: Sequence[tuple[KeyedRow, str]] = ()
    late: int = 0
    ends_at_ms: int | None = None
    sets_flush: bool = False


ReadLog = Callable[[], Iterable[bytes]]
"""Reads the blobs of the log, in the order in which they were added."""

NO_EFFECTS = Effects()


class WindowTiles:
    """The tiles of one (shard, window); for one thread at a time, see `TileCaches.using`.

    They are a cache of the state that the runner keeps. Each public method takes the committed
    state, as the value of the cell and a function that reads the log.

    Args:
        rows: adds rows to a tile; the values of a row begin at `keyed_rows.INPUTS_FROM`.
        codec: encodes and decodes the tiles.
        life: the life of the window.
        buffered: whether open tiles are written by `flush` only; else each event writes its tile.
    """

    def __init__(
        self, rows: RowAggregator, codec: TileCodec, life: Life, buffered: bool = False
    ) -> None:
        self._rows, self._codec = rows, codec
        self._life = life
        self._buffered = buffered
        self._log = TileLog(rows, codec)
        self._phase = Phase.OPEN
        self._flush_is_set = False

    @property
    def size(self) -> Size:
        """How many tiles there are, and how large their log is."""
        return self._log.size

    def receive(self, batch: ShardBatch, cell: bytes | None, read_log: ReadLog) -> Effects:
        """Add the rows of a batch."""
        is_new = not self._load(cell, read_log)
        effects = self._add(batch)
        sets_flush = self._set_flush()
        return effects._replace(
            change=self._commit(),
            ends_at_ms=self._life.ends_ms(self._phase) if is_new else None,
            sets_flush=sets_flush,
        )

    def end_phase(self, cell: bytes | None, read_log: ReadLog) -> Effects:
        """Begin the next phase: the watermark has passed the end of this one."""
        if not self._load(cell, read_log):
            return NO_EFFECTS
        ended, self._phase = self._phase, self._life.next_phase(self._phase)
        tiles: tuple[Tiles, ...] = ()
        if ended is Phase.OPEN:
            tiles = self._to_write(self._log.complete(), Phase.OPEN)
            self._flush_is_set = False
        if self._phase is Phase.EXPIRED:
            return Effects(StateChange(None, True, None), tiles)
        change = self._discard() if self._phase is Phase.CLOSED_FOR_GOOD else self._commit()
        return Effects(change, tiles, ends_at_ms=self._life.ends_ms(self._phase))

    def flush(self, cell: bytes | None, read_log: ReadLog) -> Effects:
        """Write the open tiles that have changed: the interval between two writes is over."""
        if not self._load(cell, read_log) or self._phase is not Phase.OPEN:
            return NO_EFFECTS  # tiles that have closed are written with each batch
        tiles = self._to_write(self._log.flush(), Phase.OPEN)
        self._flush_is_set = False
        return Effects(self._commit(), tiles)

    def _load(self, cell: bytes | None, read_log: ReadLog) -> bool:
        """Make the tiles equal to the committed state; gives whether there is any state."""
        found = None if cell is None else CellValue.unpack(cell)
        if found is None:
            self._phase, self._flush_is_set = Phase.OPEN, False
            self._log.load(None, read_log)
            return False
        self._phase, self._flush_is_set = found.phase, found.flush_is_set
        self._log.load(found.token, read_log, all_due=found.flush_is_set)
        return True

    def _add(self, batch: ShardBatch) -> Effects:
        """Add rows to their tiles; rows that do not fit become `refused`."""
        tiles: list[Tiles] = []
        refused: list[tuple[KeyedRow, str]] = []
        late = 0
        for are_late, rows in self._parts(batch):
            fitting = FittingRows(rows, self._log)
            taken = fitting if self._rows.may_refuse else rows
            add = self._add_late if are_late else self._add_in_time
            tiles += add(taken, batch.source)
            refused += fitting.refused
            late += (len(rows) - len(fitting.refused)) * are_late
        return Effects(tiles=tuple(tiles), refused=refused, late=late)

    def _parts(self, batch: ShardBatch) -> Iterable[tuple[bool, list[KeyedRow]]]:
        """The rows in their order, in parts: (whether all of its rows are late, its rows)."""
        if self._phase is Phase.CLOSED_FOR_GOOD or not batch.promised_ms:
            return [(self._phase is Phase.CLOSED_FOR_GOOD, batch.rows)]
        pairs = zip(map(self._life.is_late, batch.promised_ms), batch.rows, strict=True)
        groups = groupby(pairs, key=itemgetter(0))
        return ((are_late, [row for _, row in part]) for are_late, part in groups)

    def _add_in_time(self, rows: Iterable[KeyedRow], source: str) -> tuple[Tiles, ...]:
        """Add rows in time; gives the whole tiles to write.

        Open tiles are written once per row, or later by `flush`. Closed tiles, and those that had
        late events only so far, are corrections: they replace the stored tile.
        """
        late_only, written = self._log.late_only, ()
        if self._phase is Phase.OPEN and not self._buffered:
            written = self._to_write(self._log.add_each(rows), Phase.OPEN)
            changed = ()
        else:
            changed = self._log.add(rows)
        is_closed = self._phase is Phase.CLOSED
        return written + self._replacements(
            changed if is_closed else late_only - self._log.late_only, rows, source
        )

    def _replacements(
        self, keys: Collection[bytes], rows: Iterable[KeyedRow], source: str
    ) -> tuple[Tiles, ...]:
        """Whole tiles that replace the stored ones, each with the name of its last event."""
        if not keys:
            return ()
        last = {row[0]: event_name(source, row[2]) for row in rows}
        return self._to_write(self._log.tiles(keys), self._phase, [last[key] for key in keys])

    def _add_late(self, rows: Iterable[KeyedRow], source: str) -> tuple[Tiles, ...]:
        """Add late rows; gives the tiles to write.

        A row is in the whole tile if that is open and has an event in time. Any other row is a
        tile of its own, which is merged into the stored tile.
        """
        whole: tuple[Tiles, ...] = ()
        if self._phase is Phase.OPEN and not self._buffered:
            whole = self._to_write(
                self._with_events_in_time(self._log.add_each(rows, True)), Phase.OPEN
            )
        elif self._phase is not Phase.CLOSED_FOR_GOOD:
            self._log.add(rows, late=True)
        return whole + self._lone_tiles(list(rows), source)

    def _with_events_in_time(self, columns: TileColumns) -> TileColumns:
        late_only = self._log.late_only
        kept = [each for each in zip(*columns, strict=True) if each[0] not in late_only]
        return TileColumns(*map(list, zip(*kept, strict=True))) if kept else TileColumns([], [], [])

    def _lone_tiles(self, rows: list[KeyedRow], source: str) -> tuple[Tiles, ...]:
        """One tile per row, of this row alone; none for a row that its whole tile holds."""
        seen = Counter[tuple[bytes, int]]()
        columns, events = TileColumns([], [], []), list[str]()
        for row in rows:
            key, ts_ms, position, *_ = row
            # All rows of one event are in one batch, so their number in it tells them apart.
            name = event_name(source, position, seen[key, position])
            seen[key, position] += 1
            if self._phase is Phase.OPEN and key not in self._log.late_only:
                continue
            events.append(name)
            columns.keys.append(key)
            columns.values.append(self._lone_tile(row))
            columns.ts_ms.append(ts_ms)
        return self._to_write(columns, Phase.CLOSED_FOR_GOOD, events)

    def _lone_tile(self, row: KeyedRow) -> bytes:
        accumulator = self._rows.zero()
        self._rows.update(accumulator, row, row[1])
        return self._codec.encode(accumulator)

    def _to_write(
        self, columns: TileColumns, phase: Phase, events: Sequence[str] = ()
    ) -> tuple[Tiles, ...]:
        if not columns.keys:
            return ()
        size_ms = self._life.end_ms - self._life.start_ms
        return (Tiles(*columns, self._life.start_ms, size_ms, phase, events),)

    def _set_flush(self) -> bool:
        """Whether the flush timer has to be set; from here on it counts as set."""
        if not self._buffered or self._flush_is_set or self._phase is not Phase.OPEN:
            return False
        self._flush_is_set = True
        return True

    def _commit(self) -> StateChange:
        token = os.urandom(TOKEN_BYTES)
        blob, replaces = self._log.commit(token)
        return StateChange(blob, replaces, self._cell(token))

    def _discard(self) -> StateChange:
        """Drop all tiles: later events are merged into those that are in the store."""
        token = os.urandom(TOKEN_BYTES)
        self._log.discard(token)
        return StateChange(None, True, self._cell(token))

    def _cell(self, token: bytes) -> bytes:
        return CellValue(self._phase, self._flush_is_set, token).pack()


def event_name(source: str, position: int, row: int = 0) -> str:
    """The name of an event in corrections and notes, see `Correction.event`.

    Args:
        source: see `Messages.source`.
        position: see `Messages.positions`.
        row: how many rows of the same event and key come before this one.

    >>> event_name("topic/0", 7, 1)
    'topic/0@7#1'
    """
    return f"{source}@{position}#{row}" if row else f"{source}@{position}"
