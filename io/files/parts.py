"""Divides large files into parts, so that several workers can read one file.

Files of lines that are not compressed are divided at line ends; they are read through once to count
the lines before each part. Parquet files are divided between row groups. Other files are one part.
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

SIZE = 32 << 20
"""About how many bytes a part has. A smaller file is one part."""

_CHUNK = 1 << 20
END = 1 << 62


class Part(NamedTuple):
    """A part of a file.

    Attributes:
        path: the file.
        start: the first byte, or row group.
        stop: the byte, or row group, after the last; `END` means to the end of the file.
        before: how many lines or records come before the part.
    """

    path: str
    start: int = 0
    stop: int = END
    before: int = 0


def line_parts(file: BinaryIO, whole: Part, size: int = SIZE) -> Iterator[Part]:
    """The parts of `whole`, each of whole lines and of at least `size` bytes."""
    path, start, stop, _ = whole
    at, number = start, _lines_before(file, start)
    before = number
    while chunk := file.read(min(_CHUNK, stop - at)):
        cut = chunk.find(b"\n", max(start + size - at - 1, 0)) + 1
        if cut:
            number += chunk.count(b"\n", 0, cut)
            yield Part(path, start, at + cut, before)
            start, before = at + cut, number
        number += chunk.count(b"\n", cut)
        at += len(chunk)
    if at > start:
        yield Part(path, start, stop, before)


def _lines_before(file: BinaryIO, start: int) -> int:
    at, number = 0, 0
    while chunk := file.read(min(_CHUNK, start - at)):
        number += chunk.count(b"\n")
        at += len(chunk)
    return number


def parquet_parts(file: BinaryIO, whole: Part, size: int = SIZE) -> Iterator[Part]:
    """The parts of a file, each of row groups of `size` bytes; a damaged file is one part."""
    path = whole.path
    try:
        footer = pq.read_metadata(file)
    except (pa.ArrowException, OSError):
        yield Part(path)
        return
    start, before, number, held = 0, 0, 0, 0
    for index in range(footer.num_row_groups):
        group = footer.row_group(index)
        number += group.num_rows
        held += group.total_byte_size
        if held >= size or index + 1 == footer.num_row_groups:
            yield Part(path, start, index + 1, before)
            start, before, held = index + 1, number, 0
