"""Decimals as the JVM has them: exact sums, and the hash codes of `java.math.BigDecimal`.

Source: the decimal cases of `ColumnAggregator.construct` (zipline).
"""

from collections.abc import Callable
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, ROUND_HALF_UP, Context, Decimal

_INT = 0xFFFFFFFF
EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, rounding=ROUND_HALF_UP)
"""Arithmetic that rounds only to the scale of a type, where a number has more digits."""


def unscaled(value: Decimal, scale: int) -> int:
    """The number without its point.

    >>> unscaled(Decimal("-1.255"), 2), unscaled(Decimal(3), 2)
    (-126, 300)
    """
    return int(EXACT.to_integral_value(EXACT.scaleb(value, scale)))


def decimal_hash(scale: int) -> Callable[[Decimal], int]:
    """`BigDecimal.hashCode` of numbers of one scale, as an unsigned int."""

    def hash_code(value: Decimal) -> int:
        number = unscaled(value, scale)
        magnitude, code = abs(number), 0
        for shift in reversed(range(0, magnitude.bit_length(), 32)):
            code = (31 * code + (magnitude >> shift & _INT)) & _INT
        return (31 * (-code if number < 0 else code) + scale) & _INT

    return hash_code
