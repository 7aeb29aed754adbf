"""Makes the Messages of Avro and Parquet files: of rows, and of records that cannot be read."""

import pyarrow as pa

from chronon_beam.api.records import Messages


def table_messages(batch: pa.RecordBatch, name: str, done: int) -> Messages:
    """Messages of a batch of rows as an Arrow IPC stream.

    Args:
        batch: the rows.
        name: the file.
        done: how many rows come before them in the file.
    """
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    positions = list(range(done + 1, done + 1 + batch.num_rows))
    return Messages(name, positions, [], table=sink.getvalue().to_pybytes())


def unread(name: str, done: int, cause: str, count: int | None = None) -> Messages:
    """Messages whose `error` says that records of a file cannot be read.

    Args:
        name: the file.
        done: how many records come before them in the file.
        cause: why they cannot be read.
        count: how many cannot be read; None means all that follow.
    """
    lost = "the rest of it was" if count is None else f"the next {count:,} were"
    error = f"{name} is damaged after record {done}: {cause}; {lost} not read"
    return Messages(name, [done + 1], [b""], error=error)
