"""The JVM's orders and arithmetic, where Python's differ.

Strings: Java compares UTF-16 code units, Python code points. Doubles: `Math.max` and
`Double.compare` tell -0.0 from 0.0 and order NaN. Longs: sums wrap at 64 bits.
"""

import math
from collections.abc import Callable
from typing import Any

from chronon_beam.api.data_types import FLOATS, STRING, DataType

SortKey = Callable[[Any], Any]
Choice = Callable[[Any, Any], Any]
"""One of two values of a type."""

_LONG_MIN, _LONG_MAX = -(1 << 63), (1 << 63) - 1


def wrapping_add(a: int, b: int) -> int:
    """`a + b` as a Java long.

    >>> wrapping_add(2**63 - 1, 1) == -2**63
    True
    """
    total = a + b
    if _LONG_MIN <= total <= _LONG_MAX:
        return total
    return (total - _LONG_MIN) % (1 << 64) + _LONG_MIN


def utf16(text: str) -> bytes:
    """A key that sorts as Java's `String.compareTo`."""
    return text.encode("utf-16-be", "surrogatepass")


def total_order(number: float) -> tuple[bool, float, float]:
    """A key that sorts as `Double.compare`: -0.0 before 0.0, NaN last."""
    return (number != number, number, math.copysign(1.0, number))


def sort_key(data_type: DataType) -> SortKey | None:
    """The key that sorts values of a type as Scala's Ordering does; None where no key is needed."""
    if data_type == STRING:
        return utf16
    return total_order if data_type in FLOATS else None


def larger(data_type: DataType) -> Choice:
    """`Ordering.max` of a type; of equal values the first is kept."""
    if data_type == STRING:
        return lambda a, b: a if utf16(a) >= utf16(b) else b
    if data_type in FLOATS:
        return _larger_double
    return lambda a, b: a if a >= b else b


def smaller(data_type: DataType) -> Choice:
    """`Ordering.min` of a type; of equal values the first is kept."""
    if data_type == STRING:
        return lambda a, b: a if utf16(a) <= utf16(b) else b
    if data_type in FLOATS:
        return _smaller_double
    return lambda a, b: a if a <= b else b


def _larger_double(a: float, b: float) -> float:
    if a > b or a != a:
        return a
    if b > a or b != b:
        return b
    return a if math.copysign(1.0, a) > 0 else b


def _smaller_double(a: float, b: float) -> float:
    if a < b or a != a:
        return a
    if b < a or b != b:
        return b
    return a if math.copysign(1.0, a) < 0 else b
