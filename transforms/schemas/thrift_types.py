"""Columns of Thrift structs: their types, how structs are read, and how to get each value.

| Thrift | column |
|---|---|
| `bool` | BOOLEAN |
| `byte`, `i8` | TINYINT |
| `i16`, `i32`, `i64` | SMALLINT, INT, BIGINT |
| `double`, `string`, `binary` | DOUBLE, STRING, BINARY |
| enum | STRING, the value's name; its number where the schema has no name for it |
| struct, union | STRUCT; of a union all fields but one are null |
| `list`, `set` | ARRAY |
| `map` | MAP |

A field that is not set is its default, else null. A field whose struct holds itself has no column
type.

The schema is thriftpy2's. Messages are read by Apache Thrift's own library, which checks every
length against the message: thriftpy2's fast protocol reads beyond the end of a damaged one.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pyarrow as pa
from thrift.protocol.TBase import TBase
from thrift.Thrift import TType

from chronon_beam.api.formats.record_columns import RecordField, RecursiveField

_BINARY = 18
"""thriftpy2's type of `binary`; on the wire it is a string."""

_PLAIN = {
    TType.BOOL: pa.bool_(),
    TType.BYTE: pa.int8(),
    TType.I16: pa.int16(),
    TType.I32: pa.int32(),
    TType.I64: pa.int64(),
    TType.DOUBLE: pa.float64(),
    TType.STRING: pa.string(),
    _BINARY: pa.binary(),
}

Convert = Callable[[Any], object]
Struct = type[Any]
"""A class of thriftpy2's (with `thrift_spec` and `default_spec`), or one made by `reader_of`."""


class _Kind(NamedTuple):
    """A type as thriftpy2 has it: its number, and the class or the types that it consists of."""

    number: int
    parts: Any = None

    @staticmethod
    def of(spec: "int | tuple[int, object]") -> "_Kind":
        """The type of an element of a list or map; `spec` is a number, or (number, parts)."""
        return _Kind(*spec) if isinstance(spec, tuple) else _Kind(spec)


def thrift_fields(struct: Struct) -> Iterator[RecordField | RecursiveField]:
    """The fields of a struct in the order of its schema."""
    for name, kind in _fields(struct):
        try:
            yield _field(name, kind, (struct,))
        except RecursiveField as error:
            yield RecursiveField(str(error), name)


def _fields(struct: Struct) -> Iterator[tuple[str, _Kind]]:
    for _, spec in sorted(struct.thrift_spec.items()):
        yield spec[1], _Kind(spec[0], spec[2] if len(spec) == 4 else None)


def _field(name: str, kind: _Kind, inside: tuple[Struct, ...]) -> RecordField:
    column, convert = _column(name, kind, inside)
    return RecordField(name, column, _value(name, convert))


def _value(name: str, convert: Convert) -> Convert:
    def value(struct: object) -> object:
        found = getattr(struct, name)
        return None if found is None else convert(found)

    return value


def _column(name: str, kind: _Kind, inside: tuple[Struct, ...]) -> tuple[pa.DataType, Convert]:
    """The type of a column or element, and how a value that is not null becomes one of Arrow's."""
    if kind.number == TType.STRUCT:
        return _struct(name, kind.parts, inside)
    if kind.number in (TType.LIST, TType.SET):
        element, convert = _column(name, _Kind.of(kind.parts), inside)
        return pa.list_(element), lambda values: [convert(each) for each in values]
    if kind.number == TType.MAP:
        (keys, key), (values, value) = (
            _column(name, _Kind.of(each), inside) for each in kind.parts
        )
        return pa.map_(keys, values), lambda pairs: [
            (key(each), value(its)) for each, its in pairs.items()
        ]
    if kind.parts is not None:  # an enum, whose names thriftpy2 keeps in a private table
        names = kind.parts._VALUES_TO_NAMES
        return pa.string(), lambda number: names.get(number) or str(number)
    return _PLAIN[kind.number], _text if kind.number == TType.STRING else _as_it_is


def _struct(name: str, struct: Struct, inside: tuple[Struct, ...]) -> tuple[pa.DataType, Convert]:
    if struct in inside:
        raise RecursiveField(
            f"field {name!r} holds struct {struct.__name__} within itself, which no column type "
            "can: leave it out"
        )
    fields = [_field(each, kind, (*inside, struct)) for each, kind in _fields(struct)]

    def convert(found: object) -> dict[str, object]:
        return {each.name: each.value(found) for each in fields}

    return pa.struct([(each.name, each.type) for each in fields]), convert


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value  # a default is text already


def _as_it_is(value: object) -> object:
    return value


def reader_of(struct: Struct, made: dict[Struct, Struct] | None = None) -> Struct:
    """A class into which Apache Thrift's protocols can read a struct.

    The class has Apache's `thrift_spec`, and the struct's defaults as attributes. Text is read as
    bytes, because the library would silently replace bytes that are not UTF-8.
    """
    made = {} if made is None else made
    if struct in made:
        return made[struct]
    # Sets may hold structs, so structs must be hashable: each is equal to itself alone.
    members = {"__hash__": object.__hash__, **dict(struct.default_spec)}
    reader: Any = type(struct.__name__, (TBase,), members)
    made[struct] = reader
    specs: list[tuple[object, ...] | None] = [None] * (max(struct.thrift_spec, default=0) + 1)
    for number, spec in struct.thrift_spec.items():
        kind = _Kind(spec[0], spec[2] if len(spec) == 4 else None)
        specs[number] = (number, _wire(kind), spec[1], _parts(kind, made), None)
    reader.thrift_spec = tuple(specs)
    _complete(made)
    return reader


def _wire(kind: _Kind) -> int:
    return TType.STRING if kind.number == _BINARY else kind.number


def _parts(kind: _Kind, made: dict[Struct, Struct]) -> object:
    """What Apache's `thrift_spec` says of a type besides its number."""
    if kind.number == TType.STRUCT:
        return [reader_of(kind.parts, made), None]
    if kind.number in (TType.STRING, _BINARY):
        return "BINARY"
    if kind.number in (TType.LIST, TType.SET):
        element = _Kind.of(kind.parts)
        return (_wire(element), _parts(element, made), False)
    if kind.number == TType.MAP:
        key, value = (_Kind.of(each) for each in kind.parts)
        return (_wire(key), _parts(key, made), _wire(value), _parts(value, made), False)
    return None


def _complete(made: dict[Struct, Struct]) -> None:
    """Put the specs of structs into the specs that refer to them, once each struct has one."""

    def complete(parts: object) -> None:
        if isinstance(parts, list):
            parts[1] = getattr(parts[0], "thrift_spec", None)
        elif isinstance(parts, tuple):
            for each in parts:
                complete(each)

    for reader in made.values():
        for spec in getattr(reader, "thrift_spec", ()):
            complete(spec[3] if spec else None)
