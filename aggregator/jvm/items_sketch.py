"""The sketch of frequent items, step by step as in Java: Chronon's bytes hold the sketch's table.

Source: `ItemsSketch` and `ReversePurgeItemHashMap` of the DataSketches library for Java. The Python
package has the same sketch with another hash function. Which items leave a full table depends on
their places in the table, so the Python package would give other estimates.
"""

import struct
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

from chronon_beam.aggregator.jvm.hashing import double_bits, double_text, long_hash, string_hash
from chronon_beam.aggregator.jvm.scala_order import scala_double_hash, scala_long_hash

Item = TypeVar("Item", str, int, bytes)
"""The type of items: strings, longs, or doubles as their bits."""

_LG_SMALLEST = 3
_MOST_SAMPLES = 1024
_GOLDEN = (5**0.5 - 1) / 2
_LONG = 0xFFFFFFFFFFFFFFFF

_PREAMBLE = struct.Struct("<6BH")
_REST = struct.Struct("<IIqq")
_PREAMBLE_LONGS, _VERSION, _FAMILY = 4, 1, 10
_EMPTY = 5
"""Flags of an empty sketch. Readers test either bit; the library of airbnb's Chronon writes only
one of the bits (`_EMPTY_BEFORE`)."""
_EMPTY_BEFORE = 4


class ItemKind(NamedTuple, Generic[Item]):
    """What the items of a sketch are: strings, longs or doubles.

    Attributes:
        type_id: Chronon's `FrequentItemType`.
        item: a value to the item that stands for it; doubles are kept as their bits.
        native: an item to its value.
        text: an item as `String.valueOf` prints it.
        hash: `hashCode` of an item, unsigned.
        scala_hash: `##` of an item, unsigned.
        pack: an item to its bytes.
        unpack: bytes at an offset to an item and the next offset.
    """

    type_id: int
    item: Callable[[Any], Item]
    native: Callable[[Item], str | int | float]
    text: Callable[[Item], str]
    hash: Callable[[Item], int]
    scala_hash: Callable[[Item], int]
    pack: Callable[[Item], bytes]
    unpack: Callable[[bytes, int], tuple[Item, int]]


def _pack_string(text: str) -> bytes:
    payload = text.encode()
    return struct.pack("<i", len(payload)) + payload


