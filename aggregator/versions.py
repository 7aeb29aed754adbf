"""Versions of a GroupBy's tiles: which columns the tiles have that were written before a change.

A GroupBy may change while its tiles stay. The store's metadata then lists a *version* for each set
of tile columns that jobs have written, numbered from 0; a tile holds the number of its version (see
`codecs.tag_of`). A reader maps the columns of each version to its own: a column that a version does
not have is empty in its tiles.

A column that was removed and is added again is another column than before, since the tiles in
between lack it. So a version also keeps in which version each of its columns *began*, and columns
are the same only if they began in the same version.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any, NamedTuple

from chronon_beam.api.data_types import DataType, from_json, to_json
from chronon_beam.api.dialect import Operation, TimeUnit
from chronon_beam.api.group_by import Aggregation, AggregationPart, GroupBy, Window

MOST_VERSIONS = 255
"""How many versions there can be: a tile has one byte for the number of its version."""


class TileColumn(NamedTuple):
    """The identity of a column of a tile, which is the same in all versions that have the column.

    Attributes:
        part: what is aggregated, without a window.
        input_type: of the input column.
        bucket_type: of the bucket; None without one.
        occurrence: how many equal columns there are before it in the tile.
    """

    part: AggregationPart
    input_type: DataType
    bucket_type: DataType | None
    occurrence: int

    @property
    def text(self) -> str:
        """Name and types, for messages."""
        bucket = f" by {self.bucket_type.name}" if self.bucket_type else ""
        arguments = ", ".join(f"{name}={value}" for name, value in self.part.arguments)
        wise = " element by element" if self.part.element_wise else ""
        return f"{self.part.column}({arguments}) of {self.input_type.name}{bucket}{wise}"


@dataclass(frozen=True)
class TileVersion:
    """The columns of the tiles of one version.

    Attributes:
        aggregations: as declared when tiles of this version were first written, with windows.
        types: the types of the aggregations' inputs, by name.
        since: the version in which each column began, in the order of the columns.
    """

    aggregations: tuple[Aggregation, ...]
    types: Mapping[str, DataType]
    since: tuple[int, ...]

    @staticmethod
    def first(group_by: GroupBy, types: Mapping[str, DataType]) -> "TileVersion":
        """Version 0."""
        width = len(group_by.tile_parts)
        return TileVersion(group_by.aggregations, inputs_of(group_by, types), (0,) * width)

    @cached_property
    def columns(self) -> list[TileColumn]:
        """The columns in the order in which a tile has them."""
        return _columns(self.aggregations, self.types)

    @property
    def features(self) -> list[AggregationPart]:
        """The features that are made of the tiles."""
        return [part for each in self.aggregations for part, _ in each.feature_parts()]

    @property
    def began(self) -> dict[TileColumn, int]:
        """In which version each column began."""
        return dict(zip(self.columns, self.since, strict=True))

    @property
    def fingerprint(self) -> bytes:
        """Eight bytes that differ between versions with different columns, also of other stores."""
        columns = [
            [_part_json(each.part), to_json(each.input_type), _type_json(each.bucket_type)]
            for each in self.columns
        ]
        return blake2b(json.dumps(columns).encode(), digest_size=8).digest()

    def to_json(self) -> dict[str, Any]:
        """As JSON, to be kept beside the data."""
        return {
            "aggregations": [aggregation_json(each) for each in self.aggregations],
            "types": {name: to_json(kind) for name, kind in self.types.items()},
            "since": list(self.since),
        }

    @staticmethod
    def from_json(found: Mapping[str, Any]) -> "TileVersion":
        """The version that `to_json` wrote."""
        return TileVersion(
            tuple(map(aggregation_of, found["aggregations"])),
            {name: from_json(kind) for name, kind in found["types"].items()},
            tuple(found["since"]),
        )


def columns_of(group_by: GroupBy, types: Mapping[str, DataType]) -> list[TileColumn]:
    """The tile columns of a GroupBy over inputs of these types."""
    return _columns(group_by.aggregations, types)


def _columns(
    aggregations: Iterable[Aggregation], types: Mapping[str, DataType]
) -> list[TileColumn]:
    seen = Counter[Any]()
    columns = []
    for part in (part for each in aggregations for part in each.tile_parts()):
        known = part, types[part.input_column], types[part.bucket] if part.bucket else None
        columns.append(TileColumn(*known, seen[known]))
        seen[known] += 1
    return columns


def inputs_of(group_by: GroupBy, types: Mapping[str, DataType]) -> dict[str, DataType]:
    """The types of the inputs of a GroupBy's aggregations."""
    return {name: types[name] for name in group_by.aggregation_inputs}


def next_versions(
    versions: Sequence[TileVersion],
    group_by: GroupBy,
    types: Mapping[str, DataType],
    layout: str = "tumbling",
) -> tuple[TileVersion, ...]:
    """The versions of a dataset once a job writes the tiles of `group_by` to it.

    The last version stays the last if the tiles have the same columns as before. Windows do not
    change the columns; with layout sliding they do, since each window has tiles of its own.
    """
    *former, last = versions
    columns, began, inputs = columns_of(group_by, types), last.began, inputs_of(group_by, types)
    same = layout == "tumbling" or group_by.aggregations == last.aggregations
    if same and columns == last.columns:
        return (*former, TileVersion(group_by.aggregations, inputs, last.since))
    since = tuple(began.get(column, len(versions)) for column in columns)
    return (*versions, TileVersion(group_by.aggregations, inputs, since))


def places(own: Mapping[TileColumn, int], version: TileVersion) -> list[int | None]:
    """Where the tiles of a version have each of a reader's columns; None for a column they lack.

    Args:
        own: the reader's columns in order, with the version in which each began.
        version: the version of the tiles.
    """
    began = list(version.began.items())
    found = {column: index for index, column in enumerate(began)}
    return [found.get(column) for column in own.items()]


def _part_json(part: AggregationPart) -> list[Any]:
    arguments = [list(pair) for pair in part.arguments]
    return [part.input_column, part.operation.name, arguments, part.bucket, part.element_wise]


def _type_json(kind: DataType | None) -> Any:
    return None if kind is None else to_json(kind)


def aggregation_json(aggregation: Aggregation) -> dict[str, Any]:
    """As JSON, to be kept beside the data."""
    windows = aggregation.windows
    return {
        "input": aggregation.input_column,
        "operation": aggregation.operation.name,
        "windows": windows and [w and [w.length, w.timeUnit.name] for w in windows],
        "buckets": aggregation.buckets,
        "arguments": aggregation.arguments,
        "element_wise": aggregation.element_wise,
    }


def aggregation_of(found: Mapping[str, Any]) -> Aggregation:
    """The aggregation that `aggregation_json` wrote."""
    windows, buckets = found["windows"], found["buckets"]
    return Aggregation(
        found["input"],
        Operation[found["operation"]],
        None if windows is None else tuple(w and Window(w[0], TimeUnit[w[1]]) for w in windows),
        None if buckets is None else tuple(buckets),
        tuple((name, value) for name, value in found["arguments"]),
        found["element_wise"],
    )
