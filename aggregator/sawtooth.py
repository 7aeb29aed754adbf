"""Feature values at the time of a query, from tiles or rows and from batch values.

Source: `SawtoothOnlineAggregator.lambdaAggregateIrTiled` and `lambdaAggregateIr`.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from chronon_beam.aggregator.batch_ir import HOP_SIZES_MS, TAIL_BUFFER_MS, FinalBatchIr
from chronon_beam.aggregator.columns import Column
from chronon_beam.aggregator.layout import Span, TileSpec, span, tail_ms
from chronon_beam.aggregator.merged_tiles import MergedTiles, merged_key
from chronon_beam.aggregator.row import Row, RowAggregator
from chronon_beam.api.data_types import DataType
from chronon_beam.api.group_by import Feature, GroupBy, Window
from chronon_beam.api.records import MIN_MS

DecodeTiles = Callable[[Sequence[bytes]], list[Row]]
"""Tiles as they are stored, to the IRs of their columns."""


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
        value: the bytes that `ir` was decoded from.
    """

    end_ms: int = MIN_MS
    ir: FinalBatchIr | None = None
    features: tuple[Feature, ...] | None = None
    value: bytes = b""

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


class TileFamily:
    """Tiles of one family that a query has read, in order of time; each is decoded at most once.

    Args:
        starts: when each tile begins.
        tiles: as they are stored.
        decode: tiles to the IRs of their columns.
    """

    def __init__(self, starts: Sequence[int], tiles: Sequence[bytes], decode: DecodeTiles) -> None:
        self.tiles = tiles
        self._starts, self._decode = starts, decode
        self._rows: list[Row | None] = [None] * len(tiles)

    def within(self, first_ms: int, end_ms: int) -> "_Range":
        """The tiles that begin in this time, without its end."""
        first, end = bisect_left(self._starts, first_ms), bisect_left(self._starts, end_ms)
        return _Range(self, first, max(first, end))

    def rows(self, first: int, end: int) -> list[Row]:
        """The IRs of the columns in tiles, by index."""
        if None in self._rows[first:end]:
            self._rows[first:end] = self._decode(self.tiles[first:end])
        return [row for row in self._rows[first:end] if row is not None]


class _Range(NamedTuple):
    """Tiles of a family, from index `first` on, without `end`."""

    family: TileFamily
    first: int
    end: int


class _QueryFeature(NamedTuple):
    """A feature of the GroupBy, with its column and its batch values.

    Attributes:
        index: the place of the feature among the features of the GroupBy.
        name: of the feature.
        feature: its declaration.
        column: the column of a tile that the feature is made of.
        batch: what the batch holds of the feature.
    """

    index: int
    name: str
    feature: Feature
    column: Column
    batch: FeatureBatch = FeatureBatch()


class _Group(NamedTuple):
    """Features of one window.

    Attributes:
        features: as they are without batch values.
        is_kept: whether the IRs of their merged tiles can be kept in the cache.
    """

    window: Window | None
    is_kept: bool
    features: list[_QueryFeature]

    def span(self, specs: tuple[TileSpec, ...], query_ms: int) -> Span:
        """The tiles that hold the features if there are no batch values."""
        return span(self.features[0].feature, specs, query_ms)

    def by_end(self, batch: Batch) -> list[list[_QueryFeature]]:
        """The features with their batch values, in groups by the time from which tiles count.

        Tiles count from the batch's end on; for features that are not in the batch, from the
        beginning.
        """
        if batch is NO_BATCH:
            return [self.features]
        parts = [each._replace(batch=batch.of(each.index, each.feature)) for each in self.features]
        ends = {part.batch.end_ms for part in parts}
        return [[part for part in parts if part.batch.end_ms == end_ms] for end_ms in ends]


