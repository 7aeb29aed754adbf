"""What Chronon's bytes take from the JVM: hash codes, the order of hash maps, texts of doubles.

Chronon keeps distinct values, histograms, buckets and maps in `java.util.HashSet` and `HashMap`,
and writes them in their order of iteration, a function of the hashes and of the table's size.
"""

import struct
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_INT = 0xFFFFFFFF
_LONG = 0xFFFFFFFFFFFFFFFF
_DOUBLE = struct.Struct("<d")
_SMALLEST_TABLE = 16
_SMALLEST_TABLE_HOLDS = 12
"""How many keys the smallest table holds before it grows."""


def string_hash(text: str) -> int:
    """`String.hashCode`, as an unsigned int.

    >>> string_hash("tile"), string_hash("")
    (3560110, 0)
    """
    if text.isascii():
        units: Iterable[int] = text.encode()
    else:
        encoded = text.encode("utf-16-le", "surrogatepass")
        units = struct.unpack(f"<{len(encoded) // 2}H", encoded)
    code = 0
    for unit in units:
        code = (31 * code + unit) & _INT
    return code


def long_hash(number: int) -> int:
    """`Long.hashCode`, as an unsigned int; of a double, give its bits."""
    bits = number & _LONG
    return (bits ^ bits >> 32) & _INT


def spread(code: int) -> int:
    """`HashMap.hash`: its low bits are the place in the table."""
    return code ^ code >> 16


class _Memo(dict[K, int], Generic[K]):
    """A function of keys with its results kept, because features repeat values; bounded."""

    _MOST = 50_000
    _LONGEST = 256

    def __init__(self, function: Callable[[K], int]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, key: K) -> int:
        found = self._function(key)
        if not isinstance(key, (str, bytes)) or len(key) <= self._LONGEST:
            if len(self) >= self._MOST:
                self.clear()
            self[key] = found
        return found


class Places(Generic[K]):
    """The places of keys of one type in Java's hash maps: they give the order of iteration.

    Attributes:
        of: `HashMap.hash` of a key.
        orders_of_copies: sort keys for maps in the smallest table. Item n is for a map of n keys
            that Chronon has copied into a map made for n keys.

    Args:
        hash_code: the key's `hashCode`, unsigned.
    """

    def __init__(self, hash_code: Callable[[K], int]) -> None:
        memo: _Memo[K] = _Memo(lambda key: spread(hash_code(key)))
        self.of: Callable[[K], int] = memo.__getitem__
        lengths = [grown(table_for(size), size) for size in range(_SMALLEST_TABLE_HOLDS + 1)]
        memos = {length: _Memo(self.order(_SMALLEST_TABLE, length)) for length in lengths}
        self.orders_of_copies = [memos[length].__getitem__ for length in lengths]

    def order(self, capacity: int, copied: int) -> Callable[[K], int]:
        """The sort key of keys in a table of `capacity` that was copied into one of `copied`."""
        of, mask, bits, coarse = self.of, capacity - 1, capacity.bit_length(), copied - 1
        return lambda key: (of(key) & coarse) << bits | of(key) & mask


