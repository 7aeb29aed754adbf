"""Keys, tiles and rows as Chronon's bytes.

Source: `ai.chronon.online.TileCodec`, `ai.chronon.flink.AvroCodecFn`, `ai.chronon.api.TilingUtils`.
"""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chronon_beam.aggregator.avro import (
    NULL,
    PRESENT,
    AvroError,
    Encoder,
    IrRecord,
    Schema,
    encoder,
    ir_record,
    record_schema,
)
from chronon_beam.aggregator.avro_reader import AvroRecordReader, MadeType
from chronon_beam.aggregator.columns import Column
from chronon_beam.aggregator.expressions import FunctionBuilder
from chronon_beam.aggregator.operations.base import Aggregator, same
from chronon_beam.aggregator.row import Accumulator, Row, RowAggregator
from chronon_beam.api.data_types import (
    BOOLEAN,
    LONG,
    DataType,
    ListType,
    MapType,
    StructType,
    struct_of,
    unwritable,
)
from chronon_beam.api.dialect import Dialect
from chronon_beam.api.group_by import IS_BEFORE, GroupBy, GroupByError

INCOMPLETE, COMPLETE = b"\x02\x00", b"\x02\x01"


def tag_of(version: int) -> bytes:
    """What follows a tile's Avro bytes, to tell the version of its columns: nothing for version 0.

    A tile ends with a boolean, so its last byte is 0 or 1. That of a tagged tile is 2 or more:
    the version and 1. Avro's readers stop where a record ends, so Chronon's Fetcher does not see
    the tag, and a tile of a GroupBy that has never changed has Chronon's bytes alone.
    """
    return bytes((version + 1,)) if version else b""


def version_of(tile: bytes) -> int:
    """The version of a tile's columns, by its tag."""
    return tile[-1] - 1 if tile[-1:] > b"\x01" else 0


def complete(tile: bytes) -> bytes:
    """The same tile with isComplete."""
    tag = tile[len(tile) - (tile[-1] > 1) :]
    return tile[: len(tile) - len(tag) - 2] + COMPLETE + tag


def is_complete(tile: bytes) -> bool:
    """Whether a tile's bytes have isComplete, which is their last field."""
    return tile.endswith(COMPLETE, 0, len(tile) - (tile[-1] > 1))


@dataclass(frozen=True)
class VersionColumns:
    """The columns of the tiles of one version, see `aggregator.versions`.

    Attributes:
        columns: as the tiles have them.
        places: for each of the reader's columns its index in `columns`; None for one that these
            tiles lack.
        fingerprint: see `TileVersion.fingerprint`.
    """

    columns: Sequence[Column]
    places: Sequence[int | None]
    fingerprint: bytes


def _tile_encoder(encoders: Sequence[Encoder], tag: bytes) -> Callable[[Accumulator], bytes]:
    """The function that encodes a tile, as one expression."""
    end = INCOMPLETE + tag
    builder = FunctionBuilder(names={"NULL": NULL, "PRESENT": PRESENT, "END": end})
    irs = [f"ir{index}" for index in range(len(encoders))]
    fields = [
        f"NULL if {ir} is None else PRESENT + {builder.call(encode, ir=ir)}"
        for ir, encode in zip(irs, encoders, strict=True)
    ]
    builder.lines = [
        f" {', '.join(irs)}, = accumulator",
        f" return b''.join((PRESENT, {', '.join(fields)}, END))",
    ]
    return builder.function("accumulator")


def _not_written(_: Accumulator) -> bytes:
    raise ValueError(
        "a plan with other columns than the dataset's tiles reads them and writes none"
    )


class _TileReader:
    """The bytes of a tile, without a tag, to the IRs of its columns, and isComplete."""

    def __init__(self, group_by: GroupBy, columns: Sequence[Column]) -> None:
        self._nothing = (None,) * len(columns)
        self._read = AvroRecordReader(_tile_record(group_by, irs_of("WindowedIr", columns)))

    def __call__(self, tile: bytes) -> tuple[Accumulator, bool]:
        irs, is_whole = self._read(tile)
        return list(irs or self._nothing), bool(is_whole)

    def all(self, tiles: Sequence[bytes]) -> list[Row]:
        """The IRs of many tiles."""
        nothing = self._nothing
        return [irs or nothing for irs, _ in self._read.all(tiles)]


