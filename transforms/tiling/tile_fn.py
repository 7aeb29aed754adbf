"""The stateful DoFns of tiling: they read the state, call `WindowTiles`, and write the state."""

import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
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
from chronon_beam.api.records import Failure, Form
from chronon_beam.transforms.keyed_rows import INPUTS_FROM, KeyedRow
from chronon_beam.transforms.rows import as_json
from chronon_beam.transforms.state_cache import measure_values_alone
from chronon_beam.transforms.tiling.life import Life
from chronon_beam.transforms.tiling.settings import Tiling
from chronon_beam.transforms.tiling.shards import ShardBatch
from chronon_beam.transforms.tiling.state import CellState, LogState, TimerState, apply
from chronon_beam.transforms.tiling.tile_caches import TileCaches, WindowKey
from chronon_beam.transforms.tiling.window_tiles import Effects, WindowTiles

REFUSED = "refused"

# Beam finds states and timers by the defaults of parameters; the annotations say how to use them.
_Param: Any = beam.DoFn


_caches = TileCaches()
"""Of all steps in this process: Beam makes several copies of a DoFn."""


@beam.typehints.with_input_types(Tuple[bytes, bytes])
class EveryEventFn(beam.DoFn):
    """ShardBatches of one (shard, window) to Tiles, one per row, and Failures.

    State: see `tiling.state`.

    Timer:
        phase_end: event time; fires when the watermark passes the end of the window's phase, see
            `tiling.life`.
    """

    LOG = BagStateSpec("log", BytesCoder())
    CELL = ReadModifyWriteStateSpec("cell", BytesCoder())
    PHASE_END = TimerSpec("phase_end", TimeDomain.WATERMARK)

    def __init__(self, plan: Plan, spec: TileSpec, tiling: Tiling, count: Count) -> None:
        self._plan = plan
        self._count = count
        self._spec = spec
        self._tiling = tiling
        # Made here and so shared by all copies of this transform, but by no other job.
        self._job = uuid.uuid4().hex

    def setup(self) -> None:
        measure_values_alone()
        self._rows = self._plan.row_aggregator(self._spec, INPUTS_FROM)
        self._codec = self._plan.tiles

    def process(
        self,
        element: tuple[bytes, bytes],
        window: IntervalWindow = _Param.WindowParam,
        log: LogState = _Param.StateParam(LOG),
        cell: CellState = _Param.StateParam(CELL),
        phase_end: TimerState = _Param.TimerParam(PHASE_END),
    ) -> Iterator[Any]:
        shard, packed = element
        batch = ShardBatch.unpack(packed)
        with self._tiles_of(shard, window) as tiles:
            effects = tiles.receive(batch, cell.read(), log.read)
            _write_state(effects, log, cell, phase_end)
            self._measure(shard, window, tiles)
        # The tiles are back in the cache by now: an error of a later step must not drop them.
        yield from self._outputs(effects, window, batch.source)

    @on_timer(PHASE_END)
    def on_phase_end(
        self,
        shard: bytes = _Param.KeyParam,
        window: IntervalWindow = _Param.WindowParam,
        log: LogState = _Param.StateParam(LOG),
        cell: CellState = _Param.StateParam(CELL),
        phase_end: TimerState = _Param.TimerParam(PHASE_END),
    ) -> Iterator[Any]:
        with self._tiles_of(shard, window) as tiles:
            effects = tiles.end_phase(cell.read(), log.read)
            _write_state(effects, log, cell, phase_end)
            self._measure(shard, window, tiles)
        if effects.change is not None and effects.change.cell is None:
            _caches.drop(self._key(shard, window))
        yield from self._outputs(effects, window)

    def _tiles_of(
        self, shard: bytes, window: IntervalWindow
    ) -> AbstractContextManager[WindowTiles]:
        def make() -> WindowTiles:
            life = Life(_ms(window.start), _ms(window.end), self._tiling.lateness_ms)
            buffered = not self._tiling.trigger.every_event
            return WindowTiles(self._rows, self._codec, life, buffered)

        return _caches.using(self._key(shard, window), make)

    def _key(self, shard: bytes, window: IntervalWindow) -> WindowKey:
        return WindowKey(self._job, shard, _ms(window.start))

    def _measure(self, shard: bytes, window: IntervalWindow, tiles: WindowTiles) -> None:
        """Record how much this process keeps in memory for the step."""
        total = _caches.resize(self._key(shard, window), tiles.size)
        self._count(Metric.LIVE_TILES, total.tiles, part=self._job)
        self._count(Metric.LOG_BYTES, total.log_bytes, part=self._job)

    def _outputs(self, effects: Effects, window: IntervalWindow, source: str = "") -> Iterator[Any]:
        self._count(Metric.LATE, effects.late)
        self._count_dead([row[1] for row, _ in effects.refused], window)
        for tiles in effects.tiles:
            self._count(Metric.TILES, len(tiles.keys))
            yield tiles
        for row, reason in effects.refused:
            yield TaggedOutput(REFUSED, self._failure(source, row, reason))

    def _count_dead(self, times_ms: list[int], window: IntervalWindow) -> None:
        """Count refused rows: a row is dead once, in the newest of its tiles of the first size.

        Where its other tiles refuse it too, that is counted as repeated.
        """
        first = 0
        if self._spec == self._plan.specs[0]:
            first = sum(ms - ms % self._spec.period_ms == _ms(window.start) for ms in times_ms)
        self._count(dead("Tile"), first)
        self._count(Metric.DEAD_REPEATED, len(times_ms) - first)

    def _failure(self, source: str, row: KeyedRow, reason: str) -> Failure:
        keys = zip(self._plan.group_by.keys, self._plan.keys.decode(row[0]), strict=True)
        inputs = zip(self._plan.row_columns, row[INPUTS_FROM:], strict=True)
        payload = as_json({**dict(keys), **dict(inputs), "ts": row[1]})
        # Where a row has several tiles of one size, others may have taken it.
        form = Form.ROW if self._spec.tiles_per_event == 1 else Form.OTHER
        failure = Failure("Tile", reason, payload, source, row[2], form)
        return failure._replace(event_time_ms=row[1], tile_size_ms=self._spec.size_ms)


