"""Tiles or rows to feature values at a time.

Source: `SawtoothOnlineAggregator.lambdaAggregateIrTiled` and `lambdaAggregateIr`, without batch.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chronon_beam.aggregator.columns import Column
from chronon_beam.aggregator.layout import Span, TileSpec, span, tail_ms
from chronon_beam.aggregator.row import Accumulator, Row, RowAggregator
from chronon_beam.api.group_by import Feature, GroupBy


@dataclass(frozen=True)
class TiledIr:
    """One decoded tile."""

    spec: TileSpec
    start_ms: int
    accumulator: Accumulator


class Sawtooth:
    """Chronon's rule for windows: the head is exact, the tail jumps by hops."""

    def __init__(self, group_by: GroupBy, columns: list[Column]) -> None:
        self._features: list[tuple[Feature, Column]] = [
            (feature, columns[feature.tile_index]) for feature in group_by.features
        ]

    def spans(self, specs: tuple[TileSpec, ...], query_ms: int) -> dict[str, Span]:
        """The tiles that each feature reads."""
        return {feature.name: span(feature, specs, query_ms) for feature, _ in self._features}

    def of_tiles(
        self, tiles: Iterable[TiledIr], specs: tuple[TileSpec, ...], query_ms: int
    ) -> dict[str, Any]:
        """Feature values at `query_ms`. A tile that has begun by then counts whole."""
        ordered = sorted(tiles, key=lambda tile: tile.start_ms)
        values = {}
        for feature, column in self._features:
            wanted = span(feature, specs, query_ms)
            ir = None
            for tile in ordered:
                in_span = wanted.start_ms <= tile.start_ms < wanted.end_ms
                if in_span and tile.spec == wanted.spec:
                    ir = column.merge(ir, tile.accumulator[feature.tile_index])
            values[feature.name] = column.finalize(ir)
        return values


class WindowedRows:
    """Untiled rows to feature values: every row is added to the windows that hold it."""

    def __init__(self, group_by: GroupBy, inputs: Mapping[str, Any]) -> None:
        self._features = group_by.features
        self._singles = [
            RowAggregator([feature.part], inputs, group_by) for feature in self._features
        ]

    def of_rows(self, rows: Iterable[tuple[int, Row]], query_ms: int) -> dict[str, Any]:
        """Feature values at `query_ms` of (ts_ms, row) pairs; later rows do not count."""
        ordered = list(rows)
        values = {}
        for feature, single in zip(self._features, self._singles, strict=True):
            start_ms = tail_ms(feature.part.window, query_ms)
            accumulator = single.zero()
            for ts_ms, row in ordered:
                if start_ms <= ts_ms < query_ms:
                    single.update(accumulator, row, ts_ms)
            values[feature.name] = single.columns[0].finalize(accumulator[0])
        return values
