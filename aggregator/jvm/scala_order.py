"""The order of keys in Scala's immutable maps, into which Chronon copies an APPROX_HISTOGRAM_K.

Source: `scala.collection.immutable.Map` and `HashMap` of Scala 2.12, `scala.runtime.Statics`.
"""

import struct
from collections.abc import Callable, Iterable
from typing import TypeVar

from chronon_beam.aggregator.jvm.hashing import double_bits, long_hash

K = TypeVar("K")

_INT = 0xFFFFFFFF
_SMALL = 4
"""Maps of up to this many keys keep the order of arrival."""

_DIGIT = 31
"""The trie branches by five bits at a time, the lowest first."""


def scala_ordered(keys: Iterable[K], hash_code: Callable[[K], int]) -> list[K]:
    """The keys in the order of an immutable map into which they were put one after the other.

    Args:
        keys: distinct.
        hash_code: Scala's hash of a key (`##`), unsigned.

    >>> scala_ordered(range(1, 7), scala_long_hash)
    [5, 1, 6, 2, 3, 4]
    """
    came = list(keys)
    if len(came) <= _SMALL:
        return came
    return sorted(came, key=lambda key: _path(hash_code(key)))


def _path(code: int) -> tuple[int, ...]:
    """The path to a key in the trie (`HashMap.improve`)."""
    mixed = (code + ~(code << 9)) & _INT
    mixed ^= mixed >> 14
    mixed = (mixed + (mixed << 4)) & _INT
    mixed ^= mixed >> 10
    return tuple(mixed >> level & _DIGIT for level in range(0, 35, 5))


def scala_long_hash(number: int) -> int:
    """`##` of a long: that of the int with the same value, if there is one."""
    return number & _INT if -(1 << 31) <= number < 1 << 31 else long_hash(number)


def scala_double_hash(number: float) -> int:
    """`##` of a double: that of the int, long or float with the same value, if there is one."""
    if number.is_integer() and abs(number) <= 1 << 63:
        # A cast to long stops at the greatest one.
        return scala_long_hash(min(int(number), (1 << 63) - 1))
    try:
        bits = struct.pack("<f", number)
    except OverflowError:
        return long_hash(double_bits(number))
    if number == number and struct.unpack("<f", bits)[0] == number:
        return int.from_bytes(bits, "little")
    return long_hash(double_bits(number))
