"""Reads Parquet files: their columns, and their rows as Arrow IPC streams.

Only the columns that the job reads are read, and they have the types that Spark gives them. A file
that Arrow has written also holds a schema of Arrow's own (dictionaries, durations, lists of fixed
size); Spark does not read it, so it is not used here.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from chronon_beam.api.formats.nested import with_leaves
from chronon_beam.api.records import Messages
from chronon_beam.io.files.messages import table_messages, unread
from chronon_beam.io.files.parts import Part

_ARROWS_OWN = b"ARROW:schema"
_INT96 = "us"
"""The unit of INT96 timestamps. They are stored in nanoseconds, but an int64 of nanoseconds ends in
the year 2262."""


def parquet_schema(file: BinaryIO) -> pa.Schema:
    """The columns of a Parquet file, from its footer.

    Raises:
        ValueError: the file is not Parquet.
    """
    return pa.schema(list(_column_types(_opened(file)).items()))


def read_parquet(
    file: BinaryIO, part: Part, rows: int, columns: Sequence[str] | None = None
) -> Iterator[Messages]:
    """The rows of a part in batches of up to `rows`.

    A damaged file ends with one Messages that has an `error`; the rows before it are messages.

    Args:
        file: all bytes of the file.
        part: which row groups of the file to read.
        rows: the most rows per batch.
        columns: the names of the columns to read, in any case; None reads all.
    """
    name, done, damage = part.path, part.before, None
    try:
        parquet = _opened(file)
        groups = list(range(part.start, min(part.stop, parquet.num_row_groups)))
        types = _column_types(parquet)
        for batch in parquet.iter_batches(rows, groups, _found(parquet, columns)):
            yield table_messages(_as_columns(batch, types), name, done)
            done += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        # Errors of the file system have a number, and may pass; Arrow's own have no number.
        if getattr(error, "errno", None) is not None:
            raise
        damage = str(error)
    if damage:
        yield unread(name, done, damage)


def _found(parquet: pq.ParquetFile, columns: Sequence[str] | None) -> list[str] | None:
    if columns is None:
        return None
    wanted = {name.lower() for name in columns}
    return [name for name in parquet.schema_arrow.names if name.lower() in wanted]


def _as_columns(batch: pa.RecordBatch, types: Mapping[str, pa.DataType]) -> pa.RecordBatch:
    kinds = [types[name] for name in batch.schema.names]
    if kinds == batch.schema.types:
        return batch
    columns = [
        with_leaves(column, kind, _leaf) for column, kind in zip(batch.columns, kinds, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _opened(file: BinaryIO) -> pq.ParquetFile:
    """The file with the types of its Parquet schema, and without Arrow's own schema."""
    footer = io.BytesIO()
    pq.read_metadata(file).write_metadata_file(footer)
    plain = footer.getvalue().replace(_ARROWS_OWN, _ARROWS_OWN.lower())
    metadata = pq.read_metadata(io.BytesIO(plain))
    return pq.ParquetFile(file, metadata=metadata, coerce_int96_timestamp_unit=_INT96)


def _column_types(parquet: pq.ParquetFile) -> dict[str, pa.DataType]:
    """The type that Spark gives each column."""
    schema = parquet.schema
    leaves = iter([schema.column(at).physical_type for at in range(len(schema.names))])
    return {each.name: _column_type(each.type, leaves) for each in parquet.schema_arrow}


def _column_type(kind: pa.DataType, leaves: Iterator[str]) -> pa.DataType:
    """The type that Spark gives a column which Arrow reads as `kind`, and Parquet as `leaves`."""
    if pa.types.is_struct(kind):
        return pa.struct([(each.name, _column_type(each.type, leaves)) for each in kind])
    if pa.types.is_map(kind):
        key = _column_type(kind.key_type, leaves)
        return pa.map_(key, _column_type(kind.item_type, leaves))
    if pa.types.is_list(kind):
        return pa.list_(_column_type(kind.value_type, leaves))
    physical = next(leaves)
    if isinstance(kind, pa.BaseExtensionType):  # UUID
        return pa.binary()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", tz="UTC" if kind.tz or physical == "INT96" else None)
    return pa.binary() if pa.types.is_fixed_size_binary(kind) else kind


def _leaf(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if isinstance(array, pa.ExtensionArray):
        return with_leaves(array.storage, kind, _leaf)
    if pa.types.is_timestamp(kind) and array.type.unit == "ns":
        # Round down to the microsecond; before 1970 a cast would round up.
        nanos = array.cast(pa.int64())
        filled = nanos.fill_null(0).to_numpy(zero_copy_only=False)
        micros = pa.array(np.floor_divide(filled, 1000), mask=_nulls(nanos))
        return micros.cast(kind)
    return array.cast(kind)


def _nulls(array: pa.Array) -> np.ndarray:
    return array.is_null().to_numpy(zero_copy_only=False)
