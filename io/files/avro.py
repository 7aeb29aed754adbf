"""Reads Avro container files: their columns, and their records as Arrow IPC streams.

Only the columns that the job reads are converted. If bytes are not Avro, the rest of their block
cannot be read, or the rest of the file if its next block cannot be found. A value that does not fit
its column costs its record alone (see `api.formats.avro_columns`).
"""

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple, cast

import fastavro
import pyarrow as pa

from chronon_beam.api.formats.avro_columns import AvroColumns, parsed_schema
from chronon_beam.api.records import Messages
from chronon_beam.io.files.messages import table_messages, unread
from chronon_beam.io.files.parts import Part

_HEADER = fastavro.parse_schema(
    {
        "type": "record",
        "name": "Header",
        "fields": [
            {"name": "magic", "type": {"type": "fixed", "name": "Magic", "size": 4}},
            {"name": "meta", "type": {"type": "map", "values": "bytes"}},
            {"name": "sync", "type": {"type": "fixed", "name": "Sync", "size": 16}},
        ],
    }
)
_MAGIC = b"Obj\x01"


class _NotAvro(ValueError):
    """The file does not begin as an Avro container does."""


class _Lost(NamedTuple):
    """Some records cannot be read, for a `cause`; a `count` of None means all that follow."""

    cause: str
    count: int | None


class _Header(NamedTuple):
    fields: dict[str, Any]
    schema: Any


def avro_schema(file: BinaryIO) -> pa.Schema:
    """The columns of an Avro container file, from its header.

    Raises:
        ValueError: the file is not an Avro container, or does not hold records.
    """
    return AvroColumns(_header(file).schema).schema


def read_avro(
    file: BinaryIO, part: Part, rows: int, columns: Sequence[str] | None = None
) -> Iterator[Messages]:
    """The records of an Avro container in batches of up to `rows`.

    A damaged block gives one Messages with an `error`, and so does the rest of a file that cannot
    be read on.

    Args:
        file: all bytes of the file.
        part: names the file.
        rows: the most records per batch.
        columns: the names of the columns to read; None reads all that can be read.
    """
    name, done = part.path, 0
    records: list[Any] = []
    try:
        header = _header(file)
        found = AvroColumns(header.schema, columns)
        for record in _records(_blocks(file, header, found)):
            lost = record if isinstance(record, _Lost) else None
            if lost is None:
                records.append(record)
            if records and (lost or len(records) == rows):
                yield from _read_messages(found, records, name, done)
                done, records = done + len(records), []
            if lost:
                yield unread(name, done, lost.cause, lost.count)
                done += lost.count or 0
        if records:
            yield from _read_messages(found, records, name, done)
    except ValueError as error:
        yield unread(name, done, str(error))


def _read_messages(
    columns: AvroColumns, records: list[Any], name: str, done: int
) -> Iterator[Messages]:
    """The Messages of records; `done` records come before them in the file."""
    for piece in columns.pieces(records):
        if isinstance(piece, str):
            yield unread(name, done, piece, 1)
            done += 1
        else:
            yield table_messages(piece, name, done)
            done += piece.num_rows


def _header(file: BinaryIO) -> _Header:
    try:
        fields = cast(dict[str, Any], fastavro.schemaless_reader(file, _HEADER, None))
    except (EOFError, ValueError, IndexError, UnicodeDecodeError) as error:
        raise _NotAvro(f"it has no header of an Avro file ({error})") from None
    if fields["magic"] != _MAGIC:
        raise _NotAvro("it is not an Avro file: it does not begin with 'Obj' and 1")
    text = fields["meta"].get("avro.schema", b"")
    return _Header(fields, parsed_schema(text))


def _blocks(file: BinaryIO, header: _Header, columns: AvroColumns) -> Iterator[Any]:
    """The blocks of the file, read by the plain schema of `columns` and not by the file's own."""
    fields = dict(header.fields)
    fields["meta"] = {**fields["meta"], "avro.schema": json.dumps(columns.writer).encode()}
    head = io.BytesIO()
    fastavro.schemaless_writer(head, _HEADER, fields)
    whole = io.BufferedReader(_Joined(head.getvalue(), file), 1 << 20)
    return iter(fastavro.block_reader(whole, reader_schema=columns.reader))


def _records(blocks: Iterator[Any]) -> Iterator[Any]:
    """The records of the blocks; a _Lost in place of those that cannot be read."""
    while True:
        try:
            block = next(blocks, None)
        except Exception as error:
            yield _Lost(_cause(error), None)
            return
        if block is None:
            return
        read = 0
        try:
            for record in block:
                yield record
                read += 1
        except Exception as error:
            yield _Lost(_cause(error), block.num_records - read)


def _cause(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        raise error  # an error of the file system, which may pass
    return f"{type(error).__name__}: {error}"


class _Joined(io.RawIOBase):
    """A stream of some bytes, followed by a file from its present position on."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        super().__init__()
        self._head = io.BytesIO(head)
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = self._head.read(len(buffer)) or self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
