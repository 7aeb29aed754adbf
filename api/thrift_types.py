"""Chronon's `TDataType`, by which confs declare the columns of external sources.

Source: `ai.chronon.api.DataType.fromTDataType`.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from chronon_beam.api import data_types as types
from chronon_beam.api.data_types import DataType, StructType
from chronon_beam.api.group_by import GroupByError
from chronon_beam.api.json_fields import an_object, member, objects, text


class TypeKind(Enum):
    """Kinds of types, with their ids in a compiled conf (`DataKind`)."""

    BOOLEAN = 0
    BYTE = 1
    SHORT = 2
    INT = 3
    LONG = 4
    FLOAT = 5
    DOUBLE = 6
    STRING = 7
    BINARY = 8
    DATE = 9
    TIMESTAMP = 10
    MAP = 11
    LIST = 12
    STRUCT = 13
    DECIMAL = 14


_KINDS = {kind.value: kind for kind in TypeKind}
_PARAMETERS = {TypeKind.MAP: 2, TypeKind.LIST: 1, TypeKind.DECIMAL: 2}


def parse_type(conf: Any, where: str) -> DataType:
    """The type that a compiled conf declares.

    Args:
        conf: a `TDataType`, for example `{"kind": 12, "params": [...]}`.
        where: what errors call it.

    Raises:
        GroupByError: a kind that Chronon does not have, or not the parameters that it needs.

    >>> parse_type({"kind": 12, "params": [{"name": "elem", "dataType": {"kind": 4}}]}, "").name
    'list_long'
    """
    kind = member(an_object(conf, where).get("kind"), _KINDS, f"{where}.kind")
    parameters = list(objects(conf, "params", f"{where}."))
    needed = _PARAMETERS.get(kind)
    if needed is not None and len(parameters) != needed:
        raise GroupByError(
            f"{where}: {kind.name} has {needed} params, found {len(parameters)}: see Chronon's "
            "DataType"
        )
    if kind is TypeKind.DECIMAL:
        return types.decimal_of(*(_digits(each, place) for each, place in parameters))
    fields = tuple(_field(each, place) for each, place in parameters)
    if kind is TypeKind.STRUCT:
        return types.struct_of(str(conf.get("name") or ""), fields)
    if kind is TypeKind.MAP:
        return types.map_of(fields[1][1], fields[0][1])
    return types.list_of(fields[0][1]) if kind is TypeKind.LIST else getattr(types, kind.name)


def parse_struct(conf: Any, where: str) -> StructType:
    """The struct that a compiled conf declares; raises GroupByError for any other type."""
    found = parse_type(conf, where)
    if not isinstance(found, StructType):
        raise GroupByError(f"{where}: a STRUCT with its fields is expected, found {found.name}")
    return found


def _field(conf: Mapping[str, Any], where: str) -> tuple[str, DataType]:
    return text(conf, "name", where), parse_type(conf.get("dataType"), f"{where}.dataType")


def _digits(conf: Mapping[str, Any], where: str) -> int:
    found = text(conf, "name", where)
    if not found.isdigit():
        raise GroupByError(f"{where}.name: a number of digits is expected, found {found!r}")
    return int(found)
