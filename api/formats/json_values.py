"""JSON values to Arrow columns: what Arrow would take silently or not at all is converted here.

Arrow itself is strict about strings and booleans, but cuts 1.5 to an integer 1, takes True for 1.0
and a string for binary. So every type has a converter, compiled from the schema, that either gives
what Arrow takes exactly or says what is wrong; columns whose values need none are never touched.
"""

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any, NamedTuple

import pyarrow as pa

Convert = Callable[[object], object]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_FIRST_DAY, _LAST_DAY = (day.toordinal() - _EPOCH_DAY for day in (date.min, date.max))
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_EXACT = 2**53
"""Beyond this a float cannot tell an integer from the next one."""
_WIDE = Context(prec=80)
_SHOWN = 60

_SQL_NAMES = {
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INT",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    pa.string(): "STRING",
    pa.binary(): "BINARY",
    pa.date32(): "DATE",
    pa.null(): "VOID",
}


class Mismatch(ValueError):
    """A value that its type cannot hold; `path` leads to it inside of its column."""

    def __init__(self, expected: str, found: object, why: str = "") -> None:
        super().__init__(expected, found, why)
        self.path = ""
        self._expected, self._found, self._why = expected, found, why

    def within(self, step: str) -> "Mismatch":
        """The same, seen from one level up."""
        self.path = step + self.path
        return self

    def reason(self, column: str) -> str:
        """One sentence with column, expected type and value."""
        shown = _shown(self._found)
        why = f" ({self._why})" if self._why else ""
        return f"column {column + self.path!r}: expected {self._expected}, found {shown}{why}"


class Converter(NamedTuple):
    """How the values of one type reach Arrow; null is never passed.

    Attributes:
        convert: gives what Arrow takes, or raises Mismatch.
        as_is: values of these Python types can be left as they are (Arrow checks their range).
        trusted: Arrow itself refuses all that `convert` would, so it is needed only to find out
            which value was wrong.
    """

    convert: Convert
    as_is: frozenset[type] = frozenset()
    trusted: bool = False


def converter(data_type: pa.DataType) -> Converter:
    """The converter of a column type.

    Raises:
        ValueError: JSON has no form for the type.
    """
    for applies, make in _MAKERS:
        if applies(data_type):
            return make(data_type)
    raise ValueError(f"JSON has no form for type {data_type}")


def sql_name(data_type: pa.DataType) -> str:
    """The type as Spark's DDL writes it.

    >>> sql_name(pa.list_(pa.int64()))
    'ARRAY<BIGINT>'
    """
    if _is_list(data_type):
        return f"ARRAY<{sql_name(data_type.value_type)}>"
    if pa.types.is_map(data_type):
        return f"MAP<{sql_name(data_type.key_type)}, {sql_name(data_type.item_type)}>"
    if pa.types.is_struct(data_type):
        return f"STRUCT<{', '.join(f'{each.name}: {sql_name(each.type)}' for each in data_type)}>"
    if pa.types.is_timestamp(data_type):
        return "TIMESTAMP" if data_type.tz else "TIMESTAMP_NTZ"
    if pa.types.is_decimal(data_type):
        return f"DECIMAL({data_type.precision}, {data_type.scale})"
    return _SQL_NAMES.get(data_type, str(data_type))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _is_list(data_type: pa.DataType) -> bool:
    return pa.types.is_list(data_type) or pa.types.is_large_list(data_type)


def _instance(python_type: type) -> Callable[[pa.DataType], Converter]:
    def make(data_type: pa.DataType) -> Converter:
        expected = sql_name(data_type)

        def convert(value: object) -> object:
            if type(value) is python_type:
                return value
            raise Mismatch(expected, value)

        return Converter(convert, trusted=True)

    return make


def _null(data_type: pa.DataType) -> Converter:
    def convert(value: object) -> object:
        raise Mismatch("null", value)

    return Converter(convert, trusted=True)


def _whole(value: object, expected: str) -> int:
    if type(value) is Decimal:
        value = float(value)
    if type(value) is float and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    if type(value) is int:
        return value
    why = "out of range" if type(value) is float and abs(value) > _EXACT else ""
    raise Mismatch(expected, value, why)


def _integer(data_type: pa.DataType) -> Converter:
    expected = sql_name(data_type)
    signed = pa.types.is_signed_integer(data_type)
    high = 2 ** (data_type.bit_width - signed) - 1
    low = -high - 1 if signed else 0

    def convert(value: object) -> int:
        whole = _whole(value, expected)
        if not low <= whole <= high:
            raise Mismatch(expected, value, "out of range")
        return whole

    return Converter(convert, as_is=frozenset({int}))


def _floating(data_type: pa.DataType) -> Converter:
    expected = sql_name(data_type)

    def convert(value: Any) -> float:
        if type(value) not in (float, int, Decimal):
            raise Mismatch(expected, value)
        return float(value)

    # What is too large for a FLOAT is infinite, as in Spark.
    return Converter(convert, as_is=frozenset({int, float}))


