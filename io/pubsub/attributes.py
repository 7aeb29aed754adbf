"""What Pub/Sub knows of a message beside its data: columns for queries, and its position."""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from chronon_beam.api.records import Envelope

COLUMNS = pa.schema(
    [
        ("__attributes", pa.map_(pa.string(), pa.string())),
        ("__message_id", pa.string()),
        ("__ordering_key", pa.string()),
        ("__publish_time", pa.int64()),
    ]
)
"""`__publish_time` is in milliseconds since the epoch."""

_BITS = 63


def attributes_of(messages: Sequence[Any], columns: pa.Schema) -> pa.RecordBatch | None:
    """The attributes of Google's PubsubMessages that are among `columns`, one row per message.

    None if there is no such column.
    """
    wanted = [each for each in COLUMNS if each.name in columns.names]
    if not wanted:
        return None
    arrays = [
        pa.array([_READ[each.name](message) for message in messages], each.type) for each in wanted
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(wanted))


def envelope_of(message: Any) -> Envelope:
    """What a dead letter keeps of a PubsubMessage: its ordering key, its attributes, its time."""
    return Envelope(
        message.ordering_key.encode() or None,
        [(name, value.encode()) for name, value in message.attributes.items()],
        publish_time_ms(message),
    )


def publish_time_ms(message: Any) -> int:
    """When the server took the message from its publisher."""
    time = message.publish_time
    return time.seconds * 1000 + time.nanos // 1_000_000


def position_of(message_id: str) -> int:
    """An int that stands for a message: its id, where that is a number, as the server makes them.

    >>> position_of("2070443601311540")
    2070443601311540
    """
    if message_id.isdecimal() and message_id.isascii():
        number = int(message_id)
        if number < 1 << _BITS and str(number) == message_id:
            return number
    digest = blake2b(message_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> (64 - _BITS)


_READ: dict[str, Callable[[Any], Any]] = {
    "__attributes": lambda message: list(message.attributes.items()),
    "__message_id": lambda message: message.message_id,
    "__ordering_key": lambda message: message.ordering_key or None,
    "__publish_time": publish_time_ms,
}
