"""Casts the key values of a request to the types of a GroupBy's keys, as Chronon does.

A request is JSON, and may hold a BIGINT of the GroupBy as text.

Source: `ai.chronon.api.DataType.castTo` of zipline, `ColumnAggregator.castTo` of airbnb.
Airbnb casts to BIGINT, DOUBLE and STRING, zipline also to INT and DECIMAL; here both cast to all of
them. A cast that loses a part of the number is refused: Chronon makes 5 of 5.7 and cuts 64 bits to
32, and answers with the features of another key.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal

from chronon_beam.aggregator.jvm.hashing import double_text
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
)

_WHOLE = re.compile(r"[+-]?\d{1,40}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_LONGEST = 400
"""The most characters of a number in a text."""

_EXACT = 2.0**63
"""From here on, JSON readers may give a whole number as a double that has lost digits."""


class KeyCastError(ValueError):
    """A key column that a row of a request lacks, or a value that is not of the column's type."""


def cast_key(row: Mapping[str, object], columns: Mapping[str, DataType]) -> dict[str, object]:
    """The key of a row of a request: the key columns alone, as values of their types.

    Args:
        row: values by column as JSON has them; further columns are ignored, and null stays null.
        columns: type by key column.

    Raises:
        KeyCastError: a key column is missing, or its value cannot be cast without loss.

    >>> cast_key({"shop": "5", "page": 2, "name": 7.0}, {"shop": LONG, "name": STRING})
    {'shop': 5, 'name': '7.0'}
    """
    missing = [name for name in columns if name not in row]
    if missing:
        raise KeyCastError(f"key column {missing[0]} is missing")
    return {name: _cast(name, row[name], data_type) for name, data_type in columns.items()}


def _cast(name: str, value: object, data_type: DataType) -> object:
    if value is None or type(value) is _NATIVE.get(data_type):
        return value
    decimal = isinstance(data_type, DecimalType)
    cast = _decimal if decimal else _CASTS.get(data_type)
    made = None if cast is None else cast(value)
    if made is None:
        raise KeyCastError(f"key column {name}: {_shown(value)} is not of type {data_type.name}")
    return made


def _shown(value: object) -> str:
    """The value's kind and beginning: a reason does not grow with a request."""
    text = repr(value) if isinstance(value, (str, int, float)) else type(value).__name__
    return text if len(text) <= 40 else f"{text[:40]}..."


def _whole(value: object) -> int | None:
    if isinstance(value, str):
        return int(value) if _WHOLE.fullmatch(value) else None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < _EXACT else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _double(value: object) -> float | None:
    if isinstance(value, str):
        return float(value) if _is_number(value) else None
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _is_number(text: str) -> bool:
    return len(text) <= _LONGEST and _NUMBER.fullmatch(text) is not None


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, (str, float)):
        text = str(value)
        return Decimal(text) if _is_number(text) else None
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    """`toString` of Java: that of a double differs from Python's."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return double_text(value) if abs(value) < _EXACT else None
    return str(value) if isinstance(value, int) else None


def _bytes(value: object) -> bytes | None:
    return value.encode() if isinstance(value, str) else None


_NATIVE: dict[DataType, type] = {
    STRING: str,
    LONG: int,
    INT: int,
    SHORT: int,
    BYTE: int,
    DOUBLE: float,
    FLOAT: float,
    BOOLEAN: bool,
    BINARY: bytes,
}
"""Values that need no cast. Whether an integer fits the bits of its type is the fetcher's check."""

_CASTS: dict[DataType, Callable[[object], object]] = {
    STRING: _text,
    **dict.fromkeys((LONG, INT, SHORT, BYTE), _whole),
    **dict.fromkeys((DOUBLE, FLOAT), _double),
    BINARY: _bytes,
}
