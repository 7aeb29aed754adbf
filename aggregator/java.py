"""What the JVM does that shows in Chronon's bytes: hashes, order of hash maps, text of doubles.

Chronon keeps distinct values, histograms, buckets and maps in `java.util.HashSet` and `HashMap`,
and writes them in their order of iteration, a function of the hashes and of the table's size.
"""

import struct
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_INT = 0xFFFFFFFF
_LONG = 0xFFFFFFFFFFFFFFFF
_DOUBLE = struct.Struct("<d")
_SMALLEST_TABLE = 16


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


class _Spread(dict[str, int]):
    """Where strings stand in hash maps: features repeat theirs. Bounded."""

    _MOST = 50_000
    _LONGEST = 256

    def __missing__(self, text: str) -> int:
        place = spread(string_hash(text))
        if len(text) <= self._LONGEST:
            if len(self) >= self._MOST:
                self.clear()
            self[text] = place
        return place


def spread(code: int) -> int:
    """`HashMap.hash`: the low bits of this are the place in the table."""
    return code ^ code >> 16


string_place: Callable[[str], int] = _Spread().__getitem__
"""`HashMap.hash` of a string."""


class HashOrdered(dict[K, V], Generic[K, V]):
    """A dict that `ordered` can put into the order that a Java hash map would have.

    Attributes:
        capacity: length of Java's table; it only grows.
        settled: how many entries are in order, when they stand before the others; -1 after a
            removal, which may hide an entry that came since.
    """

    __slots__ = ("capacity", "settled")

    def __init__(self, entries: Any = (), capacity: int = _SMALLEST_TABLE) -> None:
        super().__init__(entries)
        self.capacity = capacity
        self.settled = 0

    def remove(self, key: K) -> None:
        """Take an entry out, if it is there."""
        self.pop(key, None)
        self.settled = -1

    def ordered(self, place: Callable[[K], int]) -> "HashOrdered[K, V]":
        """This, its entries in Java's order; `place` is `HashMap.hash` of a key.

        Entries of one bucket keep the order in which they came. Buckets of eight and more entries
        are trees in Java, and may come in another order there.
        """
        size = len(self)
        if size != self.settled:
            self.capacity = grown(self.capacity, size)
            mask = self.capacity - 1
            self._settle(lambda entry: place(entry[0]) & mask)
        return self

    def as_written(self, place: Callable[[K], int]) -> "HashOrdered[K, V]":
        """This, its entries in the order in which Chronon writes them into an Avro map.

        It copies them into a map that is made for their number (`Row.to`), and so may be smaller.
        """
        size = len(self)
        if size != self.settled:
            self.capacity = grown(self.capacity, size)
            self._settle(written_order(place, self.capacity, size))
        return self

    def _settle(self, order: Callable[[tuple[K, V]], int]) -> None:
        if len(self) > 1:
            entries = sorted(self.items(), key=order)
            self.clear()
            self.update(entries)
        self.settled = len(self)


def written_order(
    place: Callable[[Any], int], capacity: int, size: int
) -> Callable[[tuple[Any, Any]], int]:
    """The order of entries of a table of `capacity` after a copy to one made for `size` entries."""
    mask, copied = capacity - 1, grown(table_for(size), size) - 1

    def order(entry: tuple[Any, Any]) -> int:
        at = place(entry[0])
        return (at & copied) << 32 | at & mask

    return order


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


def double_text(number: float) -> str:
    """`Double.toString` (of Java 19 and later, which print the shortest digits).

    >>> double_text(2.0), double_text(-6.96), double_text(326559165043.62354)
    ('2.0', '-6.96', '3.2655916504362354E11')
    """
    if number != number:
        return "NaN"
    if number in (float("inf"), float("-inf")):
        return "Infinity" if number > 0 else "-Infinity"
    shortest = repr(number)
    if number == 0 or 1e-3 <= abs(number) < 1e7:
        return shortest
    digits = shortest.partition("e")[0].strip("-").replace(".", "").strip("0")
    mantissa, _, exponent = f"{number:.{max(len(digits) - 1, 1)}e}".partition("e")
    return f"{mantissa}E{int(exponent)}"


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