class HashOrdered(dict[K, V], Generic[K, V]):
    """A dict that gives its keys in the order of a Java hash map.

    Keys in one bucket keep their order of arrival. In Java a bucket of eight and more keys is a
    tree, whose order may be another.

    Attributes:
        capacity: the length of Java's table; it only grows.
    """

    __slots__ = ("_settled", "capacity")

    def __init__(
        self,
        entries: Mapping[K, V] | Iterable[tuple[K, V]] = (),
        capacity: int = _SMALLEST_TABLE,
    ) -> None:
        super().__init__(entries)
        self.capacity = capacity
        # How many keys, from the first, are in Java's order. -1 after a removal: then the number of
        # keys does not tell whether a key came since.
        self._settled = 0

    def fork(self) -> "HashOrdered[K, V]":
        """A copy in the same table and the same order."""
        copy = HashOrdered(self, self.capacity)
        copy._settled = self._settled
        return copy

    def remove(self, key: K) -> None:
        """Remove an entry, if there is one."""
        self.pop(key, None)
        self._settled = -1

    def in_order(self, places: Places[K]) -> Iterable[K]:
        """The keys as Java iterates over them."""
        size = len(self)
        if size < 2:
            return self
        if size <= _SMALLEST_TABLE_HOLDS and self.capacity == _SMALLEST_TABLE:
            return sorted(self, key=places.orders_of_copies[_SMALLEST_TABLE_HOLDS])
        capacity = grown(self.capacity, size)
        return self._settle(places, capacity, capacity)

    def in_written_order(self, places: Places[K]) -> Iterable[K]:
        """The keys as Chronon writes them into an Avro map.

        Chronon copies them into a map that is made for their number (`Row.to`). The table of that
        map may be smaller.
        """
        size = len(self)
        if size < 2:
            return self
        if size <= _SMALLEST_TABLE_HOLDS and self.capacity == _SMALLEST_TABLE:
            return sorted(self, key=places.orders_of_copies[size])
        return self._settle(places, grown(self.capacity, size), grown(table_for(size), size))

    def _settle(self, places: Places[K], capacity: int, copied: int) -> Iterable[K]:
        """Put the entries in order; they are sorted again only after new keys."""
        if len(self) != self._settled:
            self.capacity = capacity
            order = places.order(capacity, copied)
            entries = sorted(self.items(), key=lambda entry: order(entry[0]))
            self.clear()
            self.update(entries)
            self._settled = len(self)
        return self


def grown(capacity: int, size: int) -> int:
    """The length of a table of `capacity` once it holds `size` entries: at most 3/4 are taken.

    >>> grown(16, 12), grown(16, 13)
    (16, 32)
    """
    while size * 4 > capacity * 3:
        capacity *= 2
    return capacity


def table_for(entries: int) -> int:
    """`HashMap.tableSizeFor`: the table of `new HashMap(entries)`.

    >>> table_for(8), table_for(9)
    (8, 16)
    """
    return 1 << max(entries - 1, 0).bit_length()


def table_of_copy(entries: int) -> int:
    """The table of `new HashMap` after `putAll`, and of one that was deserialised."""
    return table_for(int(entries / 0.75 + 1.0))


STRING_PLACES: Places[str] = Places(string_hash)


def double_text(number: float) -> str:
    """`Double.toString` (of Java 19 and later, which print the shortest digits).

    >>> double_text(2.0), double_text(-6.96), double_text(326559165043.62354), double_text(5e-324)
    ('2.0', '-6.96', '3.2655916504362354E11', '4.9E-324')
    """
    if number != number:
        return "NaN"
    if number in (float("inf"), float("-inf")):
        return "Infinity" if number > 0 else "-Infinity"
    shortest = repr(number)
    if number == 0 or 1e-3 <= abs(number) < 1e7:
        return shortest
    sign, digits, exponent = Decimal(shortest).normalize().as_tuple()
    if len(digits) == 1:
        # Java wants two digits, and of those the nearest: the smallest doubles have a choice.
        sign, digits, exponent = Decimal(f"{number:.1e}").normalize().as_tuple()
    first, *rest = map(str, digits)
    mantissa = f"{'-' if sign else ''}{first}.{''.join(rest) or '0'}"
    return f"{mantissa}E{int(exponent) + len(rest)}"


def double_bits(number: float) -> int:
    """`Double.doubleToLongBits`."""
    return int.from_bytes(_DOUBLE.pack(number if number == number else float("nan")), "little")


def modified_utf8(text: str) -> bytes:
    r"""The form of strings in Java streams: no zero byte, surrogates one by one.

    >>> modified_utf8("a\0😀").hex()
    '61c080eda0bdedb880'
    """
    if text.isascii() and "\0" not in text:
        return text.encode()
    encoded = text.encode("utf-16-be", "surrogatepass")
    units = struct.unpack(f">{len(encoded) // 2}H", encoded)
    apart = "".join(map(chr, units)).encode("utf-8", "surrogatepass")
    return apart.replace(b"\0", b"\xc0\x80")


def from_modified_utf8(payload: bytes) -> str:
    """What `modified_utf8` wrote; raises UnicodeDecodeError on other bytes."""
    apart = payload.replace(b"\xc0\x80", b"\0").decode("utf-8", "surrogatepass")
    return apart.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
