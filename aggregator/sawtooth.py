"""Feature values at the time of a query, from tiles or rows and from batch values.

Source: `SawtoothOnlineAggregator.lambdaAggregateIrTiled` and `lambdaAggregateIr`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from chronon_beam.aggregator.batch_ir import HOP_SIZES_MS, TAIL_BUFFER_MS, FinalBatchIr
from chronon_beam.aggregator.columns import Column
from chronon_beam.aggregator.layout import Span, TileSpec, span, tail_ms
from chronon_beam.aggregator.row import Accumulator, Row, RowAggregator
from chronon_beam.api.data_types import DataType
from chronon_beam.api.group_by import Feature, GroupBy
from chronon_beam.api.records import MIN_MS


@dataclass(frozen=True)
class TiledIr:
    """One decoded tile."""

    spec: TileSpec
    start_ms: int
    accumulator: Accumulator


class Batch(NamedTuple):
    """The batch values of a key, and their end; tiles and rows count from there on."""

    end_ms: int = MIN_MS
    ir: FinalBatchIr | None = None


NO_BATCH = Batch()


def is_degraded(group_by: GroupBy, batch_end_ms: int, query_ms: int) -> bool:
    """Whether the batch is too old for exact windows (`FetcherBase.checkLateBatchData`).

    The tail hops of a batch reach two days: later, the tail of a longer window does not move on.
    """
    late = query_ms > batch_end_ms + TAIL_BUFFER_MS
    return late and any(window.millis > TAIL_BUFFER_MS for window in group_by.windows)


class Sawtooth:
    """Chronon's rule for windows: the head is exact, the tail jumps by hops."""

    def __init__(self, group_by: GroupBy, columns: list[Column]) -> None:
        self._features: list[tuple[Feature, Column]] = [
            (feature, columns[feature.tile_index]) for feature in group_by.features
        ]

    def spans(self, specs: tuple[TileSpec, ...], query_ms: int) -> dict[str, Span]:
        """The tiles that each feature reads if there are no batch values."""
        return {feature.name: span(feature, specs, query_ms) for feature, _ in self._features}

    def of_tiles(
        self,
        tiles: Iterable[TiledIr],
        specs: tuple[TileSpec, ...],
        query_ms: int,
        batch: Batch = NO_BATCH,
    ) -> dict[str, object]:
        """Feature values at `query_ms`; a tile that begins before then counts as a whole."""
        ordered = sorted(
            (tile for tile in tiles if tile.start_ms >= batch.end_ms), key=lambda t: t.start_ms
        )
        values = {}
        for index, (feature, column) in enumerate(self._features):
            wanted = span(feature, specs, query_ms)
            ir = collapsed(column, batch, index)
            for tile in ordered:
                in_span = wanted.start_ms <= tile.start_ms < wanted.end_ms
                if in_span and tile.spec == wanted.spec:
                    ir = column.merge_decoded(ir, tile.accumulator[feature.tile_index])
            values[feature.name] = column.finalize(
                with_tail_hops(ir, column, feature, batch, query_ms)
            )
        return values


def collapsed(column: Column, batch: Batch, index: int) -> object:
    """A copy of a feature's IR up to the batch's end, without the tail hops."""
    ir = None if batch.ir is None else batch.ir.collapsed[index]
    if ir is None:
        return None
    round_trip = column.operation.round_trip
    return column.operation.clone(ir if round_trip is None else round_trip(ir))


def with_tail_hops(
    ir: object, column: Column, feature: Feature, batch: Batch, query_ms: int
) -> object:
    """`ir` merged with the tail hops that the window still covers at `query_ms`."""
    window = feature.part.window
    if window is None:
        return ir
    first_ms = tail_ms(window, query_ms)
    until_ms = batch.end_ms - window.millis + TAIL_BUFFER_MS
    hops = batch.ir.tail_hops[HOP_SIZES_MS.index(window.hop_ms)] if batch.ir else []
    return column.merge_window(
        ir,
        (
            hop.accumulator[feature.tile_index]
            for hop in hops
            if first_ms <= hop.start_ms < until_ms
        ),
    )


class Mutation(NamedTuple):
    """A stored row of an entity.

    Attributes:
        mutation_ms: when the row changed.
        ts_ms: the time of the row itself.
        row: its inputs, and whether the row is deleted.
    """

    mutation_ms: int
    ts_ms: int
    row: Row


class WindowedRows:
    """Untiled rows to feature values: each row is added to the windows that contain it.

    A row of an entity ends with whether to delete it (see `RowAggregator`).
    """

    def __init__(self, group_by: GroupBy, inputs: Mapping[str, DataType]) -> None:
        self._features = group_by.features
        self._singles = [
            RowAggregator([feature.part], inputs, group_by, deletes=group_by.is_entities)
            for feature in self._features
        ]

    def of_mutations(
        self, mutations: Iterable[Mutation], query_ms: int, batch: Batch = NO_BATCH
    ) -> dict[str, object]:
        """As `of_rows`, for entities: the rows that changed since the batch, by their own time."""
        changed = [
            (each.ts_ms, each.row)
            for each in mutations
            if batch.end_ms <= each.mutation_ms < query_ms and each.ts_ms < query_ms
        ]
        return self._windowed(changed, query_ms, batch)

    def of_rows(
        self, rows: Iterable[tuple[int, Row]], query_ms: int, batch: Batch = NO_BATCH
    ) -> dict[str, object]:
        """Feature values at `query_ms` of (ts_ms, row) pairs; later rows do not count."""
        streamed = [(ts_ms, row) for ts_ms, row in rows if batch.end_ms <= ts_ms < query_ms]
        return self._windowed(streamed, query_ms, batch)

    def _windowed(
        self, streamed: list[tuple[int, Row]], query_ms: int, batch: Batch
    ) -> dict[str, object]:
        values = {}
        for index, (feature, single) in enumerate(zip(self._features, self._singles, strict=True)):
            column = single.columns[0]
            start_ms = tail_ms(feature.part.window, query_ms)
            accumulator = [collapsed(column, batch, index)]
            for ts_ms, row in streamed:
                # Refused is a list of another length than before, which no tile would have either.
                if start_ms <= ts_ms and single.refusal(accumulator, row) is None:
                    single.update(accumulator, row, ts_ms)
            ir = with_tail_hops(accumulator[0], column, feature, batch, query_ms)
            values[feature.name] = column.finalize(ir)
        return values
