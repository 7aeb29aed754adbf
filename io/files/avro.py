"""Avro container files to batches of records as Arrow IPC streams, and their columns.

Only the columns that the job reads are converted. A value cannot make a record unreadable (see
`api.formats.avro_columns`); bytes that are not Avro end the block that they are in, and the file
where its next block cannot be found.
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
    """Records that cannot be read; a count of None: all that follow."""

    cause: str
    count: int | None


class _Header(NamedTuple):
    fields: dict[str, Any]
    schema: Any


def avro_schema(file: BinaryIO) -> pa.Schema:
    """The columns of an Avro container file, from its header.

    Raises:
        ValueError: it is not one, or does not hold records.
    """
    return AvroColumns(_header(file).schema).schema


def read_avro(
    file: BinaryIO, part: Part, rows: int, columns: Sequence[str] | None = None
) -> Iterator[Messages]:
    """The records of an Avro container in batches of up to `rows`.

    What cannot be read is one Messages with an `error` per damaged block, or for all that follows.

    Args:
        file: all its bytes.
        part: names the file.
        rows: the most records per batch.
        columns: the names of those to read; None: all that can be read.
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
    """The Messages of records that follow `done` others."""
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
    """The blocks of the file, to be read by the plain schema in place of its own."""
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
        raise error  # of the file system, and may pass
    return f"{type(error).__name__}: {error}"


class _Joined(io.RawIOBase):
    """Some bytes, then those of a file from where it stands."""

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
