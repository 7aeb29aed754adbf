"""Tells whether a file is the one that an earlier run has read, and whether it has changed.

A file is known by its path. The path of a local file is made absolute and free of links, so that
two paths of one file become one. A file has changed if its fingerprint has changed. The fingerprint
is computed from the length and the first and last 64 KiB, so a large file need not be read for it.
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
    """The path by which a file is known; raises what the file system raises."""
    return os.path.realpath(path) if FileSystems.get_scheme(path) is None else path


def is_same(path: str, other: str) -> bool:
    """Whether two local paths name one file; the file need not exist yet."""
    if os.path.exists(path) and os.path.exists(other):
        return os.path.samefile(path, other)
    return os.path.realpath(path) == os.path.realpath(other)


def file_size(path: str) -> int:
    """How many bytes a file has as it is stored, compressed or not."""
    return FileSystems.get_filesystem(path).size(path)


def open_stored(path: str) -> BinaryIO:
    """Open a file's bytes as they are stored, compressed or not."""
    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def file_units(paths: Sequence[str]) -> list[Unit]:
    """Whole files as units, with the length and fingerprint that they have now."""
    units = []
    for path in paths:
        with open_stored(path) as file:
            stop = file_size(path)
            units.append(Unit(path, 0, stop, fingerprint(file, stop)))
    return units


def fingerprint(file: BinaryIO, stop: int) -> str:
    """The fingerprint of the bytes from 0 to `stop`."""
    found = blake2b(str(stop).encode(), digest_size=16)
    for start in (0, max(0, stop - _LOOKED_AT)):
        file.seek(start)
        found.update(file.read(min(_LOOKED_AT, stop)))
    return found.hexdigest()


def begins_with(path: str, read: Unit) -> bool:
    """Whether a file still begins with the bytes of `read`, and a line ends where they end."""
    with open_stored(path) as file:
        if fingerprint(file, read.stop) != read.fingerprint:
            return False
        file.seek(max(0, read.stop - 1))
        border = file.read(3)  # the last byte that was read, and the two after it
    return read.stop == 0 or border[:1] == b"\n" or border[1:2] == b"\n" or border[1:] == b"\r\n"
