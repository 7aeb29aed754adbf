"""Rows to tiles: Chronon's window operator, as a stateful DoFn on (shard, window).

Source: `ai.chronon.flink.window` (FlinkRowAggregationFunction, AlwaysFireOnElementTrigger,
BufferedProcessingTimeTrigger). Beam's own AfterCount(1) does not fire for every element on any
runner, so the trigger is executed here; windowing, state and timers are Beam's.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.transforms import trigger
from apache_beam.transforms.window import (
    GlobalWindow,
    GlobalWindows,
    SlidingWindows,
    TimestampedValue,
)
from apache_beam.typehints import Tuple
from apache_beam.utils.timestamp import Duration, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from chronon_beam.aggregator.layout import TileSpec
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.counts import Count, uncounted
from chronon_beam.api.records import FAILURES, Failure
from chronon_beam.transforms.keyed_rows import payload_check
from chronon_beam.transforms.rows import Rows, Tiles, dead_row, promises_at
from chronon_beam.transforms.stage import Result, emitted
from chronon_beam.transforms.tiling.settings import Late, Tiling
from chronon_beam.transforms.tiling.shards import Pane, ShardBatch, Splitter
from chronon_beam.transforms.tiling.tile_fn import REFUSED, BufferedFn, EveryEventFn

_FLUSH_ROWS = 10_000
# Beam itself must never drop a late row: whether a row is late is decided by what its source had
# promised (see `Messages.promised_ms`), so that every runner and every replay decides alike.
_BEAM_LATENESS: Any = Duration(seconds=50 * 365 * 24 * 60 * 60)


class Tiled(NamedTuple):
    """The outputs of `Tile`; tiles must be written in the order in which they come."""

    tiles: beam.PCollection[Tiles]
    failures: beam.PCollection[Failure]


@dataclass
class Tile(beam.PTransform):
    """Rows to Tiles of one size. Each tile holds all events of its key and window so far.

    Attributes:
        plan: what to compute.
        spec: which tiles; one of `plan.specs`.
        tiling: how tiles are made.
        count: takes `tiles`, `late` and `dead`; see `api.counts`.
    """

    plan: Plan
    spec: TileSpec
    tiling: Tiling = field(default_factory=Tiling)
    count: Count = uncounted

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, rows: beam.PCollection[Rows]) -> Tiled:
        """Rows are split by shard and pane, windowed, and aggregated."""
        split: Any = rows | "Split" >> beam.ParDo(SplitFn(self)).with_outputs(
            FAILURES, main="batches"
        )
        tiled: Any = (
            split.batches | "Window" >> _window_into(self.spec) | "Aggregate" >> _aggregate(self)
        )
        failures = split[FAILURES]
        if self.plan.aggregator.may_refuse:
            refused = tiled[REFUSED] | "Refused" >> beam.WindowInto(GlobalWindows())
            failures = (failures, refused) | "AllFailures" >> beam.Flatten()
        # Each Tiles has its window in it, so Beam's windows are not needed from here on.
        return Tiled(tiled.tiles | "Tiles" >> beam.WindowInto(GlobalWindows()), failures)


def _window_into(spec: TileSpec) -> beam.WindowInto:
    return beam.WindowInto(
        SlidingWindows(spec.size_ms / 1000, spec.period_ms / 1000),
        trigger=trigger.Repeatedly(trigger.AfterCount(1)),
        accumulation_mode=trigger.AccumulationMode.ACCUMULATING,
        allowed_lateness=_BEAM_LATENESS,
    )


def _aggregate(tile: Tile) -> beam.ParDo:
    kind = EveryEventFn if tile.tiling.trigger.every_event else BufferedFn
    fn = kind(tile.plan, tile.spec, tile.tiling, tile.count)
    return beam.ParDo(fn).with_outputs(REFUSED, main="tiles")


@beam.typehints.with_output_types(Tuple[bytes, bytes])
class SplitFn(beam.DoFn):
    """Rows of a bundle to (shard, ShardBatch) pairs, each at the start of its pane."""

    def __init__(self, tile: Tile) -> None:
        self._plan = tile.plan
        self._spec = tile.spec
        self._tiling = tile.tiling
        # Tiles of each size are made of the same rows, so a dead row is reported by one size only.
        self._first = tile.spec == tile.plan.specs[0]
        self._count = tile.count

    def setup(self) -> None:
        self._splitter = splitter(self._plan, self._spec, self._tiling)

    def process(self, rows: Rows) -> Iterator[Any]:
        if self._tiling.late is Late.DEAD_LETTER:
            rows, dropped = _without_late(rows, self._spec, self._tiling.lateness_ms)
            yield from emitted(Result(None, dropped), self._count, repeated=not self._first)
        unfit = list(self._splitter.add(rows))
        if self._first:  # tiles of the other sizes refuse the same rows
            failures = [dead_row(rows, index, "Tile", reason) for index, reason in unfit]
            yield from emitted(Result(None, failures), self._count)
        if self._splitter.pending >= _FLUSH_ROWS:
            for pane, batch in self._splitter.drain():
                yield TimestampedValue(_keyed(pane, batch), Timestamp(micros=pane.start_ms * 1000))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for pane, batch in self._splitter.drain():
            at = Timestamp(micros=pane.start_ms * 1000)
            yield WindowedValue(_keyed(pane, batch), at, (GlobalWindow(),))


def splitter(plan: Plan, spec: TileSpec, tiling: Tiling) -> Splitter:
    """The Splitter of a job's rows for tiles of one size."""
    return Splitter(
        list(plan.group_by.keys),
        plan.row_columns,
        plan.keys,
        tiling.shards,
        spec,
        tiling.lateness_ms,
        payload_check(plan),
    )


def _keyed(pane: Pane, batch: ShardBatch) -> tuple[bytes, bytes]:
    return pane.shard.to_bytes(2, "big"), batch.pack()


def _without_late(rows: Rows, spec: TileSpec, lateness_ms: int) -> tuple[Rows, list[Failure]]:
    """The rows that are in time for at least one of their windows; and failures of the others."""
    if rows.promised_ms is None:
        return rows, []
    times = rows.batch.column("ts").to_numpy(zero_copy_only=False)
    last_ms = times - times % spec.period_ms + spec.size_ms - 1 + lateness_ms
    closed_ms = rows.promised_ms.to_numpy() - last_ms
    late = closed_ms >= 0
    if not late.any():
        return rows, []
    failures = [
        dead_row(
            rows,
            int(index),
            "Tile",
            f"late: its tile closed {closed_ms[index]} ms before it came",
        )._replace(tile_size_ms=spec.size_ms)
        for index in late.nonzero()[0]
    ]
    kept = (~late).nonzero()[0]
    return rows._replace(
        batch=rows.batch.take(kept),
        positions=[rows.positions[i] for i in kept],
        promised_ms=promises_at(rows.promised_ms, kept),
    ), failures
