"""Chronon's data types.

Source: `ai.chronon.api.DataType`.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DataType:
    """A Chronon type; `name` is what `DataType.toString` prints, for example `list_string`."""

    name: str


@dataclass(frozen=True)
class ListType(DataType):
    """A list of `element`."""

    element: DataType


@dataclass(frozen=True)
class MapType(DataType):
    """A map from `key` to `value`; Avro knows string keys only."""

    key: DataType
    value: DataType


@dataclass(frozen=True)
class StructType(DataType):
    """A record; `record` is its Avro name before the dialect's rule is applied."""

    record: str
    fields: tuple[tuple[str, DataType], ...]


@dataclass(frozen=True)
class DecimalType(DataType):
    """Decimals of `precision` digits, `scale` of them after the point; only zipline has them."""

    precision: int
    scale: int


BOOLEAN = DataType("bool")
BYTE = DataType("byte")
SHORT = DataType("short")
INT = DataType("int")
LONG = DataType("long")
FLOAT = DataType("float")
DOUBLE = DataType("double")
STRING = DataType("string")
BINARY = DataType("binary")
DATE = DataType("date")
TIMESTAMP = DataType("timestamp")

INTEGERS = (INT, LONG, SHORT)
FLOATS = (DOUBLE, FLOAT)
NUMBERS = INTEGERS + FLOATS
SCALARS = (*NUMBERS, STRING, BINARY, BOOLEAN)
"""What Chronon calls scalar (`DataType.isScalar`): element types that lists are exploded over."""


def list_of(element: DataType) -> ListType:
    """The list type of `element`."""
    return ListType(f"list_{element.name}", element)


def map_of(value: DataType, key: DataType = STRING) -> MapType:
    """The map type to `value`."""
    return MapType(f"map_{key.name}_{value.name}", key, value)


def decimal_of(precision: int, scale: int) -> DecimalType:
    """The type of SQL's DECIMAL(precision, scale)."""
    return DecimalType(f"decimal_{precision}_{scale}", precision, scale)


def struct_of(record: str, fields: tuple[tuple[str, DataType], ...]) -> StructType:
    """The struct type with the Avro record name `record`."""
    return StructType(f"struct_{record}", record, fields)


def is_scalar(data_type: DataType) -> bool:
    """Whether a value of the type has no parts: it is no list, map or struct."""
    return not isinstance(data_type, (ListType, MapType, StructType))


def unwritable(data_type: DataType, decimals: bool) -> DataType | None:
    """The part of `data_type` that has no Avro form in Chronon, or None when all of it has.

    Args:
        data_type: the type.
        decimals: whether decimals have one (see `Dialect`).

    >>> unwritable(list_of(DATE), decimals=True).name
    'date'
    """
    if isinstance(data_type, ListType):
        return unwritable(data_type.element, decimals)
    if isinstance(data_type, MapType):
        return data_type.key if data_type.key != STRING else unwritable(data_type.value, decimals)
    if isinstance(data_type, StructType):
        parts = (unwritable(field_type, decimals) for _, field_type in data_type.fields)
        return next((part for part in parts if part is not None), None)
    if decimals and isinstance(data_type, DecimalType):
        return None
    return None if data_type in (*SCALARS, BYTE) else data_type


def to_json(data_type: DataType) -> Any:
    """A type as JSON, to be kept beside the data."""
    if isinstance(data_type, ListType):
        return {"list": to_json(data_type.element)}
    if isinstance(data_type, MapType):
        return {"map": [to_json(data_type.key), to_json(data_type.value)]}
    if isinstance(data_type, StructType):
        fields = [[name, to_json(kind)] for name, kind in data_type.fields]
        return {"struct": data_type.record, "fields": fields}
    if isinstance(data_type, DecimalType):
        return {"decimal": [data_type.precision, data_type.scale]}
    return data_type.name


def from_json(value: Any) -> DataType:
    """The type that `to_json` wrote."""
    if isinstance(value, str):
        return DataType(value)
    if "list" in value:
        return list_of(from_json(value["list"]))
    if "map" in value:
        key, item = value["map"]
        return map_of(from_json(item), from_json(key))
    if "decimal" in value:
        return decimal_of(*value["decimal"])
    fields = tuple((name, from_json(kind)) for name, kind in value["fields"])
    return struct_of(value["struct"], fields)
