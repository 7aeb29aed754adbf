"""Columns of Kafka Connect's schemas, which its JSON converter puts into every message.

| Kafka Connect | column |
|---|---|
| `int8`, `int16`, `int32`, `int64` | TINYINT, SMALLINT, INT, BIGINT |
| `float`, `double`, `boolean`, `string`, `bytes` | FLOAT, DOUBLE, BOOLEAN, STRING, BINARY |
| `array`, `map`, `struct` | ARRAY, MAP, STRUCT |
| `org.apache.kafka.connect.data.Decimal` | DECIMAL(38, its scale) |
| `org.apache.kafka.connect.data.Date`, `.Timestamp` | DATE, TIMESTAMP |

A type that Debezium has named (`io.debezium.time.MicroTimestamp`) is the plain number or text, as
with the Avro converter: a query turns it into a time, for example by `timestamp_micros(...)`.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import pyarrow as pa

from chronon_beam.api.formats.refused import refused

_PLAIN = {
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "bytes": pa.binary(),
}
_LOGICAL = {
    "org.apache.kafka.connect.data.Date": pa.date32(),
    "org.apache.kafka.connect.data.Timestamp": pa.timestamp("us", tz="UTC"),
}
_DECIMAL = "org.apache.kafka.connect.data.Decimal"
_PRECISION = 38

Connect = Mapping[str, Any]
"""A part of a schema, as parsed JSON."""

Row = Mapping[str, object]
"""A parsed JSON object."""

Convert = Callable[[Any], object]
"""Turns a JSON value that is not null into one that the serde `json` can read for its column."""


class ConnectType(NamedTuple):
    """The column type of a field, and how its values are converted; None if they need not be."""

    type: pa.DataType
    convert: Convert | None = None


def connect_fields(schema: Connect) -> dict[str, ConnectType | pa.Field]:
    """The fields of a struct by name; a field that cannot be a column holds the reason.

    Raises:
        ValueError: the schema is not that of a struct.
    """
    if schema.get("type") != "struct" or not schema.get("fields"):
        raise ValueError("a schema of Kafka Connect of type struct is expected")
    return {each["field"]: _field(each) for each in schema["fields"]}


def _field(schema: Connect) -> ConnectType | pa.Field:
    try:
        return _type(schema)
    except (KeyError, ValueError) as error:
        return refused(schema["field"], f"{schema['field']}: not a type of Kafka Connect: {error}")


def _type(schema: Connect) -> ConnectType:
    kind, name = schema["type"], schema.get("name")
    if name == _DECIMAL:
        scale = int(schema.get("parameters", {}).get("scale", 0))
        return ConnectType(pa.decimal128(_PRECISION, scale), lambda text: _decimal(text, scale))
    if name in _LOGICAL:
        return ConnectType(_LOGICAL[name])
    if kind == "array":
        return _array(_type(schema["items"]))
    if kind == "map":
        return _map(_type(schema["keys"]), _type(schema["values"]))
    if kind == "struct":
        return _struct({each["field"]: _type(each) for each in schema["fields"]})
    return ConnectType(_PLAIN[kind])


def _array(items: ConnectType) -> ConnectType:
    convert = items.convert
    if convert is None:
        return ConnectType(pa.list_(items.type))
    return ConnectType(pa.list_(items.type), lambda values: [_each(convert, v) for v in values])


def _map(keys: ConnectType, values: ConnectType) -> ConnectType:
    column, convert = pa.map_(keys.type, values.type), values.convert
    if convert is None:
        return ConnectType(column)
    return ConnectType(column, lambda pairs: {k: _each(convert, v) for k, v in pairs.items()})


def _struct(fields: dict[str, ConnectType]) -> ConnectType:
    column = pa.struct([(name, each.type) for name, each in fields.items()])
    converts = {name: each.convert for name, each in fields.items() if each.convert}
    if not converts:
        return ConnectType(column)
    return ConnectType(column, lambda row: convert_fields(row, converts))


def convert_fields(row: Row, converts: Mapping[str, Convert]) -> Row:
    """The object with some of its values converted; any other value stays as it is."""
    if not isinstance(row, dict):
        return row
    found = {name: _each(convert, row[name]) for name, convert in converts.items() if name in row}
    return {**row, **found}


def _each(convert: Convert, value: object) -> object:
    """The converted value; one that cannot be converted stays, and `JsonColumns` refuses it."""
    try:
        return None if value is None else convert(value)
    except (TypeError, ValueError, AttributeError, binascii.Error):
        return value


def _decimal(text: str, scale: int) -> str:
    """The decimal text of a number that is given as base64 of its big-endian unscaled value."""
    number = int.from_bytes(base64.b64decode(text, validate=True), "big", signed=True)
    return str(Decimal(number).scaleb(-scale))
