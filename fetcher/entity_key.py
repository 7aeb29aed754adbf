"""Keys as a caller of a fetcher gives them: the check against a GroupBy's types, and their texts.

`key_cast` casts the keys of requests over HTTP, which have the types of JSON.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation

from chronon_beam.api.data_types import (
    BINARY,
    BOOLEAN,
    BYTE,
    FLOATS,
    INT,
    LONG,
    SHORT,
    STRING,
    DataType,
    DecimalType,
)

Key = Mapping[str, object]
"""The key columns of one entity with their values."""


class KeyMismatch(ValueError):
    """A key that does not fit the GroupBy."""


def check_key(key: Key, columns: Mapping[str, DataType]) -> None:
    """Raise KeyMismatch unless a key has exactly these columns, with values of their types."""
    unknown = [name for name in key if name not in columns]
    missing = [name for name in columns if name not in key]
    if unknown or missing:
        found = f"unknown {unknown}" if unknown else f"missing {missing}"
        raise KeyMismatch(f"key {dict(key)}: {found}: expected are {_expected(columns)}")
    for name, data_type in columns.items():
        if not _fits(key[name], data_type):
            raise KeyMismatch(
                f"key {name}={key[name]!r}: a {data_type.name} is expected (expected are "
                f"{_expected(columns)})"
            )


_BITS = {BYTE: 7, SHORT: 15, INT: 31, LONG: 63}
"""The bits of an integer type without its sign."""


def _expected(columns: Mapping[str, DataType]) -> str:
    return ", ".join(f"{name} ({data_type.name})" for name, data_type in columns.items())


def _fits(value: object, data_type: DataType) -> bool:
    if value is None:
        return True
    if data_type == BOOLEAN:
        return isinstance(value, bool)
    if data_type in FLOATS:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(data_type, DecimalType):
        if isinstance(value, Decimal):
            return value.is_finite()
        return isinstance(value, int) and not isinstance(value, bool)
    kinds = {STRING: str, BINARY: bytes}
    if data_type in kinds:
        return isinstance(value, kinds[data_type])
    most = 1 << _BITS[data_type]
    return isinstance(value, int) and not isinstance(value, bool) and -most <= value < most


def parse_key(texts: Sequence[str], columns: Mapping[str, DataType]) -> Key:
    """Key values from the command line: `["customer_id=Alice", "shop=3"]`.

    Raises:
        KeyMismatch: not of the form NAME=VALUE, or a value that is not of the column's type.
    """
    key: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise KeyMismatch(f"--key={text}: NAME=VALUE is expected, for {_expected(columns)}")
        if name in key:
            raise KeyMismatch(
                f"--key={text}: {name} was given already: one command takes one key; for several, "
                "use --keys"
            )
        key[name] = _parsed(name, value, columns[name]) if name in columns else value
    return key


def _parsed(name: str, text: str, data_type: DataType) -> object:
    if data_type == STRING:
        return text
    if data_type == BINARY:
        return text.encode()
    if data_type == BOOLEAN and text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        if isinstance(data_type, DecimalType):
            return Decimal(text)
        if data_type != BOOLEAN:
            return float(text) if data_type in FLOATS else int(text)
    except (ValueError, InvalidOperation):
        pass
    raise KeyMismatch(f"--key={name}={text}: a {data_type.name} is expected")