def irs_of(record: str, columns: Iterable[Column], *more: tuple[str, DataType]) -> IrRecord:
    """The record of a nullable IR per column, as it is read, and of further fields."""
    # Columns may share a name (one column and operation, twice): numbers are unique.
    irs = [(f"c{index}", _ir_of(column.operation)) for index, column in enumerate(columns)]
    return ir_record(record, *irs, *more)


def _ir_of(operation: Aggregator) -> DataType:
    ir_type, from_avro = operation.ir_type, operation.from_avro
    return ir_type if from_avro is same else MadeType(ir_type.name, ir_type, from_avro)


class TileCodec:
    """Accumulators to tile bytes and back.

    Attributes:
        encode: an accumulator to its tile, with isComplete false and the tag of `version`.
        version: the version of the tiles that `encode` makes.

    A tile is `{collapsedIr: {one nullable field per column}, isComplete: boolean}`. `encode` sets
    isComplete to false; `complete` makes it true.

    Args:
        group_by: gives dialect and name.
        rows: has the columns of accumulators.
        versions: all versions of the dataset's tiles, by number.
    """

    def __init__(
        self, group_by: GroupBy, rows: RowAggregator, versions: Sequence[VersionColumns]
    ) -> None:
        self._group_by, self._rows_columns = group_by, rows.columns
        self._versions = versions
        self.version = len(versions) - 1
        encoders = [column.operation.encode for column in rows.columns]
        self.encode = _tile_encoder(encoders, tag_of(self.version))
        self._own = _TileReader(group_by, rows.columns)
        self._former: dict[int, _TileReader] = {}
        # A reader may have fewer columns than the tiles of the last version, or in another order.
        last = versions[-1]
        self._reads_all = list(last.places) == list(range(len(last.columns)))
        if not self._reads_all:
            self.encode = _not_written

    @cached_property
    def schema(self) -> Schema:
        """The tile's Avro schema.

        Raises:
            GroupByError: two columns have one name, and the dialect does not number names.
        """
        columns = [(each.part.column, each.operation.ir_type) for each in self._rows_columns]
        names = [name for name, _ in columns]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None and not self._group_by.dialect.numbers_names:
            raise GroupByError(
                f"{self._group_by.name}: {twice!r} is aggregated {names.count(twice)} times, and "
                f"dialect {self._group_by.dialect.name} has no tile with two fields of one name: "
                "declare all windows in one aggregation, or select the column under another name"
            )
        irs = struct_of("WindowedIr", tuple(columns))
        return record_schema(_tile_record(self._group_by, irs), self._group_by.dialect)

    def decode(self, tile: bytes) -> tuple[Accumulator, bool]:
        """The accumulator in a tile of any version, and isComplete; raises AvroError."""
        version = version_of(tile)
        untagged = tile[:-1] if version else tile
        if version == self.version and self._reads_all:
            return self._own(untagged)
        irs, is_whole = self._decoder(version)(untagged)
        found = self._versions[version].places
        return [None if place is None else irs[place] for place in found], is_whole

    def accumulators(self, tiles: Sequence[bytes]) -> list[Row]:
        """The IRs of the columns in many tiles of any versions; raises AvroError."""
        if not self.version and self._reads_all and not any(map(version_of, tiles)):
            return self._own.all(tiles)
        return [self.decode(tile)[0] for tile in tiles]

    def _decoder(self, version: int) -> _TileReader:
        decoder = self._former.get(version)
        if decoder is None:
            if version > self.version:
                raise AvroError(
                    f"not of schema {self._group_by.clean_name}_TILE_IR of versions up to "
                    f"{self.version}, as its metadata has them: the tile says {version}; if the "
                    "GroupBy has changed since the metadata was read, read it again"
                )
            columns = self._versions[version].columns
            decoder = self._former[version] = _TileReader(self._group_by, columns)
        return decoder

    def lacking(self, tile: bytes) -> list[int]:
        """The indices of columns that tiles of this tile's version do not have."""
        places = self._versions[version_of(tile)].places
        return [index for index, place in enumerate(places) if place is None]

    @property
    def fingerprint(self) -> bytes:
        """Tells the columns of the tiles that `encode` makes."""
        return self._versions[-1].fingerprint

    def upgraded(self, tiles: Iterable[bytes]) -> list[bytes]:
        """Tiles of any version, as they are in this one."""
        return [
            tile if version_of(tile) == self.version else self._upgraded(tile) for tile in tiles
        ]

    def _upgraded(self, tile: bytes) -> bytes:
        irs, is_whole = self.decode(tile)
        return complete(self.encode(irs)) if is_whole else self.encode(irs)

    def require_known(self, tile: bytes, fingerprint: bytes) -> None:
        """Raise ValueError if a tile is not of the columns that its version has here."""
        version = version_of(tile)
        if version > self.version or self._versions[version].fingerprint != fingerprint:
            raise ValueError(
                f"state of {self._group_by.name} with other columns than the store's metadata has "
                f"for version {version}: its savepoint was taken by a job on another store"
            )


