"""State that outlives its process, as flat blobs: columns of integers and columns of bytes.

Nothing in a blob is code, so reading a savepoint of unknown origin runs nothing. All numbers are
little-endian; a table of n rows is

    version       1 byte
    n             4 bytes
    integers      8 bytes per row, column after column
    lengths       4 bytes per row, for each column of bytes
    bytes         column after column
"""

import struct
from collections.abc import Sequence
from itertools import accumulate, chain, pairwise
from typing import Any, NamedTuple

_HEAD = struct.Struct("<BI")


class BlobTable(NamedTuple):
    """What a blob holds: columns of equal length."""

    integers: list[list[int]]
    values: list[list[bytes]]


def pack_table(
    version: int, integers: Sequence[Sequence[int]], values: Sequence[Sequence[bytes]]
) -> bytes:
    """Columns of integers and of bytes, all of one length, as a blob of `version`."""
    rows = len(integers[0])
    layout = f"<BI{len(integers) * rows}q{len(values) * rows}I"
    parts = [*chain.from_iterable(values)]
    head = struct.pack(layout, version, rows, *chain.from_iterable(integers), *map(len, parts))
    return b"".join((head, *parts))


def unpack_table(blob: bytes, version: int, integers: int, values: int) -> BlobTable:
    """The columns that `pack_table` was given: how many of integers, and how many of bytes.

    Raises:
        ValueError: the blob is of another version, or damaged.
    """
    require_version(blob, version)
    _, rows = _HEAD.unpack_from(blob.ljust(_HEAD.size, b"\0"))
    try:
        numbers = struct.unpack_from(f"<{integers * rows}q", blob, _HEAD.size)
        lengths_at = _HEAD.size + 8 * len(numbers)
        lengths = struct.unpack_from(f"<{values * rows}I", blob, lengths_at)
    except struct.error as error:
        raise ValueError(f"damaged state: {error}") from error
    borders = list(accumulate(lengths, initial=lengths_at + 4 * len(lengths)))
    if borders[-1] != len(blob):
        raise ValueError(f"damaged state: {len(blob)} bytes, {borders[-1]} expected")
    parts = [blob[start:end] for start, end in pairwise(borders)]
    return BlobTable(
        [list(numbers[at * rows : (at + 1) * rows]) for at in range(integers)],
        [parts[at * rows : (at + 1) * rows] for at in range(values)],
    )


def unpack_cell(layout: struct.Struct, blob: bytes, version: int) -> tuple[Any, ...]:
    """The fields of a blob of fixed length, without the version, which `layout` begins with.

    Raises:
        ValueError: the blob is of another version, or damaged.
    """
    require_version(blob, version)
    if len(blob) != layout.size:
        raise ValueError(f"damaged state: {len(blob)} bytes, {layout.size} expected")
    return layout.unpack(blob)[1:]


def require_version(blob: bytes, version: int) -> None:
    """Raise ValueError if the first byte of a blob is not `version`."""
    found = blob[0] if blob else 0
    if found != version:
        raise ValueError(f"state of version {found}: this code reads version {version}")