def _timestamp(data_type: pa.DataType) -> Converter:
    expected, per_second = sql_name(data_type), _PER_SECOND[data_type.unit]
    wanted = f"{expected} as ISO-8601 text or milliseconds since the epoch"

    def convert(value: object) -> int:
        is_text = type(value) is str
        micros = _iso_micros(value, wanted) if is_text else _whole(value, wanted) * 1000
        units = micros * per_second // 10**6
        if not -(2**63) <= units < 2**63:
            raise Mismatch(expected, value, "out of range")
        return units

    return Converter(convert)


def _iso_micros(text: str, wanted: str) -> int:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise Mismatch(wanted, text) from None
    since = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 10**6 + since.microseconds


def _date(data_type: pa.DataType) -> Converter:
    wanted = "DATE as ISO-8601 text or days since the epoch"

    def convert(value: object) -> int:
        if type(value) is str:
            try:
                return date.fromisoformat(value).toordinal() - _EPOCH_DAY
            except ValueError:
                raise Mismatch(wanted, value) from None
        days = _whole(value, wanted)
        if not _FIRST_DAY <= days <= _LAST_DAY:
            raise Mismatch(wanted, value, "out of range")
        return days

    return Converter(convert)


def _decimal(data_type: pa.DataType) -> Converter:
    # Digits beyond the scale are rounded half up, as Spark does.
    expected, step = sql_name(data_type), Decimal(1).scaleb(-data_type.scale)
    limit = Decimal(10) ** (data_type.precision - data_type.scale)

    def convert(value: Any) -> Decimal:
        if type(value) not in (str, int, float, Decimal):
            raise Mismatch(expected, value)
        try:
            number = Decimal(repr(value) if type(value) is float else value)
            rounded = number.quantize(step, ROUND_HALF_UP, _WIDE) if number.is_finite() else None
        except InvalidOperation:
            rounded = None
        if rounded is None or abs(rounded) >= limit:
            raise Mismatch(expected, value, "no number" if rounded is None else "out of range")
        return rounded

    return Converter(convert)


def _binary(data_type: pa.DataType) -> Converter:
    wanted = "BINARY as base64 text"

    def convert(value: object) -> bytes:
        if type(value) is not str:
            raise Mismatch(wanted, value)
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise Mismatch(wanted, value) from None

    return Converter(convert)


def _array(data_type: pa.DataType) -> Converter:
    expected, item = sql_name(data_type), converter(data_type.value_type)
    as_is, inner = item.as_is | {type(None)}, item.convert

    def convert(value: object) -> list[object]:
        if type(value) is not list:
            raise Mismatch(expected, value)
        if item.as_is and as_is.issuperset(map(type, value)):
            return value
        return [_at(inner, each, f"[{i}]") for i, each in enumerate(value)]

    # Arrow takes a text for the list of its letters, so it is not trusted with what is no list.
    return Converter(convert, as_is=frozenset({list}) if item.trusted else frozenset())


def _map(data_type: pa.DataType) -> Converter:
    expected, item = sql_name(data_type), converter(data_type.item_type).convert
    key = _map_key(data_type.key_type)

    def convert(value: object) -> list[tuple[object, object]]:
        if type(value) is not dict:
            raise Mismatch(expected, value)
        return [(_at(key, k, f"[{k!r}]"), _at(item, v, f"[{k!r}]")) for k, v in value.items()]

    return Converter(convert)


def _map_key(data_type: pa.DataType) -> Convert:
    """Keys of JSON objects are text: those of whole-number maps are read from it."""
    inner = converter(data_type).convert
    if not pa.types.is_integer(data_type):
        return inner

    def convert(value: Any) -> object:
        try:
            return inner(int(value))
        except ValueError:
            raise Mismatch(sql_name(data_type), value) from None

    return convert


def _struct(data_type: pa.DataType) -> Converter:
    expected = sql_name(data_type)
    fields = [(each.name, converter(each.type)) for each in data_type]

    def convert(value: object) -> dict[str, object]:
        if type(value) is not dict:
            raise Mismatch(expected, value)
        return {name: _at(each.convert, value.get(name), f".{name}") for name, each in fields}

    return Converter(convert, trusted=all(each.trusted for _, each in fields))


def _at(convert: Convert, value: object, step: str) -> object:
    if value is None:
        return None
    try:
        return convert(value)
    except Mismatch as mismatch:
        raise mismatch.within(step) from None


_MAKERS: list[tuple[Callable[[pa.DataType], bool], Callable[[pa.DataType], Converter]]] = [
    (pa.types.is_string, _instance(str)),
    (pa.types.is_large_string, _instance(str)),
    (pa.types.is_boolean, _instance(bool)),
    (pa.types.is_null, _null),
    (pa.types.is_integer, _integer),
    (pa.types.is_floating, _floating),
    (pa.types.is_timestamp, _timestamp),
    (pa.types.is_date32, _date),
    (pa.types.is_decimal, _decimal),
    (pa.types.is_binary, _binary),
    (pa.types.is_large_binary, _binary),
    (_is_list, _array),
    (pa.types.is_map, _map),
    (pa.types.is_struct, _struct),
]
