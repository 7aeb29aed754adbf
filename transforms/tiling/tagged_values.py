"""Tags for values that marshal cannot write: decimals and times.

A tag is a frozenset with (type name, text), since rows hold no other frozensets.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from chronon_beam.transforms.keyed_rows import KeyedRow

_TO_TEXT: dict[type, tuple[str, Callable[[Any], str]]] = {
    Decimal: ("decimal", str),
    datetime: ("datetime", datetime.isoformat),
    date: ("date", date.isoformat),
    timedelta: ("microseconds", lambda span: str(span // timedelta(microseconds=1))),
}
_FROM_TEXT: dict[str, Callable[[str], Any]] = {
    "decimal": Decimal,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "microseconds": lambda text: timedelta(microseconds=int(text)),
}


def tagged(rows: list[KeyedRow]) -> list[KeyedRow]:
    """The rows with tags in place of decimals and times, also inside of lists and maps.

    Raises:
        TypeError: a value is of a type that no column has.
    """
    return [tuple(map(_tag, row)) for row in rows]


def untagged(rows: list[KeyedRow]) -> list[KeyedRow]:
    """The rows that `tagged` was given."""
    return [tuple(map(_untag, row)) for row in rows]


def _tag(value: Any) -> Any:
    kind = type(value)
    if kind in _TO_TEXT:
        name, to_text = _TO_TEXT[kind]
        return frozenset(((name, to_text(value)),))
    if kind in (list, tuple):
        return kind(map(_tag, value))
    if kind is dict:
        return {_tag(key): _tag(inner) for key, inner in value.items()}
    if value is None or kind in (bool, int, float, str, bytes):
        return value
    raise TypeError(f"a row cannot cross the shuffle: {kind.__name__} {value!r} is in it")


def _untag(value: Any) -> Any:
    kind = type(value)
    if kind is frozenset:
        ((name, text),) = value
        return _FROM_TEXT[name](text)
    if kind in (list, tuple):
        return kind(map(_untag, value))
    if kind is dict:
        return {_untag(key): _untag(inner) for key, inner in value.items()}
    return value
