"""The stateful DoFns of tiling: read the state, call `TileLog`, write the state."""

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Any

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import (
    BagStateSpec,
    ReadModifyWriteStateSpec,
    TimerSpec,
    on_timer,
)
from apache_beam.transforms.window import IntervalWindow
from apache_beam.typehints import Tuple
from apache_beam.utils.timestamp import Timestamp

from chronon_beam.aggregator.layout import TileSpec
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.counts import Count, Metric, dead
from chronon_beam.api.records import Failure, Phase
from chronon_beam.transforms.rows import Tiles, as_json
from chronon_beam.transforms.tiling.shards import INPUTS_FROM, ShardBatch
from chronon_beam.transforms.tiling.tile_log import Commit, FittingRows, TileLog, Written
from chronon_beam.transforms.tiling.triggers import Trigger

REFUSED = "refused"

TOMBSTONE_MS = 24 * 60 * 60 * 1000
"""How long a window is remembered after its last event was taken. Sources that carry a watermark
with their messages do not need it; for others, it keeps a late row from starting a tile anew."""


@dataclass(frozen=True)
class Lives:
    """How long a (shard, window) lives.

    Attributes:
        lateness_ms: how long after its end it takes events. That it was there is known for
            `TOMBSTONE_MS` more.
    """

    lateness_ms: int

    def last_ms(self, window: IntervalWindow) -> int:
        """When it has taken its last event."""
        return _end_ms(window) + self.lateness_ms

    def is_late(self, window: IntervalWindow, promised_ms: int) -> bool:
        """Whether an event of `window` is late when the source has promised `promised_ms`."""
        return self.last_ms(window) - 1 <= promised_ms

    def next_phase(self, phase: Phase) -> Phase:
        """What follows when the timer fires."""
        if phase is Phase.EXPIRED:
            return phase
        return (
            Phase.CLOSED if phase is Phase.OPEN and self.lateness_ms > 0 else Phase.CLOSED_FOR_GOOD
        )

    def next_ms(self, window: IntervalWindow, phase: Phase, now_ms: int) -> int | None:
        """When `phase`, which began at `now_ms`, ends; None: it is over."""
        if phase is Phase.CLOSED:
            return self.last_ms(window)
        forgotten_ms = self.last_ms(window) + TOMBSTONE_MS
        return forgotten_ms if now_ms < forgotten_ms else None


class _LiveLogs:
    """The process's TileLogs: a cache that is checked against Beam's state at every use."""

    def __init__(self) -> None:
        self._logs: dict[tuple[str, bytes, int], TileLog] = {}
        self._lock = Lock()

    def get(self, job: str, shard: bytes, start_ms: int, empty: TileLog) -> TileLog:
        with self._lock:
            return self._logs.setdefault((job, shard, start_ms), empty)

    def drop(self, job: str, shard: bytes, start_ms: int) -> None:
        with self._lock:
            self._logs.pop((job, shard, start_ms), None)


_live_logs = _LiveLogs()


