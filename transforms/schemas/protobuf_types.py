"""Columns of Protobuf messages: the type of each, and the function that gets its value.

| Protobuf | column |
|---|---|
| `int32`, `sint32`, `sfixed32` | INT |
| `uint32`, `fixed32` | BIGINT, unsigned |
| 64-bit integers | BIGINT; `uint64` and `fixed64` from 2^63 on are negative, as in Java |
| `float`, `double`, `bool`, `string`, `bytes` | FLOAT, DOUBLE, BOOLEAN, STRING, BINARY |
| enum | STRING, the value's name; its number where the schema has no name for it |
| message | STRUCT; well-known types too, for example a Timestamp has `seconds` and `nanos` |
| `repeated` | ARRAY |
| `map` | MAP |
| `oneof` | each of its fields is a column; all but one are null |

A field that is not set is null if it has presence (proto2, `optional`, `oneof`, messages). A field
of proto3 without presence is its default, or null with `defaults=null`. A field whose message holds
itself has no column type.

Source: `ai.chronon.online.serde.ProtobufConversions`.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from chronon_beam.api.formats.record_columns import RecordField, RecursiveField

_SIGNED_64, _UNSIGNED_64 = 1 << 63, 1 << 64

_PLAIN = {
    FieldDescriptor.TYPE_INT32: pa.int32(),
    FieldDescriptor.TYPE_SINT32: pa.int32(),
    FieldDescriptor.TYPE_SFIXED32: pa.int32(),
    FieldDescriptor.TYPE_UINT32: pa.int64(),
    FieldDescriptor.TYPE_FIXED32: pa.int64(),
    FieldDescriptor.TYPE_INT64: pa.int64(),
    FieldDescriptor.TYPE_SINT64: pa.int64(),
    FieldDescriptor.TYPE_SFIXED64: pa.int64(),
    FieldDescriptor.TYPE_UINT64: pa.int64(),
    FieldDescriptor.TYPE_FIXED64: pa.int64(),
    FieldDescriptor.TYPE_FLOAT: pa.float32(),
    FieldDescriptor.TYPE_DOUBLE: pa.float64(),
    FieldDescriptor.TYPE_BOOL: pa.bool_(),
    FieldDescriptor.TYPE_STRING: pa.string(),
    FieldDescriptor.TYPE_BYTES: pa.binary(),
    FieldDescriptor.TYPE_ENUM: pa.string(),
}
_WRAPS = (FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_FIXED64)

Value = Callable[[Message], object]
Convert = Callable[[Any], object]


def protobuf_fields(
    message: Descriptor, null_defaults: bool = False
) -> Iterator[RecordField | RecursiveField]:
    """The fields of a message in the order of its schema.

    Args:
        message: the message's schema.
        null_defaults: whether a field without presence is null when it has its default.
    """
    for field in message.fields:
        try:
            yield _Types(null_defaults).field(field, (message.full_name,))
        except RecursiveField as error:
            yield RecursiveField(str(error), field.name)


def has_required(message: Descriptor, seen: set[str] | None = None) -> bool:
    """Whether the message, or one within it, has a required field, which only proto2 has.

    Args:
        message: the message's schema.
        seen: names of the messages that were looked at before, since messages may hold each other.
    """
    seen = set() if seen is None else seen
    if message.full_name in seen:
        return False
    seen.add(message.full_name)
    inner = [field.message_type for field in message.fields if field.message_type is not None]
    required = any(field.is_required for field in message.fields)
    return required or any(has_required(each, seen) for each in inner)


class _Types:
    """Makes RecordFields; `inside` are the names of the messages around a field."""

    def __init__(self, null_defaults: bool) -> None:
        self._null_defaults = null_defaults

    def field(self, field: FieldDescriptor, inside: tuple[str, ...]) -> RecordField:
        if _is_map(field):
            return self._map(field, inside)
        kind, convert = self._single(field, inside)
        get = _getter(field.name, convert)
        if field.is_repeated:
            return RecordField(field.name, pa.list_(kind), _get_all(field.name, convert))
        if field.has_presence:
            return RecordField(field.name, kind, _get_if_set(field.name, get))
        if self._null_defaults:
            return RecordField(field.name, kind, _get_if_not_default(field, get))
        return RecordField(field.name, kind, get)

    def _map(self, field: FieldDescriptor, inside: tuple[str, ...]) -> RecordField:
        assert field.message_type is not None
        entry = field.message_type.fields_by_name
        key_type, key = self._single(entry["key"], inside)
        value_type, value = self._single(entry["value"], inside)
        name = field.name

        def get(message: Message) -> list[tuple[object, object]]:
            pairs = getattr(message, name).items()
            return [(key(each), value(its)) for each, its in pairs]

        return RecordField(name, pa.map_(key_type, value_type), get)

    def _single(
        self, field: FieldDescriptor, inside: tuple[str, ...]
    ) -> tuple[pa.DataType, Convert]:
        """The type of a field, or of its elements, and what turns a value into one for Arrow."""
        if field.message_type is not None:
            return self._struct(field.full_name, field.message_type, inside)
        if field.enum_type is not None:
            names = {each.number: each.name for each in field.enum_type.values}
            return pa.string(), lambda number: names.get(number) or str(number)
        return _PLAIN[field.type], _to_signed if field.type in _WRAPS else _unchanged

    def _struct(
        self, field: str, message: Descriptor, inside: tuple[str, ...]
    ) -> tuple[pa.DataType, Convert]:
        name = message.full_name
        if name in inside:
            raise RecursiveField(
                f"field {field!r} holds message {name} within itself, which no column type can: "
                "leave it out"
            )
        fields = [self.field(each, (*inside, name)) for each in message.fields]

        def convert(message: Message) -> dict[str, object]:
            return {each.name: each.value(message) for each in fields}

        return pa.struct([(each.name, each.type) for each in fields]), convert


def _is_map(field: FieldDescriptor) -> bool:
    return bool(
        field.is_repeated and field.message_type and field.message_type.GetOptions().map_entry
    )


def _unchanged(value: object) -> object:
    return value


def _to_signed(value: int) -> int:
    return value - _UNSIGNED_64 if value >= _SIGNED_64 else value


def _getter(name: str, convert: Convert) -> Value:
    if convert is _unchanged:
        return lambda message: getattr(message, name)
    return lambda message: convert(getattr(message, name))


def _get_all(name: str, convert: Convert) -> Value:
    if convert is _unchanged:
        return lambda message: list(getattr(message, name))
    return lambda message: [convert(each) for each in getattr(message, name)]


def _get_if_set(name: str, get: Value) -> Value:
    return lambda message: get(message) if message.HasField(name) else None


def _get_if_not_default(field: FieldDescriptor, get: Value) -> Value:
    name, default = field.name, field.default_value
    return lambda message: get(message) if getattr(message, name) != default else None
