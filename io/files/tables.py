"""Avro and Parquet files to batches of records as Arrow IPC streams."""

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, cast
from uuid import UUID

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

from chronon_beam.api.records import Messages
from chronon_beam.io.files.avro_types import arrow_schema
from chronon_beam.io.files.parts import Part

_UNREADABLE = (
    ValueError,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    StopIteration,
    ArithmeticError,
)
"""What fastavro raises for bytes that are no Avro, besides errors of compression."""


def avro_schema(file: BinaryIO) -> pa.Schema:
    """The columns of an Avro container file, from its header.

    Raises:
        ValueError: it is none, or its schema has no columns (see `arrow_schema`).
    """
    return arrow_schema(_writer_schema(fastavro.block_reader(file)))


def parquet_schema(file: BinaryIO) -> pa.Schema:
    """The columns of a Parquet file, from its footer.

    Raises:
        ValueError: it is none.
    """
    schema = pq.read_schema(file)
    return pa.schema([pa.field(each.name, _plain(each.type)) for each in schema])


def read_avro(file: BinaryIO, part: Part, rows: int) -> Iterator[Messages]:
    """The records of an Avro container in batches of up to `rows`.

    A damaged file ends with one Messages that has an `error`: what was read before stays.
    """
    name, done, damage = part.path, 0, None
    records: list[Any] = []
    schema = pa.schema([])
    try:
        reader = fastavro.block_reader(file)
        schema = arrow_schema(_writer_schema(reader))
        for record in _records(reader):
            records.append(record)
            if len(records) == rows:
                yield _avro_batch(records, schema, name, done)
                done, records = done + len(records), []
    except Exception as error:
        if not _is_damage(error):
            raise
        damage = f"{type(error).__name__}: {error}"
    if records:
        yield _avro_batch(records, schema, name, done)
    if damage:
        yield _damaged(name, done + len(records), damage)


def read_parquet(file: BinaryIO, part: Part, rows: int) -> Iterator[Messages]:
    """The rows of a part in batches of up to `rows`; damage as in `read_avro`."""
    name, done, damage = part.path, part.before, None
    try:
        parquet = pq.ParquetFile(file)
        groups = list(range(part.start, min(part.stop, parquet.num_row_groups)))
        for batch in parquet.iter_batches(rows, groups):
            yield _table(batch, name, done)
            done += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        # Arrow's own I/O errors have no number; those of the file system do and may pass.
        if getattr(error, "errno", None) is not None:
            raise
        damage = str(error)
    if damage:
        yield _damaged(name, done, damage)


def _records(reader: fastavro.block_reader) -> Iterator[Any]:
    for block in reader:
        yield from block


def _writer_schema(reader: fastavro.block_reader) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], reader.writer_schema)


def _is_damage(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno is None
    module = type(error).__module__
    return isinstance(error, _UNREADABLE) or module in ("zlib", "lzma", "_lzma", "zstandard")


def _avro_batch(records: list[Any], schema: pa.Schema, name: str, done: int) -> Messages:
    if any(pa.types.is_string(each.type) for each in schema):
        _uuids_to_text(records, schema)
    return _table(pa.RecordBatch.from_pylist(records, schema), name, done)


def _uuids_to_text(records: list[Any], schema: pa.Schema) -> None:
    """Top-level UUIDs, which fastavro makes objects of."""
    for each in schema:
        if any(type(record[each.name]) is UUID for record in records):
            for record in records:
                record[each.name] = str(record[each.name])


def _plain(data_type: pa.DataType) -> pa.DataType:
    return data_type.value_type if pa.types.is_dictionary(data_type) else data_type


def _table(batch: pa.RecordBatch, name: str, done: int) -> Messages:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    positions = list(range(done + 1, done + 1 + batch.num_rows))
    return Messages(name, positions, [], table=sink.getvalue().to_pybytes())


def _damaged(name: str, done: int, cause: str) -> Messages:
    error = f"{name} is damaged after record {done}: {cause}; the rest of it was not read"
    return Messages(name, [done + 1], [b""], error=error)
