"""Avro as Chronon writes it: schemas with its names, and bytes.

Source: `ai.chronon.online.serde.AvroConversions`. Each type gets its encoder once, a function made
of functions: for the small records of tiles that is several times faster than a walk over the
schema for every value (benchmarks/aggregator.py). `avro_reader` reads.
"""

import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from chronon_beam.aggregator.expressions import expression
from chronon_beam.aggregator.jvm.decimals import unscaled
from chronon_beam.aggregator.jvm.hashing import STRING_PLACES, HashOrdered
from chronon_beam.api.data_types import (
    BINARY,
    BOOLEAN,
    BYTE,
    DOUBLE,
    FLOAT,
    INT,
    LONG,
    SHORT,
    STRING,
    DataType,
    DecimalType,
    ListType,
    MapType,
    StructType,
)
from chronon_beam.api.dialect import AvroNames, Dialect

T = TypeVar("T")

Encoder = Callable[[Any], bytes]
Schema = dict[str, object]
"""An Avro schema as JSON."""

NAMESPACE = "ai.chronon.data"

NULL, PRESENT = b"\x00", b"\x02"
"""Index of a union's branch: every field is of type [null, T]."""

_PRIMITIVES: dict[DataType, str | Schema] = {
    BOOLEAN: "boolean",
    BYTE: {"type": "int", "logicalType": "byte"},
    SHORT: {"type": "int", "logicalType": "short"},
    INT: "int",
    LONG: "long",
    FLOAT: "float",
    DOUBLE: "double",
    STRING: "string",
    BINARY: "bytes",
}


class AvroError(ValueError):
    """A value that does not fit its schema, or bytes that were not written with the schema."""


@dataclass(frozen=True)
class IrRecord(StructType):
    """A record of an IR (AvgIr, TimePair): its value is a tuple in field order, without nulls.

    Attributes:
        keeps_bytes: whether a value that was read ends with the record's bytes.
    """

    keeps_bytes: bool = False


def ir_record(record: str, *fields: tuple[str, DataType], keeps_bytes: bool = False) -> IrRecord:
    """The IR type called `record`."""
    return IrRecord(f"struct_{record}", record, fields, keeps_bytes)


def record_schema(struct_type: StructType, dialect: Dialect) -> Schema:
    """The Avro schema of a record, with Chronon's names."""
    return _record(struct_type, dialect.names(), ())


def _record(struct_type: StructType, names: AvroNames, path: tuple[str, ...]) -> Schema:
    # The record is named before its fields: numbers of repeated names depend on it.
    name = names.record(struct_type.record, path)
    fields = [_field(field, kind, names, path) for field, kind in struct_type.fields]
    schema: Schema = {"type": "record", "name": name, "doc": "", "fields": fields}
    return schema if path else {**schema, "namespace": NAMESPACE}


def _schema(data_type: DataType, names: AvroNames, path: tuple[str, ...]) -> str | Schema:
    if isinstance(data_type, StructType):
        return _record(data_type, names, path)
    if isinstance(data_type, ListType):
        return {"type": "array", "items": _schema(data_type.element, names, path)}
    if isinstance(data_type, MapType):
        return {"type": "map", "values": _schema(data_type.value, names, path)}
    if isinstance(data_type, DecimalType):
        decimal = {"precision": data_type.precision, "scale": data_type.scale}
        return {"type": "bytes", "logicalType": "decimal", **decimal}
    return _PRIMITIVES[data_type]


def _field(name: str, data_type: DataType, names: AvroNames, path: tuple[str, ...]) -> Schema:
    unique = names.field(name)
    found = _schema(data_type, names, (*path, name))
    return {"name": unique, "type": ["null", found], "doc": ""}


# The two bytes of each 14 bits of a zigzag number, where more bytes follow and where none do.
_MORE = [bytes((n & 127 | 128, n >> 7 | 128)) for n in range(1 << 14)]
_LAST = [bytes((n,)) if n < 128 else bytes((n & 127 | 128, n >> 7)) for n in range(1 << 14)]


def encode_long(number: int) -> bytes:
    r"""An int or long.

    >>> encode_long(-1), encode_long(300).hex()
    (b'\x01', 'd804')
    """
    zigzag = (number << 1) ^ (number >> 63)
    if zigzag < 16384:
        return _LAST[zigzag]
    encoded = _MORE[zigzag & 16383]
    zigzag >>= 14
    while zigzag >= 16384:
        encoded += _MORE[zigzag & 16383]
        zigzag >>= 14
    return encoded + _LAST[zigzag]


_SMALL = tuple(_LAST[n << 1] for n in range(8192))

encode_count: Encoder = expression(
    "ir",
    "SMALL[ir] if 0 <= ir < 8192 else encode_long(ir)",
    SMALL=_SMALL,
    encode_long=encode_long,
)
"""An int or long that is mostly small and never negative."""


class _TimeEnds(dict[int, bytes]):
    """The end of an encoded time, and the branch of the payload, by the time's bits above the 13th.

    Each end is made once per 8 seconds of event time; see `encode_time_pair_head`.
    """

    _MOST = 50_000

    def __missing__(self, high: int) -> bytes:
        if len(self) >= self._MOST:
            self.clear()
        encoded = self[high] = encode_long(high << 13)[2:] + PRESENT
        return encoded


