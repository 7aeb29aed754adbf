"""The Arrow type of an Avro schema, as what fastavro reads with it fits in."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

_PLAIN = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "string": pa.string(),
    "enum": pa.string(),
    "fixed": pa.binary(),
}

_LOGICAL = {
    "date": pa.date32(),
    "timestamp-millis": pa.timestamp("ms", tz="UTC"),
    "timestamp-micros": pa.timestamp("us", tz="UTC"),
    "local-timestamp-millis": pa.timestamp("ms"),
    "local-timestamp-micros": pa.timestamp("us"),
    "time-millis": pa.time32("ms"),
    "time-micros": pa.time64("us"),
    "uuid": pa.string(),
}

_WIDEST = ("int", "long", "float", "double")
"""Numbers of a union widen to the last of these that it has."""


def arrow_schema(avro: Mapping[str, Any]) -> pa.Schema:
    """The columns of the writer's record schema (as fastavro parsed it).

    Raises:
        ValueError: the schema is no record, or holds a union of several types or a record within
            itself, for which there is no column type.
    """
    if avro.get("type") != "record":
        raise ValueError(f"records are expected, the schema is {avro.get('type')!r}")
    return pa.schema(list(_Reader().type_of(avro, "")))


class _Reader:
    def __init__(self) -> None:
        self._named: dict[str, Any] = {}
        self._open: list[str] = []

    def type_of(self, avro: Any, path: str) -> pa.DataType:
        if isinstance(avro, list):
            return self._union(avro, path)
        if isinstance(avro, str):
            return _PLAIN[avro] if avro in _PLAIN else self._reference(avro, path)
        kind = avro["type"]
        if "name" in avro:
            self._named[avro["name"]] = avro
        if "logicalType" in avro and (logical := _logical(avro)) is not None:
            return logical
        if kind == "array":
            return pa.list_(self.type_of(avro["items"], f"{path}[]"))
        if kind == "map":
            return pa.map_(pa.string(), self.type_of(avro["values"], f"{path}[]"))
        return self._record(avro, path) if kind == "record" else self.type_of(kind, path)

    def _reference(self, name: str, path: str) -> pa.DataType:
        if name in self._open:
            raise ValueError(f"field {path!r}: record {name} holds itself, no column type does")
        if name not in self._named:
            raise ValueError(f"field {path!r}: there is no type {name!r}")
        return self.type_of(self._named[name], path)

    def _record(self, avro: Mapping[str, Any], path: str) -> pa.DataType:
        self._open.append(avro["name"])
        fields = [
            (each["name"], self.type_of(each["type"], f"{path}.{each['name']}".lstrip(".")))
            for each in avro["fields"]
        ]
        self._open.pop()
        return pa.struct(fields)

    def _union(self, branches: list[Any], path: str) -> pa.DataType:
        others = [each for each in branches if each != "null"]
        if not others:
            return pa.null()
        if len(others) == 1:
            return self.type_of(others[0], path)
        if all(each in _WIDEST for each in others if isinstance(each, str)) and all(
            isinstance(each, str) for each in others
        ):
            return _PLAIN[_widest(others)]
        raise ValueError(f"field {path!r} is a union of several types, no column type is: {others}")


def _widest(names: list[str]) -> str:
    widest = max(names, key=_WIDEST.index)
    # A float has no room for every int, nor has it for every long.
    return "double" if widest == "float" and set(names) != {"float"} else widest


def _logical(avro: Mapping[str, Any]) -> pa.DataType | None:
    """None for what fastavro does not interpret: the value is then that of the plain type."""
    if avro["logicalType"] != "decimal":
        return _LOGICAL.get(avro["logicalType"])
    precision, scale = avro["precision"], avro.get("scale", 0)
    return (pa.decimal128 if precision <= 38 else pa.decimal256)(precision, scale)
