"""What a GroupBy becomes once the types of its columns are known: all codecs and columns.

One object that tiling, conversion and fetching share, so that they cannot disagree.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from chronon_beam.aggregator.batch_ir import BatchIrCodec
from chronon_beam.aggregator.codecs import (
    RecordCodec,
    TileCodec,
    key_codec,
    output_codec,
    row_codec,
)
from chronon_beam.aggregator.layout import TileSpec, tile_specs
from chronon_beam.aggregator.row import RowAggregator
from chronon_beam.api.data_types import DataType
from chronon_beam.api.group_by import IS_BEFORE, GroupBy


@dataclass(frozen=True)
class Plan:
    """A GroupBy with the types of the columns that its query gives.

    It pickles as these fields; the rest is made where it is used.
    """

    group_by: GroupBy
    types: Mapping[str, DataType]
    layout: str = "tumbling"

    def __getstate__(self) -> dict[str, object]:
        return {"group_by": self.group_by, "types": dict(self.types), "layout": self.layout}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)

    @property
    def inputs(self) -> dict[str, DataType]:
        """The aggregation inputs with their types, in order."""
        return {name: self.types[name] for name in self.group_by.aggregation_inputs}

    @property
    def row_columns(self) -> list[str]:
        """What a row to be aggregated consists of: the inputs, and whether it is taken back."""
        reversal = [IS_BEFORE] if self.group_by.is_entities else []
        return [*self.group_by.aggregation_inputs, *reversal]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the job needs of the query: keys, inputs, `ts`."""
        return tuple(dict.fromkeys((*self.group_by.keys, *self.group_by.aggregation_inputs, "ts")))

    @cached_property
    def specs(self) -> tuple[TileSpec, ...]:
        """The families of tiles; raises GroupByError when it cannot be tiled."""
        return tile_specs(self.group_by, self.layout)

    @cached_property
    def keys(self) -> RecordCodec:
        """The key's codec."""
        return key_codec(self.group_by, self.types)

    @cached_property
    def rows(self) -> RecordCodec:
        """The codec of an untiled row."""
        return row_codec(self.group_by, self.types)

    @cached_property
    def aggregator(self) -> RowAggregator:
        """All tile columns over bare inputs."""
        return RowAggregator(self.group_by.tile_parts, self.inputs, self.group_by)

    def row_aggregator(self, spec: TileSpec | None = None, offset: int = 0) -> RowAggregator:
        """The columns of a family of tiles, over `row_columns` with `offset` values before."""
        return RowAggregator(
            self.group_by.tile_parts,
            self.inputs,
            self.group_by,
            spec.columns if spec else None,
            offset,
            self.group_by.is_entities,
        )

    @cached_property
    def tiles(self) -> TileCodec:
        """The tile's codec."""
        return TileCodec(self.group_by, self.aggregator)

    @cached_property
    def batch_irs(self) -> BatchIrCodec:
        """The codec of batch values of accuracy TEMPORAL."""
        return BatchIrCodec(self.group_by, self.aggregator.columns, self.tiles)

    @cached_property
    def outputs(self) -> RecordCodec:
        """The codec of batch values of accuracy SNAPSHOT: the features themselves."""
        columns = self.aggregator.columns
        return output_codec(
            self.group_by,
            {
                feature.name: columns[feature.tile_index].operation.output_type
                for feature in self.group_by.features
            },
        )

    def checked(self, tiled: bool) -> "Plan":
        """This plan, after everything in it was made once.

        Raises:
            GroupByError: the first thing in it that cannot be run.
        """
        assert self.keys.columns
        assert self.tiles.schema if tiled else self.rows.schema
        if tiled:
            assert self.specs
        return self
