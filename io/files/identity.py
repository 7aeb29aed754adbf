"""What tells a file apart from others, and from what it was when an earlier run read it.

A file is known by its path: a local one absolute and free of links, so that it is the same file
from whatever folder it is named. Whether it is still what was read is told by a fingerprint of its
length and of its first and last 64 KiB, so that a large file need not be read to know it again.
"""

import os
from collections.abc import Sequence
from hashlib import blake2b
from typing import BinaryIO

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from chronon_beam.io.units import Unit

_LOOKED_AT = 64 << 10


def resolved(path: str) -> str:
    """The one name of a file; raises what the file system raises."""
    return os.path.realpath(path) if FileSystems.get_scheme(path) is None else path


def is_same(path: str, other: str) -> bool:
    """Whether two local paths name one file, which may be still to be made."""
    if os.path.exists(path) and os.path.exists(other):
        return os.path.samefile(path, other)
    return os.path.realpath(path) == os.path.realpath(other)


def file_size(path: str) -> int:
    """Its bytes as they are stored."""
    return FileSystems.get_filesystem(path).size(path)


def open_stored(path: str) -> BinaryIO:
    """The file's bytes as they are stored."""
    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def file_units(paths: Sequence[str]) -> list[Unit]:
    """Whole files as they are now."""
    units = []
    for path in paths:
        with open_stored(path) as file:
            stop = file_size(path)
            units.append(Unit(path, 0, stop, fingerprint(file, stop)))
    return units


def fingerprint(file: BinaryIO, stop: int) -> str:
    """Of the bytes from 0 to `stop`."""
    found = blake2b(str(stop).encode(), digest_size=16)
    for start in (0, max(0, stop - _LOOKED_AT)):
        file.seek(start)
        found.update(file.read(min(_LOOKED_AT, stop)))
    return found.hexdigest()


def begins_with(path: str, read: Unit) -> bool:
    """Whether a file begins with what was read of it, and that ends where a line ends."""
    with open_stored(path) as file:
        if fingerprint(file, read.stop) != read.fingerprint:
            return False
        file.seek(max(0, read.stop - 1))
        around = file.read(3)  # the last byte that was read, and the two after it
    return read.stop == 0 or around[:1] == b"\n" or around[1:2] == b"\n" or around[1:] == b"\r\n"