encode_time_pair_head: Encoder = expression(
    "ts_ms",
    "STARTS[ts_ms & 8191] + ENDS[ts_ms >> 13] if ts_ms > 8191 else PRESENT + long(ts_ms) + PRESENT",
    STARTS=[PRESENT + _MORE[n << 1] for n in range(8192)],
    ENDS=_TimeEnds(),
    PRESENT=PRESENT,
    long=encode_long,
)
"""The bytes before the payload of a TimePair: branch of the time, time, branch of the payload."""


class _Strings(dict[str, bytes]):
    """Encoded strings by value, because features repeat values; bounded in number and length."""

    _MOST = 50_000
    _LONGEST = 256

    def __missing__(self, text: str) -> bytes:
        payload = text.encode()
        encoded = encode_long(len(payload)) + payload
        if len(payload) <= self._LONGEST:
            if len(self) >= self._MOST:
                self.clear()
            self[text] = encoded
        return encoded


_strings = _Strings()
encode_string: Encoder = _strings.__getitem__


def _encode_bytes(payload: bytes) -> bytes:
    return encode_long(len(payload)) + payload


def _encode_boolean(value: bool) -> bytes:
    return b"\x01" if value else b"\x00"


_ENCODERS: dict[DataType, Encoder] = {
    BOOLEAN: _encode_boolean,
    BYTE: encode_long,
    SHORT: encode_long,
    INT: encode_long,
    LONG: encode_long,
    FLOAT: struct.Struct("<f").pack,
    DOUBLE: struct.Struct("<d").pack,
    STRING: encode_string,
    BINARY: _encode_bytes,
}


def encoder(data_type: DataType) -> Encoder:
    """The function that encodes values of `data_type`.

    Values are Python's own: dict for structs and maps, list, str, bytes, int, float, bool, Decimal;
    a tuple for an `IrRecord`. Null inside a list or map raises AvroError: its Avro type has none.
    """
    if isinstance(data_type, IrRecord):
        return _tuple_encoder(data_type)
    if isinstance(data_type, StructType):
        return _struct_encoder(data_type)
    if isinstance(data_type, ListType):
        return list_encoder(encoder(data_type.element))
    if isinstance(data_type, MapType):
        return map_encoder(encoder(data_type.value))
    if isinstance(data_type, DecimalType):
        return _decimal_encoder(data_type.scale)
    return _ENCODERS[data_type]


def _decimal_encoder(scale: int) -> Encoder:
    """Encodes decimals as `BigInteger.toByteArray` of the number without its point."""

    def encode(value: Decimal) -> bytes:
        number = unscaled(value, scale)
        size = (number if number >= 0 else ~number).bit_length() // 8 + 1
        return _encode_bytes(number.to_bytes(size, signed=True))

    return encode


def _tuple_encoder(record: IrRecord) -> Encoder:
    """Encodes records of an IR, which have two or three fields without nulls."""
    parts = [encoder(kind) for _, kind in record.fields]
    if len(parts) == 2:
        first, second = parts
        return lambda ir: PRESENT + first(ir[0]) + PRESENT + second(ir[1])
    one, two, three = parts
    return lambda ir: PRESENT + one(ir[0]) + PRESENT + two(ir[1]) + PRESENT + three(ir[2])


def _struct_encoder(struct_type: StructType) -> Encoder:
    fields = [(name, encoder(kind)) for name, kind in struct_type.fields]

    def encode(value: Mapping[str, object]) -> bytes:
        return b"".join([nullable(encode, value.get(name)) for name, encode in fields])

    return encode


def encode_items(encoded: Collection[bytes]) -> bytes:
    """The bytes of a list or map, from the bytes of its items."""
    if not encoded:
        return NULL
    return encode_long(len(encoded)) + b"".join(encoded) + NULL


def encode_each(items: str, **names: object) -> Encoder:
    r"""The encoder of a list or map `ir`, from the source of an expression for its items' bytes.

    >>> encode_each("ir")([b"a", b"b"])
    b'\x04ab\x00'
    """
    return expression(
        "ir",
        f"SMALL[len(ir)] + join({items}) + NULL if 0 < len(ir) < 8192 else encode_items({items})",
        SMALL=_SMALL,
        encode_items=encode_items,
        join=b"".join,
        NULL=NULL,
        **names,
    )


def nullable(encode: Encoder, value: object) -> bytes:
    """The union [null, T] of a value."""
    return NULL if value is None else PRESENT + encode(value)


def list_encoder(encode: Encoder) -> Encoder:
    """The encoder of lists whose elements `encode` encodes."""

    def encode_list(values: list[object]) -> bytes:
        if None in values:
            raise AvroError(_null_inside("list", values))
        return encode_items([encode(value) for value in values])

    return encode_list


def map_encoder(encode: Encoder) -> Encoder:
    """The encoder of maps from strings to what `encode` encodes, in the order of Java's maps."""

    def encode_map(values: Mapping[str, object] | list[tuple[str, object]]) -> bytes:
        by_key = HashOrdered(values)
        if None in by_key.values():
            raise AvroError(_null_inside("map", values))
        keys = by_key.in_written_order(STRING_PLACES)
        return encode_items([encode_string(key) + encode(by_key[key]) for key in keys])

    return encode_map


def opaque(read: Callable[[bytes], T]) -> Callable[[bytes], T]:
    """`read` for an IR that Avro holds as bytes; it raises AvroError on other bytes."""

    def from_avro(payload: bytes) -> T:
        try:
            return read(payload)
        except (ValueError, LookupError, RuntimeError, TypeError, MemoryError) as error:
            raise AvroError(f"an IR that cannot be read: {error}") from error

    return from_avro


def _null_inside(kind: str, values: object) -> str:
    return f"a {kind} with a null inside cannot be written to Avro: {values!r}"
