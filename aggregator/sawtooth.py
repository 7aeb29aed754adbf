"""Feature values at the time of a query, from tiles or rows and from batch values.

Source: `SawtoothOnlineAggregator.lambdaAggregateIrTiled` and `lambdaAggregateIr`.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

from chronon_beam.aggregator.batch_ir import HOP_SIZES_MS, TAIL_BUFFER_MS, FinalBatchIr
from chronon_beam.aggregator.columns import Column
from chronon_beam.aggregator.layout import Span, TileSpec, span, tail_ms
from chronon_beam.aggregator.row import Row, RowAggregator
from chronon_beam.api.data_types import DataType
from chronon_beam.api.group_by import Feature, GroupBy
from chronon_beam.api.records import MIN_MS


class TiledIr(NamedTuple):
    """One decoded tile, with the IRs of its columns."""

    spec: TileSpec
    start_ms: int
    accumulator: Row


class FeatureBatch(NamedTuple):
    """What a batch holds of one feature: its IR without the tail hops, and the hops of its column.

    Attributes:
        end_ms: the batch's end; for a feature that is not in the batch, before all times.
        collapsed: None if the feature has seen no value.
        hops: the start and the IR of each tail hop of the window's hop size.
    """

    end_ms: int = MIN_MS
    collapsed: object = None
    hops: Sequence[tuple[int, object]] = ()


class Batch(NamedTuple):
    """The batch values of a key, and their end; tiles and rows count from there on.

    Attributes:
        features: those of the GroupBy that the batch was made for; None if it is the reader's.
    """

    end_ms: int = MIN_MS
    ir: FinalBatchIr | None = None
    features: tuple[Feature, ...] | None = None

    def of(self, index: int, feature: Feature) -> FeatureBatch:
        """What it holds of the reader's feature number `index`."""
        if self.features is not None:
            found = [i for i, each in enumerate(self.features) if each.part == feature.part]
            if not found:
                return FeatureBatch()
            index, feature = found[0], self.features[found[0]]
        if self.ir is None:
            return FeatureBatch(self.end_ms)
        window = feature.part.window
        hops = self.ir.tail_hops[HOP_SIZES_MS.index(window.hop_ms)] if window else []
        of_column = [(hop.start_ms, hop.accumulator[feature.tile_index]) for hop in hops]
        return FeatureBatch(self.end_ms, self.ir.collapsed[index], of_column)


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
        tiles: Sequence[TiledIr],
        specs: tuple[TileSpec, ...],
        query_ms: int,
        batch: Batch = NO_BATCH,
    ) -> dict[str, object]:
        """Feature values at `query_ms`; a tile that begins before then counts as a whole."""
        families = {spec: _Family(spec, tiles) for spec in specs}
        values = {}
        for index, (feature, column) in enumerate(self._features):
            wanted, own = span(feature, specs, query_ms), batch.of(index, feature)
            first_ms = max(wanted.start_ms, own.end_ms)
            found = families[wanted.spec].within(first_ms, wanted.end_ms)
            number = feature.tile_index
            ir = column.merge_decoded(collapsed(column, own), [tile[number] for tile in found])
            values[feature.name] = column.finalize(
                with_tail_hops(ir, column, feature, own, query_ms)
            )
        return values


class _Family:
    """The tiles of one family, in order of time."""

    def __init__(self, spec: TileSpec, tiles: Sequence[TiledIr]) -> None:
        of_spec = [tile for tile in tiles if tile.spec is spec or tile.spec == spec]
        of_spec.sort(key=_start)
        self._starts = [tile.start_ms for tile in of_spec]
        self._accumulators = [tile.accumulator for tile in of_spec]

    def within(self, first_ms: int, end_ms: int) -> list[Row]:
        """The accumulators of the tiles that begin in this time, without its end."""
        first, end = bisect_left(self._starts, first_ms), bisect_left(self._starts, end_ms)
        return self._accumulators[first:end]


_start = attrgetter("start_ms")


def collapsed(column: Column, batch: FeatureBatch) -> object:
    """A copy of a feature's IR up to the batch's end, without the tail hops."""
    ir = batch.collapsed
    if ir is None:
        return None
    round_trip = column.operation.round_trip
    return column.operation.clone(ir if round_trip is None else round_trip(ir))


def with_tail_hops(
    ir: object, column: Column, feature: Feature, batch: FeatureBatch, query_ms: int
) -> object:
    """`ir` merged with the tail hops that the window still covers at `query_ms`."""
    window = feature.part.window
    if window is None:
        return ir
    first_ms = tail_ms(window, query_ms)
    until_ms = batch.end_ms - window.millis + TAIL_BUFFER_MS
    return column.merge_window(
        ir, (hop for start_ms, hop in batch.hops if first_ms <= start_ms < until_ms)
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
            each for each in mutations if each.mutation_ms < query_ms and each.ts_ms < query_ms
        ]
        return self._windowed(changed, query_ms, batch)

    def of_rows(
        self, rows: Iterable[tuple[int, Row]], query_ms: int, batch: Batch = NO_BATCH
    ) -> dict[str, object]:
        """Feature values at `query_ms` of (ts_ms, row) pairs; later rows do not count."""
        streamed = [Mutation(ts_ms, ts_ms, row) for ts_ms, row in rows if ts_ms < query_ms]
        return self._windowed(streamed, query_ms, batch)

    def _windowed(self, streamed: list[Mutation], query_ms: int, batch: Batch) -> dict[str, object]:
        values = {}
        for index, (feature, single) in enumerate(zip(self._features, self._singles, strict=True)):
            column = single.columns[0]
            start_ms, own = tail_ms(feature.part.window, query_ms), batch.of(index, feature)
            accumulator = [collapsed(column, own)]
            for changed_ms, ts_ms, row in streamed:
                # Refused is a list of another length than before, which no tile would have either.
                counts = own.end_ms <= changed_ms and start_ms <= ts_ms
                if counts and single.refusal(accumulator, row) is None:
                    single.update(accumulator, row, ts_ms)
            ir = with_tail_hops(accumulator[0], column, feature, own, query_ms)
            values[feature.name] = column.finalize(ir)
        return values
