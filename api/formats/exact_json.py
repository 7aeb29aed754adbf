"""JSON whose numbers keep their digits: integers of any length, decimals that are no doubles."""

import json
from collections.abc import Set
from decimal import Decimal
from typing import Any

import pyarrow as pa


def exact_value(payload: bytes) -> Any:
    """The value of a JSON text, with Decimals for numbers that have a fraction or an exponent.

    >>> exact_value(b'{"d": 12345678901234567.89}')
    {'d': Decimal('12345678901234567.89')}

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return json.loads(payload, parse_float=Decimal, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def exact_columns(schema: pa.Schema) -> frozenset[str]:
    """The columns, in lower case, that hold decimals."""
    return frozenset(each.name.lower() for each in schema if _holds_decimals(each.type))


def restore_digits(row: dict[str, Any], payload: bytes, columns: Set[str]) -> None:
    """Give the `columns` (see `exact_columns`) of a parsed object the numbers that were written."""
    try:
        exact = exact_value(payload)
    except ValueError:
        return  # a number of thousands of digits: no decimal is as long
    row.update((name, value) for name, value in exact.items() if name.lower() in columns)


def _holds_decimals(kind: pa.DataType) -> bool:
    if pa.types.is_nested(kind):
        return any(_holds_decimals(kind.field(i).type) for i in range(kind.num_fields))
    return pa.types.is_decimal(kind)


def _refuse(constant: str) -> Any:
    raise ValueError(f"JSON has no {constant}")