def _tile_record(group_by: GroupBy, irs: StructType) -> StructType:
    fields = ("collapsedIr", irs), ("isComplete", BOOLEAN)
    return struct_of(f"{group_by.clean_name}_TILE_IR", fields)


_UNFIT = (TypeError, AttributeError, OverflowError, struct.error)


class RecordCodec:
    """A flat record of nullable columns: keys, and the rows of an untiled job.

    Attributes:
        columns: types by name.
        schema: the record's Avro schema.
        encode: values in column order to bytes; raises AvroError when one does not fit.
    """

    def __init__(
        self, record: str, columns: Mapping[str, DataType], dialect: Dialect, role: str
    ) -> None:
        for name, data_type in columns.items():
            bad = unwritable(data_type, dialect.decimals)
            if bad is not None:
                raise GroupByError(
                    f"{role} {name!r} of type {data_type.name}: {bad.name} has no Avro form in "
                    "Chronon: cast it in the query's selects, for example to STRING or BIGINT"
                )
        self.columns = dict(columns)
        struct_type = struct_of(record, tuple(columns.items()))
        self.schema = record_schema(struct_type, dialect)
        self.encode = self._encoder()
        self._read = AvroRecordReader(struct_type)

    def _encoder(self) -> Callable[[Sequence[object]], bytes]:
        builder = FunctionBuilder(names={"NULL": NULL, "PRESENT": PRESENT, "unfit": self._unfit})
        values = [f"value{index}" for index in range(len(self.columns))]
        fields = [
            f"NULL if {value} is None else PRESENT + {builder.call(encoder(kind), ir=value)}"
            for value, kind in zip(values, self.columns.values(), strict=True)
        ]
        builder.lines = [
            " try:",
            f"  {', '.join(values)}, = values",
            f"  return b''.join(({', '.join(fields)},))",
            f" except {builder.name(_UNFIT)} as error:",
            "  raise unfit(values, error) from error",
        ]
        return builder.function("values")

    def _unfit(self, values: Sequence[object], error: Exception) -> AvroError:
        return AvroError(f"{list(values)!r} does not fit {list(self.columns)}: {error}")

    def decode(self, payload: bytes) -> tuple[Any, ...]:
        """The values in column order; raises AvroError on other bytes."""
        return self._read(payload)


def key_codec(group_by: GroupBy, types: Mapping[str, DataType]) -> RecordCodec:
    """The codec of the entity's key; `types` has at least the key columns."""
    keys = {name: types[name] for name in group_by.keys}
    for name, data_type in keys.items():
        if isinstance(data_type, (ListType, MapType, StructType)):
            raise GroupByError(
                f"{group_by.name}: key {name!r} is of type {data_type.name}: a key must be a "
                "scalar; select its parts as keys, or cast it to STRING"
            )
    return RecordCodec("Key", keys, group_by.dialect, f"{group_by.name}: key")


def row_codec(group_by: GroupBy, types: Mapping[str, DataType]) -> RecordCodec:
    """The codec of an untiled row: buckets and inputs, in order.

    Of entities also `ts` and whether the row is taken back (`mutationValueAvroSchema`).
    """
    columns = {name: types[name] for name in group_by.aggregation_inputs}
    name = f"{group_by.clean_name}_INPUT_COLS"
    if group_by.is_entities:
        columns |= {"ts": LONG, IS_BEFORE: BOOLEAN}
        name = f"{group_by.clean_name}_MUTATION_COLS"
    return RecordCodec(name, columns, group_by.dialect, f"{group_by.name}: column")


def output_codec(group_by: GroupBy, types: Mapping[str, DataType]) -> RecordCodec:
    """The codec of feature values; `types` has one for each feature, in order."""
    name = f"{group_by.clean_name}_OUTPUT"
    return RecordCodec(name, types, group_by.dialect, f"{group_by.name}: feature")
