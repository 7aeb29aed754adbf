"""The formats of files: what reads each format, and which format a file's name stands for.

A new format is one more entry of `FORMATS`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from chronon_beam.api.records import Messages
from chronon_beam.io.files.avro import avro_schema, read_avro
from chronon_beam.io.files.csv_lines import read_below_header
from chronon_beam.io.files.json_lines import COMPRESSIONS, read_lines
from chronon_beam.io.files.parquet import parquet_schema, read_parquet
from chronon_beam.io.files.parts import Part, line_parts, parquet_parts

Read = Callable[[BinaryIO, Part, int, Sequence[str]], Iterator[Messages]]
"""Reads the messages of a part of a file.

The arguments are the bytes of the file, the part, the most messages per batch, and the names of the
columns that the job reads. A format of lines does not need these names.
"""

Divide = Callable[[BinaryIO, Part, int], Iterator[Part]]
"""Cuts a file, or a part of it, into parts of about the given number of bytes."""


class FileFormat(NamedTuple):
    """What reads the files of a format.

    Attributes:
        read: see `Read`.
        divide: see `Divide`; None if files must be read as a whole.
        schema: reads the columns from the header of a file; None if files have no such header.
    """

    read: Read
    divide: Divide | None = None
    schema: Callable[[BinaryIO], pa.Schema] | None = None


def _read_lines(file: BinaryIO, part: Part, rows: int, _: Sequence[str]) -> Iterator[Messages]:
    return read_lines(file, part, rows)


def _read_below_header(
    file: BinaryIO, part: Part, rows: int, _: Sequence[str]
) -> Iterator[Messages]:
    return read_below_header(file, part, rows)


CSV_WITH_HEADER = "csv_with_header"

FORMATS = {
    "jsonl": FileFormat(_read_lines, line_parts),
    "csv": FileFormat(_read_lines, line_parts),
    CSV_WITH_HEADER: FileFormat(_read_below_header, line_parts),
    "avro": FileFormat(read_avro, schema=avro_schema),
    "parquet": FileFormat(read_parquet, parquet_parts, parquet_schema),
}

NAMES = tuple(name for name in FORMATS if name != CSV_WITH_HEADER)
"""The names that a user may give as `?format=`."""

TEXT = ("jsonl", "csv")
"""The formats whose files are lines. Such files may be compressed, and may grow."""

_ENDS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".avro": "avro",
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
}


def format_of(path: str) -> str:
    """The format by the end of a file's name; `.gz`, `.bz2` and `.zst` may follow it.

    Raises:
        ValueError: the name has no such end.
    """
    lower = path.lower()
    for end in COMPRESSIONS:
        lower = lower.removesuffix(end)
    for end, name in _ENDS.items():
        if lower.endswith(end) and (name in TEXT or path.lower() == lower):
            return name
    raise ValueError(
        f"the format of {path} is not known from its name: add ?format={'|'.join(NAMES)}"
    )


def is_compressed(path: str) -> bool:
    """Whether the end of a file's name says that the file is compressed."""
    return path.lower().endswith(COMPRESSIONS)
