"""From a definition's structs to the conf that Chronon's compiler writes: an object of Thrift JSON.

The structs are this project's (`structs`), or those of Chronon's own package where it is installed.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from enum import Enum
from typing import Any

from chronon_beam.api.chronon import structs as kinds
from chronon_beam.api.chronon.other import Other
from chronon_beam.api.chronon.structs import STRUCTS, Struct
from chronon_beam.api.dialect import Dialect, OnlineStrategy, Operation, TimeUnit
from chronon_beam.api.group_by import Accuracy, GroupByError, Window

Conf = dict[str, Any]
"""An object of Thrift JSON: fields without a value are left out, enums are their ids."""

_PYTHON_TYPES: dict[str, type | tuple[type, ...]] = {
    kinds.STRING: str,
    kinds.BOOL: bool,
    kinds.INT: int,
    kinds.DOUBLE: (int, float),
}
_PLAIN = {kinds.STRING: "text", kinds.BOOL: "True or False", kinds.INT: "an int"}
_ELEMENTS = {kinds.STRINGS: kinds.STRING, kinds.INTS: kinds.INT}
_VALUES = {kinds.MAP: kinds.STRING, kinds.MAPS: kinds.MAP}

_NEEDED = ("Query", "Aggregation", "Window", "Derivation")

# Thrift's own numbers of types, as the classes that its compiler makes carry them.
_T_STRUCT, _T_LIST = 12, 15


def to_conf(struct: object, dialect: Dialect, where: str) -> Conf:
    """The conf of `struct`.

    What Chronon's package alone can work out (see `Other`) is left out where no stream needs it.

    Args:
        struct: this project's struct, or one that Thrift's compiler made.
        dialect: which ids enums have.
        where: what errors call the struct.

    Raises:
        GroupByError: a value of another type than its field has, an enum's member that the
            dialect does not have, or a needed value that Chronon's package alone can work out.
    """
    conf: Conf = {}
    for name, kind in _fields(struct):
        value = getattr(struct, name, None)
        if type(value) is Other:
            _refuse_needed(struct, value, f"{where}.{name}")
        elif value is not None:
            conf[name] = _value(value, kind, dialect, f"{where}.{name}")
    return conf


def _refuse_needed(struct: object, value: Other, where: str) -> None:
    if type(struct).__name__ in _NEEDED:
        raise GroupByError(
            f"{where} is what {value} gives, which is not known here: "
            "install Chronon's own package beside this one"
        )


def _fields(struct: Any) -> Iterator[tuple[str, str]]:
    """Name and kind of each field."""
    if isinstance(struct, Struct):
        yield from struct.FIELDS.items()
        return
    for field in filter(None, type(struct).thrift_spec):
        _, kind, name, more, *_ = field
        is_struct = kind == _T_STRUCT or (kind == _T_LIST and more[0] == _T_STRUCT)
        # Values that are no structs are as Thrift's own checks and JSON take them.
        yield name, "[struct]" if kind == _T_LIST and is_struct else "struct" if is_struct else ""


def _value(value: object, kind: str, dialect: Dialect, where: str) -> object:
    if isinstance(value, bool) and kind in ("", kinds.BOOL):
        return int(value)  # as Thrift's JSON has it
    if not kind:
        return value
    if kind.startswith("["):
        return [
            _value(each, kind[1:-1], dialect, f"{where}[{index}]")
            for index, each in enumerate(_list(value, where))
        ]
    if kind in _ELEMENTS:
        items = enumerate(_list(value, where))
        return [
            _value(each, _ELEMENTS[kind], dialect, f"{where}[{index}]") for index, each in items
        ]
    if kind in _VALUES:
        return _map(value, _VALUES[kind], dialect, where)
    if kind in _PYTHON_TYPES:
        return _scalar(value, kind, where)
    if kind in _ENUMS:
        return _enum_id(value, _ENUMS[kind](dialect), dialect, where)
    return _struct(value, kind, dialect, where)


def _list(value: object, where: str) -> Collection[Any]:
    """Also of the values of a dict, as Chronon's own `Aggregations` gives them."""
    if not isinstance(value, Collection) or isinstance(value, str | Mapping):
        raise GroupByError(f"{where}: a list is expected, found {value!r}")
    return value


def _map(value: object, kind: str, dialect: Dialect, where: str) -> Conf:
    items = _typed(value, Mapping, "a dict", where).items()
    # Settings of clusters are often made by functions of Chronon's package.
    left_out = Other if not where.endswith(".selects") else ()
    return {
        _scalar(name, kinds.STRING, f"a key of {where}"): _value(
            each, kind, dialect, f"{where}[{name!r}]"
        )
        for name, each in items
        if not isinstance(each, left_out)
    }


def _typed(value: object, types: tuple[type, ...] | type, expected: str, where: str) -> Any:
    if not isinstance(value, types):
        raise GroupByError(f"{where}: {expected} is expected, found {value!r}")
    return value


def _scalar(value: object, kind: str, where: str) -> object:
    if isinstance(value, bool) and kind != kinds.BOOL:
        raise GroupByError(f"{where}: {_PLAIN.get(kind, 'a number')} is expected, found {value!r}")
    _typed(value, _PYTHON_TYPES[kind], _PLAIN.get(kind, "a number"), where)
    # Definitions may hold subclasses of str and Enum, which JSON must not see.
    return str(value) if kind == kinds.STRING else value


def _struct(value: Any, kind: str, dialect: Dialect, where: str) -> Conf:
    if isinstance(value, Window):
        value = STRUCTS[dialect.name]["Window"](value.length, value.timeUnit)
    if isinstance(value, Other):
        # Of a join no more than its name and where its rows come from.
        known = {name: part for name, part in vars(value).items() if isinstance(part, Struct)}
        return {name: to_conf(part, dialect, f"{where}.{name}") for name, part in known.items()}
    if isinstance(value, Struct):
        if type(value).__name__ != kind:
            raise GroupByError(f"{where}: a {kind} is expected, found {value!r}")
    elif not hasattr(type(value), "thrift_spec"):
        raise GroupByError(f"{where}: a {kind} is expected, found {value!r}")
    return to_conf(value, dialect, where)


def _ids(members: Mapping[int, Enum]) -> dict[Enum, int]:
    return {member: number for number, member in members.items()}


_ENUMS: dict[str, Callable[[Dialect], Mapping[Enum, int]]] = {
    "Operation": lambda dialect: _ids(dialect.operations),
    "TimeUnit": lambda dialect: _ids(dialect.time_units),
    "Accuracy": lambda _: {member: member.value for member in Accuracy},
    "OnlineStrategy": lambda _: {member: member.value for member in OnlineStrategy},
}


def _enum_id(value: Any, ids: Mapping[Enum, int], dialect: Dialect, where: str) -> int:
    if value in ids:
        return ids[value]
    if isinstance(value, int) and not isinstance(value, bool) and value in ids.values():
        return value
    known = ", ".join(member.name for member in ids)
    found = value.name if isinstance(value, (Operation, TimeUnit)) else repr(value)
    raise GroupByError(f"{where}: dialect {dialect.name} has no {found}: it has {known}")