def _unpack_string(payload: bytes, offset: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<i", payload, offset)
    end = offset + 4 + length
    if length < 0 or end > len(payload):
        raise ValueError(f"a string of {length} bytes at {offset} of {len(payload)}")
    return payload[offset + 4 : end].decode(), end


def _unpack_long(payload: bytes, offset: int) -> tuple[int, int]:
    return struct.unpack_from("<q", payload, offset)[0], offset + 8


def _unpack_double(payload: bytes, offset: int) -> tuple[bytes, int]:
    return struct.pack("<d", *struct.unpack_from("<d", payload, offset)), offset + 8


STRINGS = ItemKind(0, str, str, str, string_hash, string_hash, _pack_string, _unpack_string)
LONGS = ItemKind(
    1, int, int, str, long_hash, scala_long_hash, struct.Struct("<q").pack, _unpack_long
)
DOUBLES = ItemKind(
    2,
    lambda value: double_bits(value).to_bytes(8, "little"),
    lambda item: struct.unpack("<d", item)[0],
    lambda item: double_text(struct.unpack("<d", item)[0]),
    lambda item: long_hash(int.from_bytes(item, "little")),
    lambda item: scala_double_hash(struct.unpack("<d", item)[0]),
    bytes,
    _unpack_double,
)


def _mixed(code: int) -> int:
    """The finalizer of MurmurHash3, of a hash code as a signed int."""
    key = (code - (1 << 32) if code >> 31 else code) & _LONG
    key = ((key ^ key >> 33) * 0xFF51AFD7ED558CCD) & _LONG
    key = ((key ^ key >> 33) * 0xC4CEB9FE1A85EC53) & _LONG
    return key ^ key >> 33


def _sampled(lg_max: int) -> int:
    """How many counts a purge samples, by the length that the sketch was made with.

    Java samples one item less than the table holds before a purge. A sketch that was made for a
    smaller table than the smallest samples only as many items as that table would hold.
    """
    return min(_MOST_SAMPLES, 3 << lg_max >> 2)


class ItemsSketch(Generic[Item]):
    """Counts of the most frequent items; each count is too low by at most `offset`.

    Args:
        kind: what the items are.
        lg_max: logarithm of the table's greatest length, of which 3/4 are used. Tables have at
            least 8 places.
        lg_length: logarithm of the table's length now.
    """

    def __init__(self, kind: ItemKind[Item], lg_max: int, lg_length: int = _LG_SMALLEST) -> None:
        self.kind = kind
        self.offset = 0
        self.weight = 0
        self._sampled = _sampled(lg_max)
        self._lg_max = max(lg_max, _LG_SMALLEST)
        self._clear(max(lg_length, _LG_SMALLEST))

    def _clear(self, lg_length: int) -> None:
        length = 1 << lg_length
        self._lg_length, self._mask, self._active = lg_length, length - 1, 0
        self._items: list[Any] = [None] * length
        self._counts = [0] * length
        # How far each item is from the place that its hash gives, plus one; 0 in empty places.
        self._drifts = [0] * length

    def __len__(self) -> int:
        return self._active

    def update(self, item: Item, count: int = 1) -> None:
        """Count an item; a full table grows or, at its greatest length, drops infrequent items."""
        self.weight += count
        self._add(item, count)
        if self._active > 3 << self._lg_length >> 2:
            if self._lg_length < self._lg_max:
                self._grow()
            else:
                self._purge()

    def _add(self, item: Item, count: int) -> None:
        items, drifts, mask = self._items, self._drifts, self._mask
        place, drift = _mixed(self.kind.hash(item)) & mask, 1
        while drifts[place] and items[place] != item:
            place, drift = (place + 1) & mask, drift + 1
        if not drifts[place]:
            items[place], drifts[place] = item, drift
            self._counts[place] = 0
            self._active += 1
        self._counts[place] += count

    def _grow(self) -> None:
        entries = list(self.entries())
        self._clear(self._lg_length + 1)
        for item, count in entries:
            self._add(item, count)

    def _purge(self) -> None:
        """Subtract the median count from all counts, and drop items whose count is not positive."""
        sample = [count for _, count in islice(self.entries(), self._sampled)]
        median = sorted(sample)[len(sample) // 2]
        self._counts = [count - median for count in self._counts]
        # Backwards from the end of a cluster, since a deletion moves later items forward.
        length = len(self._items)
        gap = length - 1
        while self._drifts[gap]:
            gap -= 1
        for place in (*reversed(range(gap)), *reversed(range(gap, length))):
            if self._drifts[place] and self._counts[place] <= 0:
                self._delete(place)
        self.offset += median

    def _delete(self, hole: int) -> None:
        """Empty a place, and move items into it that had drifted past it."""
        items, counts, drifts, mask = self._items, self._counts, self._drifts, self._mask
        drifts[hole] = 0
        self._active -= 1
        drift = 1
        place = (hole + drift) & mask
        while drifts[place]:
            if drifts[place] > drift:
                items[hole], counts[hole] = items[place], counts[place]
                drifts[hole] = drifts[place] - drift
                drifts[place] = 0
                drift, hole = 0, place
            place, drift = (place + 1) & mask, drift + 1

    def entries(self) -> Iterator[tuple[Item, int]]:
        """Items with their counts, in the order of the table."""
        for item, count, drift in zip(self._items, self._counts, self._drifts, strict=True):
            if drift:
                yield item, count

    def _strided(self) -> Iterator[tuple[Item, int]]:
        """Items with their counts, in strides: in the table's order a merge would form clusters."""
        stride = int(len(self._items) * _GOLDEN) | 1
        for step in range(len(self._items)):
            place = step * stride & self._mask
            if self._drifts[place]:
                yield self._items[place], self._counts[place]

    def merge(self, other: "ItemsSketch[Item]") -> None:
        """Add the counts of another sketch, which is not changed."""
        if not other:
            return
        weight = self.weight + other.weight
        for item, count in list(other._strided()):
            self.update(item, count)
        self.offset += other.offset
        self.weight = weight

    def frequent(self, k: int, no_false_positives: bool) -> dict[str, int]:
        """The k items with the highest estimates, with their estimates.

        Args:
            k: the most items to give.
            no_false_positives: leave out items that may be less frequent than items that are not
                in the sketch.
        """
        least = self.offset if no_false_positives else 0
        found = [entry for entry in self._strided() if entry[1] >= least]
        found.sort(key=lambda entry: -entry[1])
        return {self.kind.text(item): count + self.offset for item, count in found[:k]}

    def serialize(self, *, before: bool = False) -> bytes:
        """The bytes of Java's `ItemsSketch.toByteArray`; those of an empty sketch have no offset.

        Args:
            before: write the format of the library before it was Apache's (`com.yahoo.sketches`).
        """
        lengths = self._lg_max, self._lg_length
        if not self._active:
            flags = _EMPTY_BEFORE if before else _EMPTY
            return _PREAMBLE.pack(1, _VERSION, _FAMILY, *lengths, flags, 0)
        entries = list(self.entries())
        return b"".join(
            (
                _PREAMBLE.pack(_PREAMBLE_LONGS, _VERSION, _FAMILY, *lengths, 0, 0),
                _REST.pack(self._active, 0, self.weight, self.offset),
                struct.pack(f"<{self._active}q", *[count for _, count in entries]),
                *[self.kind.pack(item) for item, _ in entries],
            )
        )

    @classmethod
    def deserialize(
        cls, payload: bytes, kind: ItemKind[Item], lg_max: int | None = None
    ) -> "ItemsSketch[Item]":
        """The sketch in `payload`; raises ValueError on other bytes.

        Args:
            payload: what `serialize` gave.
            kind: what the items are.
            lg_max: the `lg_max` with which the sketch was made, so that the sketch goes on as if it
                had not been read; the bytes have at least 3.
        """
        try:
            sketch = cls._deserialized(payload, kind)
        except (struct.error, IndexError) as error:
            raise ValueError(f"not a sketch of frequent items: {error}") from error
        if lg_max is not None:
            sketch._sampled = _sampled(lg_max)
        return sketch

    @classmethod
    def _deserialized(cls, payload: bytes, kind: ItemKind[Item]) -> "ItemsSketch[Item]":
        longs, version, family, lg_max, lg_length, flags, _ = _PREAMBLE.unpack_from(payload)
        if (version, family) != (_VERSION, _FAMILY) or not lg_length <= lg_max < 31:
            raise ValueError(f"not a sketch of frequent items: {payload[:8].hex()}")
        if longs == 1 or flags & _EMPTY:
            return cls(kind, lg_max)
        sketch = cls(kind, lg_max, lg_length)
        active, _, weight, offset = _REST.unpack_from(payload, _PREAMBLE.size)
        place = _PREAMBLE.size + _REST.size
        counts = struct.unpack_from(f"<{active}q", payload, place)
        place += 8 * active
        entries = []
        for count in counts:
            item, place = kind.unpack(payload, place)
            entries.append((item, count))
            sketch.update(item, count)
        sketch._place_in_order(entries)
        sketch.weight, sketch.offset = weight, offset
        return sketch

    def _place_in_order(self, entries: list[tuple[Item, int]]) -> None:
        """Put the items of each cluster in the order that they had when they were written.

        Which places are taken depends on the items alone; which item is in which place depends on
        the order of arrival. Java loses that order when it reads a sketch. Here it is kept, so that
        a tile goes on as if it had not been read.
        """
        places = [place for place, drift in enumerate(self._drifts) if drift]
        for place, (item, count) in zip(places, entries, strict=True):
            home = _mixed(self.kind.hash(item)) & self._mask
            self._items[place], self._counts[place] = item, count
            self._drifts[place] = ((place - home) & self._mask) + 1

    def copy(self) -> "ItemsSketch[Item]":
        """A copy made as Chronon clones a sketch, by its bytes: the order in clusters changes."""
        if not self._active:
            return ItemsSketch(self.kind, self._lg_max)
        copy = ItemsSketch(self.kind, self._lg_max, self._lg_length)
        for item, count in self.entries():
            copy.update(item, count)
        copy.weight, copy.offset = self.weight, self.offset
        return copy