@beam.typehints.with_input_types(Tuple[bytes, bytes])
class BufferedFn(EveryEventFn):
    """ShardBatches to Tiles, each tile at most once per interval.

    Timer:
        flush: processing time; set by the first batch after a flush, an interval ahead. When it
            fires, the tiles that have changed since the last flush are written. When the window
            closes first, all tiles are written then.
    """

    FLUSH = TimerSpec("flush", TimeDomain.REAL_TIME)

    def process(
        self,
        element: tuple[bytes, bytes],
        window: IntervalWindow = _Param.WindowParam,
        log: LogState = _Param.StateParam(EveryEventFn.LOG),
        cell: CellState = _Param.StateParam(EveryEventFn.CELL),
        phase_end: TimerState = _Param.TimerParam(EveryEventFn.PHASE_END),
        flush: TimerState = _Param.TimerParam(FLUSH),
    ) -> Iterator[Any]:
        shard, packed = element
        batch = ShardBatch.unpack(packed)
        with self._tiles_of(shard, window) as tiles:
            effects = tiles.receive(batch, cell.read(), log.read)
            _write_state(effects, log, cell, phase_end)
            self._measure(shard, window, tiles)
            if effects.sets_flush:
                flush.set(Timestamp.now() + (self._tiling.trigger.interval_ms or 0) / 1000)
        yield from self._outputs(effects, window, batch.source)

    @on_timer(FLUSH)
    def on_flush(
        self,
        shard: bytes = _Param.KeyParam,
        window: IntervalWindow = _Param.WindowParam,
        log: LogState = _Param.StateParam(EveryEventFn.LOG),
        cell: CellState = _Param.StateParam(EveryEventFn.CELL),
    ) -> Iterator[Any]:
        with self._tiles_of(shard, window) as tiles:
            effects = tiles.flush(cell.read(), log.read)
            _write_state(effects, log, cell)
            self._measure(shard, window, tiles)
        yield from self._outputs(effects, window)


def _write_state(
    effects: Effects, log: LogState, cell: CellState, phase_end: TimerState | None = None
) -> None:
    """Write the state that `effects` has, and set the timer of the phase."""
    if effects.change is not None:
        apply(effects.change, log, cell)
    if phase_end is not None and effects.ends_at_ms is not None:
        phase_end.set(Timestamp(micros=effects.ends_at_ms * 1000))


def _ms(time: Timestamp) -> int:
    return time.micros // 1000
