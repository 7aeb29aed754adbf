"""The key, the headers and the timestamp of Kafka records, as columns that a query can name."""

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
from confluent_kafka import Message

from chronon_beam.api.records import Envelope, Headers

COLUMNS = pa.schema(
    [
        ("__key", pa.binary()),
        ("__headers", pa.map_(pa.string(), pa.binary())),
        ("__kafka_timestamp", pa.int64()),
    ]
)
"""The record's key and headers as bytes, and its timestamp in milliseconds since the epoch."""


def attributes_of(records: Sequence[Message], columns: pa.Schema) -> pa.RecordBatch | None:
    """The attributes that are among `columns`, one row per record; None if `columns` names none."""
    wanted = [each for each in COLUMNS if each.name in columns.names]
    if not wanted:
        return None
    arrays = [
        pa.array([_READ[each.name](record) for record in records], each.type) for each in wanted
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(wanted))


def envelope_of(record: Message) -> Envelope:
    """What a dead letter keeps of a record: its key, its headers and its timestamp."""
    return Envelope(record.key(), headers_of(record), record.timestamp()[1])


def headers_of(record: Message) -> Headers:
    """All headers of a record, in their order."""
    found: Any = record.headers()  # pairs, although the type of the method allows other things
    return found or ()


def _headers(record: Message) -> list[tuple[str, bytes | None]]:
    """The headers; the last of several with one name, since Spark's maps hold a key once."""
    return list(dict(headers_of(record)).items())


def _timestamp(record: Message) -> int | None:
    time_ms = record.timestamp()[1]
    return time_ms if time_ms >= 0 else None


_READ: dict[str, Callable[[Message], Any]] = {
    "__key": lambda record: record.key(),
    "__headers": _headers,
    "__kafka_timestamp": _timestamp,
}