@beam.typehints.with_input_types(Tuple[bytes, bytes])
class EveryEventFn(beam.DoFn):
    """ShardBatches of one (shard, window) to Tiles, one for every row, and Failures.

    State:
        log: blobs of changed tiles; replaced by a snapshot when it has grown to twice the live
            tiles, cleared when the tiles are let go. What late events add after that begins anew.
        cell: token and phase; cleared `TOMBSTONE_MS` after the window took its last event.
    Timer:
        close: set by the first batch to the window's max timestamp. When the watermark passes it
            the closing tiles are written; then it is set to the end of the lateness, where tiles
            are let go, and `TOMBSTONE_MS` later, where nothing is left.
    """

    LOG = BagStateSpec("log", BytesCoder())
    CELL = ReadModifyWriteStateSpec("cell", BytesCoder())
    CLOSE = TimerSpec("close", TimeDomain.WATERMARK)

    def __init__(
        self, plan: Plan, spec: TileSpec, lives: Lives, trigger: Trigger, count: Count
    ) -> None:
        self._plan = plan
        self._count = count
        self._spec = spec
        self._lives = lives
        self._trigger = trigger
        # Made here and so shared by all copies of this transform, but by no other job.
        self._job = uuid.uuid4().hex

    def setup(self) -> None:
        self._rows = self._plan.row_aggregator(self._spec, INPUTS_FROM)
        self._codec = self._plan.tiles

    def process(
        self,
        element: tuple[bytes, bytes],
        window: Any = beam.DoFn.WindowParam,
        log: Any = beam.DoFn.StateParam(LOG),
        cell: Any = beam.DoFn.StateParam(CELL),
        close: Any = beam.DoFn.TimerParam(CLOSE),
    ) -> Iterator[Any]:
        live = self._live(element[0], window)
        batch = ShardBatch.unpack(element[1])
        with live.lock:
            outputs = self._receive(batch, window, live, log, cell, close)
            _put(live.commit(), log, cell)
        # Yielded after the lock: an error downstream must not leave it held.
        yield from outputs

    @on_timer(CLOSE)
    def on_close(
        self,
        shard: Any = beam.DoFn.KeyParam,
        window: Any = beam.DoFn.WindowParam,
        at: Any = beam.DoFn.TimestampParam,
        log: Any = beam.DoFn.StateParam(LOG),
        cell: Any = beam.DoFn.StateParam(CELL),
        close: Any = beam.DoFn.TimerParam(CLOSE),
    ) -> Iterator[Any]:
        live = self._live(shard, window)
        with live.lock:
            live.sync(cell.read(), log.read)
            closing = live.close() if live.phase is Phase.OPEN else None
            before, live.phase = live.phase, self._lives.next_phase(live.phase)
            next_ms = self._lives.next_ms(window, live.phase, at.micros // 1000)
            if next_ms is None:
                log.clear()
                cell.clear()
                _live_logs.drop(self._job, shard, _start_ms(window))
            else:
                lets_go = (
                    live.phase is Phase.CLOSED_FOR_GOOD and before is not Phase.CLOSED_FOR_GOOD
                )
                _put(live.discard() if lets_go else live.commit(), log, cell)
                close.set(_timestamp(next_ms))
        if closing and closing.keys:
            yield self._tiles(closing, window)

    def _live(self, shard: bytes, window: IntervalWindow) -> TileLog:
        empty = TileLog(self._rows, self._codec)
        return _live_logs.get(self._job, shard, _start_ms(window), empty)

    def _receive(
        self, batch: ShardBatch, window: Any, live: TileLog, log: Any, cell: Any, close: Any
    ) -> list[Any]:
        """The outputs of a batch; `live` holds its rows, but for those that it cannot take."""
        late_rows = [self._lives.is_late(window, each) for each in batch.promised_ms or ()]
        late = bool(late_rows) and late_rows[0]
        if not live.sync(cell.read(), log.read):
            close.set(window.max_timestamp())
            # A late tile may be in the store from before: corrected, never overwritten.
            live.phase = Phase.EXPIRED if late else Phase.OPEN
        if live.phase is Phase.EXPIRED:
            self._count(Metric.LATE, len(batch.rows))
            return [self._lone_events(batch, window)]
        fitting = FittingRows(batch.rows, live)
        rows = fitting if self._rows.may_refuse else batch.rows
        outputs: list[Any] = [self._tiles_with(rows, batch.source, live, window)]
        failures = [self._failure(batch.source, row, reason) for row, reason in fitting.refused]
        for_good = live.phase is Phase.CLOSED_FOR_GOOD
        number = len(batch.rows) if for_good else sum(late_rows)
        self._count(Metric.LATE, max(0, number - len(failures)))
        self._count_dead([row[1] for row, _ in fitting.refused], window)
        return outputs + [TaggedOutput(REFUSED, failure) for failure in failures]

    def _count_dead(self, times_ms: list[int], window: IntervalWindow) -> None:
        """Count refused rows: each once as dead, by the newest tile of the first family."""
        first = 0
        if self._spec == self._plan.specs[0]:
            first = sum(ms - ms % self._spec.period_ms == _start_ms(window) for ms in times_ms)
        self._count(dead("Tile"), first)
        self._count(Metric.DEAD_REPEATED, len(times_ms) - first)

    def _failure(self, source: str, row: Any, reason: str) -> Failure:
        keys = zip(self._plan.group_by.keys, self._plan.keys.decode(row[0]), strict=True)
        inputs = zip(self._plan.inputs, row[INPUTS_FROM:], strict=False)
        payload = as_json({**dict(keys), **dict(inputs), "ts": row[1]})
        return Failure("Tile", reason, payload, source, row[2])

    def _tiles_with(
        self, rows: Iterable[Any], source: str, live: TileLog, window: IntervalWindow
    ) -> Tiles:
        """The tiles to write after adding `rows`: of a tile that has closed, the last one."""
        if live.phase is Phase.OPEN:
            return self._tiles(self._aggregate(live, rows), window)
        live.aggregate(rows)
        last = {row[0]: f"{source}@{row[2]}" for row in rows}
        changed = live.changed()
        events = [last[key] for key in changed.keys]
        return self._tiles(changed, window)._replace(phase=live.phase, events=events)

    def _aggregate(self, live: TileLog, rows: Iterable[Any]) -> Written:
        return live.aggregate_each(rows)

    def _tiles(self, written: Written, window: IntervalWindow) -> Tiles:
        self._count(Metric.TILES, len(written.keys))
        return Tiles(*written, _start_ms(window), self._spec.size_ms)

    def _lone_events(self, batch: ShardBatch, window: IntervalWindow) -> Tiles:
        # Rows of one event have its position; they come together, so their order tells them apart.
        seen: Counter[tuple[bytes, int]] = Counter()
        events = []
        for row in batch.rows:
            again = f"#{seen[row[0], row[2]]}" if seen[row[0], row[2]] else ""
            seen[row[0], row[2]] += 1
            events.append(f"{batch.source}@{row[2]}{again}")
        keys, times, _, *_ = zip(*batch.rows, strict=True)
        written = Written(list(keys), list(map(self._tile_of, batch.rows)), list(times))
        return self._tiles(written, window)._replace(phase=Phase.EXPIRED, events=events)

    def _tile_of(self, row: Any) -> bytes:
        accumulator = self._rows.zero()
        self._rows.update(accumulator, row, row[1])
        return self._codec.encode(accumulator)


@beam.typehints.with_input_types(Tuple[bytes, bytes])
class BufferedFn(EveryEventFn):
    """ShardBatches to Tiles, each tile at most once an interval.

    Timer:
        flush: processing time; set by the first batch after a flush, an interval ahead. When it
            fires, the tiles that changed since are written. What is left is written at the close.
    """

    FLUSH = TimerSpec("flush", TimeDomain.REAL_TIME)

    def process(
        self,
        element: tuple[bytes, bytes],
        window: Any = beam.DoFn.WindowParam,
        log: Any = beam.DoFn.StateParam(EveryEventFn.LOG),
        cell: Any = beam.DoFn.StateParam(EveryEventFn.CELL),
        close: Any = beam.DoFn.TimerParam(EveryEventFn.CLOSE),
        flush: Any = beam.DoFn.TimerParam(FLUSH),
    ) -> Iterator[Any]:
        live = self._live(element[0], window)
        batch = ShardBatch.unpack(element[1])
        with live.lock:
            outputs = self._receive(batch, window, live, log, cell, close)
            if not live.flush_armed and live.phase is Phase.OPEN:
                flush.set(Timestamp.now() + (self._trigger.interval_ms or 0) / 1000)
                live.flush_armed = True
            _put(live.commit(), log, cell)
        yield from outputs

    @on_timer(FLUSH)
    def on_flush(
        self,
        shard: Any = beam.DoFn.KeyParam,
        window: Any = beam.DoFn.WindowParam,
        log: Any = beam.DoFn.StateParam(EveryEventFn.LOG),
        cell: Any = beam.DoFn.StateParam(EveryEventFn.CELL),
    ) -> Iterator[Tiles]:
        live = self._live(shard, window)
        with live.lock:
            if not live.sync(cell.read(), log.read) or live.phase is not Phase.OPEN:
                return  # tiles that have closed are corrected as events come
            due = live.flush()
            live.flush_armed = False
            _put(live.commit(), log, cell)
        if due.keys:
            yield self._tiles(due, window)

    def _aggregate(self, live: TileLog, rows: Iterable[Any]) -> Written:
        live.aggregate(rows)
        return Written([], [], [])


def _put(commit: Commit, log: Any, cell: Any) -> None:
    if commit.replaces:
        log.clear()
    if commit.blob is not None:
        log.add(commit.blob)
    cell.write(commit.cell)


def _start_ms(window: IntervalWindow) -> int:
    return window.start.micros // 1000


def _end_ms(window: IntervalWindow) -> int:
    return window.end.micros // 1000


def _timestamp(ms: int) -> Timestamp:
    return Timestamp(micros=ms * 1000)
