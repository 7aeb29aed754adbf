"""Byte arrays for CPC sketches: the Python library takes only numbers and text.

Of a value's hash (MurmurHash3 of 128 bits, seed 9001) a CPC sketch keeps only a *coupon*: a row,
which is the lowest bits, and a column, which is the number of zeros before the second half. So
bytes that are not text are replaced by a number or a text with the same coupon, and the sketch
becomes the one that Java's `CpcSketch.update(byte[])` makes. Nearly all columns are small and found
in a table of numbers. For other columns the hash function is inverted until the result is a text.
"""

import random
from functools import cache

import numpy as np

_MASK = 0xFFFFFFFFFFFFFFFF
_SEED = 9001
_C1, _C2 = 0x87C37B91114253D5, 0x4CF5AD432745937F
_F1, _F2 = 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53
_A1, _A2 = 0x52DCE729, 0x38495AB5
_TABLE = 1 << 20
_DRAWS = 1 << 16
_NOT_ASCII = np.uint64(0x8080808080808080)

Words = np.ndarray


def hashed_as(value: bytes, lg_k: int) -> int | str:
    """The number or text to give to a sketch of 2**lg_k rows instead of `value`."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        first, second = _hash(value)
        return _stand_in(lg_k, first & ((1 << lg_k) - 1), min(64 - second.bit_length(), 63))


@cache
def _stand_in(lg_k: int, row: int, column: int) -> int | str:
    number = _numbers(lg_k).get(row << 6 | column)
    return _text(lg_k, row, column) if number is None else number


@cache
def _numbers(lg_k: int) -> dict[int, int]:
    """Coupons (row << 6 | column) to a number that has it."""
    with np.errstate(over="ignore"):
        numbers = np.arange(_TABLE, dtype=np.uint64)
        mixed = _rotated(numbers * np.uint64(_C1), 31) * np.uint64(_C2)
        first, second = _finished(mixed ^ np.uint64(_SEED), np.uint64(_SEED), 8)
    # Without the bit after the highest one, rounding to a float cannot reach the next power of two.
    lengths = np.frexp((second & ~(second >> np.uint64(1))).astype(np.float64))[1]
    columns = np.minimum(64 - lengths, 63).astype(np.uint64)
    rows = first & np.uint64((1 << lg_k) - 1)
    coupons, index = np.unique(rows << np.uint64(6) | columns, return_index=True)
    return dict(zip(coupons.tolist(), index.tolist(), strict=True))


def _text(lg_k: int, row: int, column: int) -> str:
    """A text of 16 characters with this coupon: one hash in 65,536 is the hash of such a text."""
    draw = np.random.default_rng(random.Random(f"{lg_k} {row} {column}").randrange(1 << 32))
    top = np.uint64(1 << (63 - column))
    low = np.uint64((1 << lg_k) - 1)
    with np.errstate(over="ignore"):
        while True:
            first, second = draw.integers(0, 1 << 64, (2, _DRAWS), dtype=np.uint64)
            words = _backwards(first & ~low | np.uint64(row), second & (top - np.uint64(1)) | top)
            (found,) = np.nonzero(((words[0] | words[1]) & _NOT_ASCII) == 0)
            if len(found):
                return b"".join(int(w[found[0]]).to_bytes(8, "little") for w in words).decode()


def _rotated(words: Words, by: int) -> Words:
    return words << np.uint64(by) | words >> np.uint64(64 - by)


def _mixed(words: Words, first: int, second: int) -> Words:
    words = (words ^ words >> np.uint64(33)) * np.uint64(first)
    words = (words ^ words >> np.uint64(33)) * np.uint64(second)
    return words ^ words >> np.uint64(33)


def _finished(first: Words, second: Words | np.uint64, length: int) -> tuple[Words, Words]:
    first, second = first ^ np.uint64(length), second ^ np.uint64(length)
    first = first + second
    second = second + first
    first, second = _mixed(first, _F1, _F2), _mixed(second, _F1, _F2)
    first = first + second
    return first, second + first


def _inverse(factor: int) -> np.uint64:
    return np.uint64(pow(factor, -1, 1 << 64))


def _backwards(first: Words, second: Words) -> tuple[Words, Words]:
    """The two words of 8 bytes that have this hash."""
    mixed = second - first
    undo = int(_inverse(_F2)), int(_inverse(_F1))
    a, b = _mixed(first - mixed, *undo), _mixed(mixed, *undo)
    second = (b - a) ^ np.uint64(16)
    first = (a - (b - a)) ^ np.uint64(16)
    seed, fifth = np.uint64(_SEED), _inverse(5)
    kept = (second - np.uint64(_A2)) * fifth - first
    word = _rotated(kept, 33) ^ seed
    second_word = _rotated(word * _inverse(_C1), 31) * _inverse(_C2)
    kept = (first - np.uint64(_A1)) * fifth - seed
    word = _rotated(kept, 37) ^ seed
    return _rotated(word * _inverse(_C2), 33) * _inverse(_C1), second_word


def _rotate(word: int, by: int) -> int:
    return (word << by | word >> (64 - by)) & _MASK


def _hash(payload: bytes) -> tuple[int, int]:
    """MurmurHash3_x64_128."""
    first = second = _SEED
    whole = len(payload) & ~15
    for start in range(0, whole, 16):
        first ^= _scrambled(payload[start : start + 8], _C1, 31, _C2)
        first = ((_rotate(first, 27) + second) * 5 + _A1) & _MASK
        second ^= _scrambled(payload[start + 8 : start + 16], _C2, 33, _C1)
        second = ((_rotate(second, 31) + first) * 5 + _A2) & _MASK
    tail = payload[whole:]
    second ^= _scrambled(tail[8:], _C2, 33, _C1)
    first ^= _scrambled(tail[:8], _C1, 31, _C2)
    return _finish(first ^ len(payload), second ^ len(payload))


def _scrambled(part: bytes, factor: int, by: int, other: int) -> int:
    word = int.from_bytes(part, "little") * factor & _MASK
    return _rotate(word, by) * other & _MASK


def _finish(first: int, second: int) -> tuple[int, int]:
    first = (first + second) & _MASK
    second = (second + first) & _MASK
    first, second = _mix(first), _mix(second)
    first = (first + second) & _MASK
    return first, (second + first) & _MASK


def _mix(word: int) -> int:
    word = (word ^ word >> 33) * _F1 & _MASK
    word = (word ^ word >> 33) * _F2 & _MASK
    return word ^ word >> 33
