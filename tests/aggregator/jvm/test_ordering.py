"""Orders and sums as the JVM has them."""

import math
import struct
from functools import cmp_to_key

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chronon_beam.aggregator.jvm.ordering import larger, smaller, total_order, utf16, wrapping_add
from chronon_beam.api.data_types import DOUBLE, LONG, STRING

LONGS = st.integers(-(1 << 63), (1 << 63) - 1)


def compare_as_java(a: str, b: str) -> int:
    """`String.compareTo`: the first UTF-16 code unit that differs, else the length."""
    left, right = ([*struct.unpack(f"<{len(x) // 2}H", x)] for x in (utf16le(a), utf16le(b)))
    for one, other in zip(left, right, strict=False):
        if one != other:
            return one - other
    return len(left) - len(right)


def utf16le(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


@given(st.lists(st.text(max_size=4), max_size=6))
def test_strings_sort_as_javas(texts: list[str]) -> None:
    assert sorted(texts, key=utf16) == sorted(texts, key=cmp_to_key(compare_as_java))


def test_java_puts_emoji_before_private_characters_and_python_after() -> None:
    emoji, private = "😀", "\uffff"
    assert emoji > private
    assert larger(STRING)(emoji, private) == private
    assert smaller(STRING)(emoji, private) == emoji


def test_doubles_sort_as_double_compare() -> None:
    numbers = [math.nan, math.inf, 1.0, 0.0, -0.0, -math.inf]
    ordered = sorted(numbers, key=total_order)
    assert [str(number) for number in ordered] == ["-inf", "-0.0", "0.0", "1.0", "inf", "nan"]


@pytest.mark.parametrize(
    ("a", "b", "low", "high"),
    [(0.0, -0.0, "-0.0", "0.0"), (-0.0, 0.0, "-0.0", "0.0"), (1.0, math.nan, "nan", "nan")],
)
def test_extremes_of_doubles_are_javas(a: float, b: float, low: str, high: str) -> None:
    assert str(smaller(DOUBLE)(a, b)) == low
    assert str(larger(DOUBLE)(a, b)) == high


def test_of_equal_values_the_first_is_kept() -> None:
    first, second = "ab", "".join(["a", "b"])
    assert larger(STRING)(first, second) is first
    assert smaller(STRING)(first, second) is first
    assert larger(LONG)(3, 2) == 3


@given(LONGS, LONGS)
@example((1 << 63) - 1, 1)
@example(-(1 << 63), -1)
def test_sum_of_longs_wraps_at_64_bits(a: int, b: int) -> None:
    mask = (1 << 64) - 1
    bits = struct.pack("<Q", (a + b) & mask)
    assert wrapping_add(a, b) == struct.unpack("<q", bits)[0]
