"""Reads files of lines, also compressed ones."""

import bz2
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

import zstandard

from chronon_beam.api.records import Messages
from chronon_beam.io.files.parts import Part

_CHUNK = 1 << 20
_COMPRESSED_CHUNK = 1 << 14
"""Small, because a chunk that turns out to be damaged is lost as a whole."""

_LONGEST = 1 << 26
"""The most bytes of a line. A file with a longer line counts as damaged there."""

_KEPT = 1 << 16
"""How many bytes the dead letter shows of the line in which a file is damaged."""

_BOM = b"\xef\xbb\xbf"

_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    ".gz": lambda: zlib.decompressobj(wbits=31),
    ".bz2": bz2.BZ2Decompressor,
    ".zst": lambda: zstandard.ZstdDecompressor().decompressobj(),
}

COMPRESSIONS = tuple(_DECOMPRESSORS)


class Damaged(ValueError):
    """The file cannot be read any further; `rest` is the beginning of the damaged line."""

    rest: bytes = b""


def read_lines(file: BinaryIO, part: Part, rows: int) -> Iterator[Messages]:
    """The lines of a part in batches of up to `rows`; a blank line is no message, but has a number.

    A damaged file ends with one Messages that has an `error`; the lines before it are messages.

    Args:
        file: all bytes of the file as stored; the end of its name tells how they are compressed.
        part: what to read of the file.
        rows: the most lines per batch.
    """
    name, number = part.path, part.before
    batch: list[bytes] = []
    positions: list[int] = []
    lines = split_lines(chunks(file, part))
    try:
        for line in lines:
            number += 1
            if line and not line.isspace():
                batch.append(line)
                positions.append(number)
                if len(batch) == rows:
                    yield Messages(name, positions, batch)
                    batch, positions = [], []
        damage = None
    except Damaged as error:
        damage = error
    if batch:
        yield Messages(name, positions, batch)
    if damage:
        reason = f"{name} is damaged after line {number}: {damage}; the rest of it was not read"
        yield Messages(name, [number + 1], [damage.rest], error=reason)


def chunks(file: BinaryIO, part: Part) -> Iterator[bytes]:
    """The bytes of the part, decompressed; raises Damaged where they cannot be decompressed."""
    for end, make in _DECOMPRESSORS.items():
        if part.path.lower().endswith(end):
            yield from _decompress(file, make)
            return
    if part.start:
        file.seek(part.start)
    at = part.start
    while chunk := file.read(min(_CHUNK, part.stop - at)):
        yield chunk
        at += len(chunk)


def _decompress(file: BinaryIO, make: Callable[[], Any]) -> Iterator[bytes]:
    decompressor, fresh = make(), True
    while data := file.read(_COMPRESSED_CHUNK):
        while data:
            yield _decompressed(decompressor, data)
            data, fresh = b"", False
            if decompressor.eof:  # a file may be several compressed files, one after the other
                data = decompressor.unused_data.lstrip(b"\0")
                decompressor, fresh = make(), True
    if not fresh:
        raise Damaged("it ends in the middle of the compressed data")


def _decompressed(decompressor: Any, data: bytes) -> bytes:
    try:
        return decompressor.decompress(data)
    except (zlib.error, OSError, EOFError, zstandard.ZstdError) as error:
        raise Damaged(str(error)) from None


def split_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    r"""Lines without their ends (`\n` or `\r\n`), the first also without a byte order mark.

    Raises:
        Damaged: a line is longer than 64 MiB.
    """
    rest, first = b"", True
    try:
        for piece in pieces:
            *lines, rest = (rest + piece).split(b"\n")
            if first and lines:
                lines[0], first = lines[0].removeprefix(_BOM), False
            for line in lines:
                yield line.removesuffix(b"\r")
            if len(rest) > _LONGEST:
                raise Damaged(f"the next line is longer than {_LONGEST >> 20} MiB")
    except Damaged as error:
        error.rest = rest[:_KEPT]
        raise
    if rest:
        yield (rest.removeprefix(_BOM) if first else rest).removesuffix(b"\r")
