"""The formats of files: which one a file has by its name, and what reads it.

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
"""Gives the messages of a part of a file.

Its arguments: the bytes of the file, the part, the most messages per batch, and the names of the
columns that the job reads, which a format that can read some columns alone takes heed of.
"""

Divide = Callable[[BinaryIO, Part, int], Iterator[Part]]
"""Cuts a file into parts of about so many bytes."""


class FileFormat(NamedTuple):
    """What reads the files of a format.

    Attributes:
        read: see `Read`.
        divide: see `Divide`; None where a file must be read from its start.
        schema: gives the columns by the header of a file; None where files have no header.
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
"""The formats of lines: their files may be compressed, and may grow."""

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
    """The format that the end of a file's name tells, also before `.gz`, `.bz2` or `.zst`.

    Raises:
        ValueError: the name does not tell a format.
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