class Sawtooth:
    """Chronon's rule for windows: the head is exact, the tail jumps by hops.

    Args:
        merged: a cache of the IRs of merged tiles; None merges the tiles for each query.
    """

    def __init__(
        self, group_by: GroupBy, columns: list[Column], merged: MergedTiles | None = None
    ) -> None:
        self._names = [feature.name for feature in group_by.features]
        self._merged = merged
        groups: dict[tuple[Window | None, bool], _Group] = {}
        for index, feature in enumerate(group_by.features):
            column, window = columns[feature.tile_index], feature.part.window
            is_kept = merged is not None and column.operation.fork is not None
            group = groups.setdefault((window, is_kept), _Group(window, is_kept, []))
            group.features.append(_QueryFeature(index, feature.name, feature, column))
        self._groups = list(groups.values())

    def spans(self, specs: tuple[TileSpec, ...], query_ms: int) -> list[Span]:
        """The tiles that the windows read if there are no batch values."""
        return [group.span(specs, query_ms) for group in self._groups]

    def of_tiles(
        self,
        families: Mapping[int, TileFamily],
        specs: tuple[TileSpec, ...],
        query_ms: int,
        batch: Batch = NO_BATCH,
    ) -> dict[str, object]:
        """Feature values at `query_ms`; a tile that begins before then counts as a whole.

        Args:
            families: the tiles that were read, by the size of their family.
            specs: of the tiles.
            query_ms: the time of the query.
            batch: the key's batch values.
        """
        values = dict[str, object].fromkeys(self._names)
        for group in self._groups:
            wanted = group.span(specs, query_ms)
            family = families[wanted.spec.size_ms]
            for parts in group.by_end(batch):
                start_ms = max(wanted.start_ms, parts[0].batch.end_ms)
                tiles = family.within(start_ms, wanted.end_ms)
                irs = self._irs(group, parts, tiles, batch.value)
                for (_, name, feature, column, of_batch), ir in zip(parts, irs, strict=True):
                    whole = with_tail_hops(ir, column, feature, of_batch, query_ms)
                    values[name] = column.finalize(whole)
        return values

    def _irs(
        self, group: _Group, parts: list[_QueryFeature], tiles: _Range, batch: bytes
    ) -> list[object]:
        """The IRs of features, without tail hops."""
        family, first, end = tiles
        if self._merged is None or not group.is_kept or end - first < self._merged.at_least:
            return _merge(parts, _collapsed(parts), family.rows(first, end))
        last = end - 1
        reader = (self, group.window, parts[0].batch.end_ms)
        key = merged_key(reader, batch, family.tiles[first:last])
        known = self._merged.get(key)
        if known is None:
            known = _merge(parts, _collapsed(parts), family.rows(first, last))
            self._merged.put(key, known)
        return _merge(parts, _forks(parts, known), family.rows(last, end))


def _collapsed(parts: list[_QueryFeature]) -> list[object]:
    return [collapsed(part.column, part.batch) for part in parts]


def _forks(parts: list[_QueryFeature], irs: list[object]) -> list[object]:
    return [
        ir if ir is None or part.column.operation.fork is None else part.column.operation.fork(ir)
        for part, ir in zip(parts, irs, strict=True)
    ]


def _merge(parts: list[_QueryFeature], irs: list[object], rows: list[Row]) -> list[object]:
    """The IRs, which may be changed, merged with those of decoded tiles."""
    columns = [(part.column, part.feature.tile_index) for part in parts]
    return [
        column.merge_decoded(ir, [row[number] for row in rows])
        for (column, number), ir in zip(columns, irs, strict=True)
    ]


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
    if window is None or not (batch.hops or column.operation.bulk_merge):
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
                # A row is refused for a list of another length; a tile would not have it either.
                counts = own.end_ms <= changed_ms and start_ms <= ts_ms
                if counts and single.refusal(accumulator, row) is None:
                    single.update(accumulator, row, ts_ms)
            ir = with_tail_hops(accumulator[0], column, feature, own, query_ms)
            values[feature.name] = column.finalize(ir)
        return values
