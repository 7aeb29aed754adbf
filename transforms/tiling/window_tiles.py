"""The tiles of one shard and window through their life: all that is decided about them.

The rules of time are in `tiling.life`, the arithmetic is in `tiling.tile_log`; this module puts
them together, without Beam. Each verb is given the committed state and returns `Effects`: what to
write to the store, what the state becomes, and which timers to set.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
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
    """What a batch or a timer brings about: in the store, in the state, among the timers.

    Attributes:
        change: what the state becomes; None leaves it as it is.
        tiles: to be written; None for nothing.
        refused: the rows that their tiles cannot take, each with the reason.
        late: how many rows were late.
        ends_at_ms: the watermark at which the phase ends, to set the timer for; None leaves it.
        sets_flush: whether the timer that writes buffered tiles is to be set.
    """

    change: StateChange | None = None
    tiles: Tiles | None = None
    refused: Sequence[tuple[KeyedRow, str]] = ()
    late: int = 0
    ends_at_ms: int | None = None
    sets_flush: bool = False


ReadLog = Callable[[], Iterable[bytes]]
NOTHING = Effects()


class WindowTiles:
    """The tiles of one (shard, window); for one thread at a time, see `TileCaches.using`.

    It is a cache of the state: `cell` and `read_log` of each verb are what is committed.

    Args:
        rows: adds rows, whose values begin at `shards.INPUTS_FROM`, to a tile.
        codec: of the tiles.
        life: of the window.
        buffered: whether open tiles wait for `flush`, or are written for every event.
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
        """How much there is of the tiles."""
        return self._log.size

    def receive(self, batch: ShardBatch, cell: bytes | None, read_log: ReadLog) -> Effects:
        """Take the rows of a batch."""
        late = [self._life.is_late(promised_ms) for promised_ms in batch.promised_ms]
        is_new = not self._load(cell, read_log)
        if is_new:
            self._phase = self._life.first_phase(late=bool(late) and late[0])
        if self._phase is Phase.EXPIRED:
            effects = Effects(tiles=self._lone_tiles(batch), late=len(batch.rows))
        else:
            effects = self._add(batch, late)
        sets_flush = self._set_flush()
        return effects._replace(
            change=self._commit(),
            ends_at_ms=self._life.ends_ms(self._phase) if is_new else None,
            sets_flush=sets_flush,
        )

    def end_phase(self, cell: bytes | None, read_log: ReadLog) -> Effects:
        """The watermark has passed the end of the phase: begin the next one."""
        if not self._load(cell, read_log):
            return NOTHING
        ended, self._phase = self._phase, self._life.next_phase(self._phase)
        tiles = None
        if ended is Phase.OPEN:
            tiles = self._to_write(self._log.complete(), Phase.OPEN)
            self._flush_is_set = False
        if self._phase is Phase.EXPIRED:
            return Effects(StateChange(None, True, None), tiles)
        change = self._discard() if self._phase is Phase.CLOSED_FOR_GOOD else self._commit()
        return Effects(change, tiles, ends_at_ms=self._life.ends_ms(self._phase))

    def flush(self, cell: bytes | None, read_log: ReadLog) -> Effects:
        """The interval between two writes is over: write the open tiles that have changed."""
        if not self._load(cell, read_log) or self._phase is not Phase.OPEN:
            return NOTHING  # from here on, tiles are corrected as late events come
        tiles = self._to_write(self._log.flush(), Phase.OPEN)
        self._flush_is_set = False
        return Effects(self._commit(), tiles)

    def _load(self, cell: bytes | None, read_log: ReadLog) -> bool:
        """Become what is committed; whether there is any state."""
        found = None if cell is None else CellValue.unpack(cell)
        if found is None:
            self._phase, self._flush_is_set = Phase.OPEN, False
            self._log.load(None, read_log)
            return False
        self._phase, self._flush_is_set = found.phase, found.flush_is_set
        self._log.load(found.token, read_log, all_due=found.flush_is_set)
        return True

    def _add(self, batch: ShardBatch, late: list[bool]) -> Effects:
        """Add rows to their tiles, but for those that do not fit."""
        fitting = FittingRows(batch.rows, self._log)
        rows = fitting if self._rows.may_refuse else batch.rows
        if self._phase is Phase.OPEN:
            tiles = self._open_tiles(rows)
        else:
            tiles = self._late_tiles(rows, batch.source)
        refused = fitting.refused
        return Effects(tiles=tiles, refused=refused, late=self._late_number(batch, late, refused))

    def _late_number(
        self, batch: ShardBatch, late: list[bool], refused: Sequence[tuple[KeyedRow, str]]
    ) -> int:
        """How many late rows were added."""
        if self._phase is Phase.CLOSED_FOR_GOOD:
            return len(batch.rows) - len(refused)
        unfit = {id(row) for row, _ in refused}
        pairs = zip(batch.rows, late or repeat(False), strict=False)
        return sum(is_late and id(row) not in unfit for row, is_late in pairs)

    def _open_tiles(self, rows: Iterable[KeyedRow]) -> Tiles | None:
        """The tiles after each row; None while they wait for `flush`."""
        if not self._buffered:
            return self._to_write(self._log.add_each(rows), Phase.OPEN)
        self._log.add(rows)
        return None

    def _late_tiles(self, rows: Iterable[KeyedRow], source: str) -> Tiles | None:
        """The tiles that have changed, each once, for the last of its events."""
        self._log.add(rows)
        last = {row[0]: event_name(source, row[2]) for row in rows}
        changed = self._log.changed()
        return self._to_write(changed, self._phase, [last[key] for key in changed.keys])

    def _lone_tiles(self, batch: ShardBatch) -> Tiles | None:
        """A tile of its own for each row."""
        rows, seen = batch.rows, Counter[tuple[bytes, int]]()
        events = []
        for key, _, position, *_ in rows:
            # Rows of one event come together, so their order tells them apart.
            events.append(event_name(batch.source, position, seen[key, position]))
            seen[key, position] += 1
        values = [self._lone_tile(row) for row in rows]
        columns = TileColumns([row[0] for row in rows], values, [row[1] for row in rows])
        return self._to_write(columns, Phase.EXPIRED, events)

    def _lone_tile(self, row: KeyedRow) -> bytes:
        accumulator = self._rows.zero()
        self._rows.update(accumulator, row, row[1])
        return self._codec.encode(accumulator)

    def _to_write(
        self, columns: TileColumns, phase: Phase, events: Sequence[str] = ()
    ) -> Tiles | None:
        if not columns.keys:
            return None
        size_ms = self._life.end_ms - self._life.start_ms
        return Tiles(*columns, self._life.start_ms, size_ms, phase, events)

    def _set_flush(self) -> bool:
        """Whether the flush timer has to be set, which it is from here on."""
        if not self._buffered or self._flush_is_set or self._phase is not Phase.OPEN:
            return False
        self._flush_is_set = True
        return True

    def _commit(self) -> StateChange:
        token = os.urandom(TOKEN_BYTES)
        blob, replaces = self._log.commit(token)
        return StateChange(blob, replaces, self._cell(token))

    def _discard(self) -> StateChange:
        """Let go of all tiles, which are in the store: what comes from here on is added apart."""
        token = os.urandom(TOKEN_BYTES)
        self._log.discard(token)
        return StateChange(None, True, self._cell(token))

    def _cell(self, token: bytes) -> bytes:
        return CellValue(self._phase, self._flush_is_set, token).pack()


def event_name(source: str, position: int, row: int = 0) -> str:
    """How a correction names its late event, see `Correction.event`.

    >>> event_name("topic/0", 7, 1)
    'topic/0@7#1'
    """
    return f"{source}@{position}#{row}" if row else f"{source}@{position}"
