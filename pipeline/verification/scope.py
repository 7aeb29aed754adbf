"""Which tiles or rows are verified, and the blobs, one per bucket, in which they are shuffled."""

import marshal
from binascii import crc32
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, TypeVar

from chronon_beam.api.records import MAX_MS, MIN_MS

BUCKETS = 4096
"""A store is compared in so many parts, one after the other: each fits into memory."""


class ValuePlace(NamedTuple):
    """Where a value lies in a dataset.

    Attributes:
        size_ms: the tile's length; 0 for rows.
        start_ms: the tile's start, or the row's time.
    """

    key: bytes
    size_ms: int
    start_ms: int

    @property
    def bucket(self) -> int:
        """The bucket of all values of this place."""
        return crc32(self.start_ms.to_bytes(8, "big", signed=True), crc32(self.key)) % BUCKETS


@dataclass(frozen=True)
class Scope:
    """Which places are verified.

    Attributes:
        from_ms: tiles and rows that begin before this time are left out.
        to_ms: tiles that end after this time, and rows at it or after it, are left out.
        keys: the bytes of the keys; None for all keys.
    """

    from_ms: int = MIN_MS
    to_ms: int = MAX_MS
    keys: frozenset[bytes] | None = None

    def has(self, place: ValuePlace) -> bool:
        """Whether a place is verified."""
        if self.keys is not None and place.key not in self.keys:
            return False
        end_ms = place.start_ms + (place.size_ms or 1)
        return self.from_ms <= place.start_ms and end_ms <= self.to_ms


Value = tuple[ValuePlace, bytes]

Item = TypeVar("Item")


def portions(items: Iterable[Item], most: int) -> Iterator[list[Item]]:
    """The items in lists of up to `most`."""
    left = iter(items)
    while some := list(islice(left, most)):
        yield some


def packed(values: Iterable[Value]) -> Iterator[tuple[int, bytes]]:
    """Values in one blob per bucket: (bucket, blob)."""
    by_bucket: dict[int, list[tuple[tuple[bytes, int, int], bytes]]] = {}
    for place, value in values:
        plain = place.key, place.size_ms, place.start_ms  # marshal takes plain tuples alone
        by_bucket.setdefault(place.bucket, []).append((plain, value))
    for bucket, found in by_bucket.items():
        yield bucket, marshal.dumps(found)


def unpacked(blobs: Iterable[bytes]) -> dict[ValuePlace, list[bytes]]:
    """The values of a bucket by their places."""
    by_place: dict[ValuePlace, list[bytes]] = {}
    for blob in blobs:
        for place, value in marshal.loads(blob):
            by_place.setdefault(ValuePlace(*place), []).append(value)
    return by_place
