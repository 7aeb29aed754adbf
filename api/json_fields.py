"""Reads the fields of Thrift JSON, with errors that name the field and what was found there."""

import json
from collections.abc import Iterator, Mapping
from enum import Enum
from reprlib import repr as shortened
from typing import Any, TypeVar

from chronon_beam.api.group_by import GroupByError

Conf = Mapping[str, Any]
"""An object of Thrift JSON."""

_E = TypeVar("_E", bound=Enum)


def parse_json(text: str | bytes, where: str) -> Any:
    """The value of a JSON text; raises GroupByError for a text that is not JSON."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise GroupByError(f"{where}: not JSON: {error}") from error


def compiled_conf(value: Any, kind: str, field: str, where: str) -> dict[str, Any]:
    """The value itself, if Chronon's compiler has made it of the kind that is expected.

    Args:
        value: what a JSON text holds.
        kind: `GroupBy` or `Join`.
        field: each of that kind has this field, and nothing of another kind.
        where: what errors call the value.

    Raises:
        GroupByError: it is not a JSON object with that field; names the fields that it has.
    """
    if isinstance(value, dict) and field in value:
        return value
    found = ", ".join(sorted(value)) or "no field" if isinstance(value, dict) else shortened(value)
    raise GroupByError(
        f"{where}: not a compiled {kind}: a JSON object with {field} is expected, found {found}"
    )


def an_object(value: Any, where: str) -> Conf:
    """The value itself; raises GroupByError unless it is a JSON object."""
    if not isinstance(value, dict):
        raise GroupByError(f"{where}: a JSON object is expected, found {value!r}")
    return value


def listed(conf: Conf, name: str, where: str) -> list[Any]:
    """The list in a field, empty where there is none; raises GroupByError for anything else."""
    value = conf.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise GroupByError(f"{where}: {name} must be a list, found {value!r}")
    return value


def texts(conf: Conf, name: str, where: str) -> tuple[str, ...]:
    """The strings in the list of a field; raises GroupByError for anything else."""
    values = listed(conf, name, where)
    for index, value in enumerate(values):
        if not isinstance(value, str):
            raise GroupByError(f"{where}: {name}[{index}] must be a string, found {value!r}")
    return tuple(values)


def text(conf: Conf, name: str, where: str) -> str:
    """The string in a field that is needed; raises GroupByError for anything else."""
    value = conf.get(name)
    if not isinstance(value, str):
        raise GroupByError(f"{where}.{name}: text is expected, found {value!r}")
    return value


def objects(conf: Conf, name: str, prefix: str) -> Iterator[tuple[Any, str]]:
    """The objects in the list of a field, each with what errors call it."""
    for index, value in enumerate(listed(conf, name, prefix.rstrip(".: "))):
        where = f"{prefix}{name}[{index}]"
        yield an_object(value, where), where


def member(value: Any, members: Mapping[int, _E], where: str) -> _E:
    """The member of an enum, by its id or its name; raises GroupByError if there is none."""
    by_name = {each.name: each for each in members.values()}
    found = members.get(value) if isinstance(value, int) else by_name.get(str(value).upper())
    if found is None:
        known = ", ".join(f"{i} ({each.name})" for i, each in members.items())
        raise GroupByError(f"{where}: unknown value {value!r}: known are {known}")
    return found
