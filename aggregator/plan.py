"""A GroupBy with the types of its columns, and all codecs and columns that follow from both.

Tiling, conversion and fetching share this one object, so that they cannot disagree.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from chronon_beam.aggregator.batch_ir import BatchIrCodec
from chronon_beam.aggregator.codecs import (
    RecordCodec,
    TileCodec,
    VersionColumns,
    key_codec,
    output_codec,
    row_codec,
)
from chronon_beam.aggregator.layout import TileSpec, tile_specs
from chronon_beam.aggregator.row import RowAggregator
from chronon_beam.aggregator.versions import TileColumn, TileVersion, columns_of, places
from chronon_beam.api.data_types import DataType
from chronon_beam.api.group_by import IS_BEFORE, GroupBy


@dataclass(frozen=True)
class Plan:
    """A GroupBy with the types of the columns that its query gives.

    Only these fields are pickled; codecs and columns are made again where they are used.

    Attributes:
        versions: of the tiles in the dataset, the last being that of tiles that are written; none
            where the dataset is new, or holds rows.
    """

    group_by: GroupBy
    types: Mapping[str, DataType]
    layout: str = "tumbling"
    versions: tuple[TileVersion, ...] = ()

    def __getstate__(self) -> dict[str, object]:
        state = {"group_by": self.group_by, "types": dict(self.types), "layout": self.layout}
        return {**state, "versions": self.versions}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)

    @property
    def inputs(self) -> dict[str, DataType]:
        """The aggregation inputs with their types, in order."""
        return {name: self.types[name] for name in self.group_by.aggregation_inputs}

    @property
    def row_columns(self) -> list[str]:
        """The columns of a row to be aggregated: inputs, and for entities whether to delete."""
        reversal = [IS_BEFORE] if self.group_by.is_entities else []
        return [*self.group_by.aggregation_inputs, *reversal]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the query must give: keys, inputs and `ts`."""
        return tuple(dict.fromkeys((*self.group_by.keys, *self.group_by.aggregation_inputs, "ts")))

    @cached_property
    def specs(self) -> tuple[TileSpec, ...]:
        """The families of tiles; raises GroupByError if the GroupBy cannot be tiled."""
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
        """All tile columns, for rows that are the inputs alone."""
        return RowAggregator(self.group_by.tile_parts, self.inputs, self.group_by)

    def row_aggregator(self, spec: TileSpec | None = None, offset: int = 0) -> RowAggregator:
        """The columns of a family of tiles; rows have `offset` values before `row_columns`."""
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
        """The tile's codec; it reads the tiles of all versions."""
        versions = self.versions or (TileVersion.first(self.group_by, self.types),)
        began = versions[-1].began
        # A column that no version has is nowhere.
        own = {each: began.get(each, -1) for each in columns_of(self.group_by, self.types)}
        found = [self._columns_of(version, own) for version in versions]
        return TileCodec(self.group_by, self.aggregator, found)

    def _columns_of(self, version: TileVersion, own: dict[TileColumn, int]) -> VersionColumns:
        writer = Plan(replace(self.group_by, aggregations=version.aggregations), version.types)
        return VersionColumns(writer.aggregator.columns, places(own, version), version.fingerprint)

    @cached_property
    def batch_irs(self) -> BatchIrCodec:
        """The codec of batch values of accuracy TEMPORAL."""
        return BatchIrCodec(self.group_by, self.aggregator.columns, self.tiles)

    @cached_property
    def output_types(self) -> dict[str, DataType]:
        """The features with their types, before derivations."""
        columns = self.aggregator.columns
        return {
            feature.name: columns[feature.tile_index].operation.output_type
            for feature in self.group_by.features
        }

    @cached_property
    def outputs(self) -> RecordCodec:
        """The codec of batch values of accuracy SNAPSHOT: the features themselves."""
        return output_codec(self.group_by, self.output_types)

    def checked(self, tiled: bool) -> "Plan":
        """This plan, after a check that its codecs and columns can be made.

        Raises:
            GroupByError: the first part of it that cannot run.
        """
        assert self.keys.columns
        assert self.tiles.schema if tiled else self.rows.schema
        if tiled:
            assert self.specs
        return self
