"""The Messages of files of tables: rows as an Arrow IPC stream, and what could not be read."""

import pyarrow as pa

from chronon_beam.api.records import Messages


def table_messages(batch: pa.RecordBatch, name: str, done: int) -> Messages:
    """The rows of a batch, of which `done` came before in the file `name`."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    positions = list(range(done + 1, done + 1 + batch.num_rows))
    return Messages(name, positions, [], table=sink.getvalue().to_pybytes())


def unread(name: str, done: int, cause: str, count: int | None = None) -> Messages:
    """Records of a file that could not be read, after the first `done` ones.

    Args:
        name: of the file.
        done: how many records came before.
        cause: why they cannot be read.
        count: how many are lost; None: all that follow.
    """
    lost = "the rest of it was" if count is None else f"the next {count:,} were"
    error = f"{name} is damaged after record {done}: {cause}; {lost} not read"
    return Messages(name, [done + 1], [b""], error=error)
