"""Keys, tiles and rows as Chronon's bytes.

Source: `ai.chronon.online.TileCodec`, `ai.chronon.flink.AvroCodecFn`, `ai.chronon.api.TilingUtils`.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from chronon_beam.aggregator.avro import (
    NULL,
    PRESENT,
    AvroError,
    Encoder,
    RecordDecoder,
    Schema,
    encoder,
    reading_schema,
    record_schema,
)
from chronon_beam.aggregator.expressions import Weaver
from chronon_beam.aggregator.row import Accumulator, RowAggregator
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


def _tile_encoder(encoders: Sequence[Encoder]) -> Callable[[Accumulator], bytes]:
    """The function that encodes a tile, as one expression."""
    weaver = Weaver(names={"NULL": NULL, "PRESENT": PRESENT, "INCOMPLETE": INCOMPLETE})
    irs = [f"ir{index}" for index in range(len(encoders))]
    fields = [
        f"NULL if {ir} is None else PRESENT + {weaver.call(encode, ir=ir)}"
        for ir, encode in zip(irs, encoders, strict=True)
    ]
    weaver.lines = [
        f" {', '.join(irs)}, = accumulator",
        f" return b''.join((PRESENT, {', '.join(fields)}, INCOMPLETE))",
    ]
    return weaver.function("accumulator")


class TileCodec:
    """Accumulators to tile bytes and back.

    Attributes:
        encode: an accumulator to its tile, with isComplete false.

    A tile is `{collapsedIr: {one nullable field per column}, isComplete: boolean}`. `encode` sets
    isComplete to false; `complete` makes it true.
    """

    def __init__(self, group_by: GroupBy, rows: RowAggregator) -> None:
        columns = rows.columns
        types = [column.operation.ir_type for column in columns]
        names = [column.part.column for column in columns]
        self._group_by = group_by
        self._columns = tuple(zip(names, types, strict=True))
        # Columns may share a name (one column and operation, twice): numbers are unique.
        numbered = tuple((f"c{index}", kind) for index, kind in enumerate(types))
        self._from_avro = [column.operation.from_avro for column in columns]
        self.encode = _tile_encoder([column.operation.encode for column in columns])
        self._decode = RecordDecoder(reading_schema(_tile_record(group_by, numbered)))

    @cached_property
    def schema(self) -> Schema:
        """The tile's Avro schema.

        Raises:
            GroupByError: two columns have one name, and the dialect does not number names.
        """
        names = [name for name, _ in self._columns]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None and not self._group_by.dialect.numbers_names:
            raise GroupByError(
                f"{self._group_by.name}: {twice!r} is aggregated {names.count(twice)} times, and "
                f"dialect {self._group_by.dialect.name} has no tile with two fields of one name: "
                "declare all windows in one aggregation, or select the column under another name"
            )
        return record_schema(_tile_record(self._group_by, self._columns), self._group_by.dialect)

    def decode(self, tile: bytes) -> tuple[Accumulator, bool]:
        """The accumulator in a tile, and isComplete; raises AvroError on other bytes."""
        record = self._decode(tile)
        collapsed = record["collapsedIr"]
        if collapsed is None:
            return [None] * len(self._from_avro), bool(record["isComplete"])
        irs = [
            None if ir is None else from_avro(ir)
            for ir, from_avro in zip(collapsed.values(), self._from_avro, strict=True)
        ]
        return irs, bool(record["isComplete"])


def _tile_record(group_by: GroupBy, columns: tuple[tuple[str, DataType], ...]) -> StructType:
    return struct_of(
        f"{group_by.clean_name}_TILE_IR",
        (("collapsedIr", struct_of("WindowedIr", columns)), ("isComplete", BOOLEAN)),
    )


def complete(tile: bytes) -> bytes:
    """The same tile with isComplete."""
    return tile[:-2] + COMPLETE


def is_complete(tile: bytes) -> bool:
    """Whether a tile's bytes have isComplete, which is their last field."""
    return tile.endswith(COMPLETE)


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
        self._decode = RecordDecoder(reading_schema(struct_type))

    def _encoder(self) -> Callable[[Sequence[object]], bytes]:
        weaver = Weaver(names={"NULL": NULL, "PRESENT": PRESENT, "unfit": self._unfit})
        values = [f"value{index}" for index in range(len(self.columns))]
        fields = [
            f"NULL if {value} is None else PRESENT + {weaver.call(encoder(kind), ir=value)}"
            for value, kind in zip(values, self.columns.values(), strict=True)
        ]
        weaver.lines = [
            " try:",
            f"  {', '.join(values)}, = values",
            f"  return b''.join(({', '.join(fields)},))",
            f" except {weaver.name(_UNFIT)} as error:",
            "  raise unfit(values, error) from error",
        ]
        return weaver.function("values")

    def _unfit(self, values: Sequence[object], error: Exception) -> AvroError:
        return AvroError(f"{list(values)!r} does not fit {list(self.columns)}: {error}")

    def decode(self, payload: bytes) -> tuple[Any, ...]:
        """The values in column order; raises AvroError on other bytes."""
        return tuple(self._decode(payload).values())


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
