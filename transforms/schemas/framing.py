"""Reads framings: the bytes in front of a message that name the schema it has.

    confluent  0x00 | schema id, 4 bytes, big endian | Protobuf: message indexes | the message
    apicurio   0x00 | global id, 8 bytes, big endian | the message

Source: `SchemaRegistrySerDe` and `ApicurioSchemaSerDe` of `ai.chronon.flink.deser`, and the wire
format of Confluent's Schema Registry.
"""

import struct
from typing import NamedTuple

FRAMES = {"confluent": struct.Struct(">bI"), "apicurio": struct.Struct(">bq")}
"""The frames by name, without message indexes."""

_MAX_INDEXES = 64


class Framed(NamedTuple):
    """A message without its frame.

    Attributes:
        schema_id: the id of the writer's schema in the registry.
        body: the message.
    """

    schema_id: int
    body: bytes


def unframe(payload: bytes, framing: str = "confluent") -> Framed:
    """The schema id of a payload, and the message after its frame.

    Args:
        payload: the frame and the message.
        framing: one of `FRAMES`.

    >>> unframe(bytes([0, 0, 0, 0, 7]) + b"rest")
    Framed(schema_id=7, body=b'rest')

    Raises:
        ValueError: the payload does not begin as framed messages do.
    """
    frame = FRAMES[framing]
    if len(payload) < frame.size or payload[0] != 0:
        raise ValueError(
            f"not in {framing.capitalize()}'s framing (a zero byte and a schema id of "
            f"{frame.size - 1} bytes); for messages without it give framing=none"
        )
    _, schema_id = frame.unpack_from(payload)
    return Framed(schema_id, payload[frame.size :])


def split_indexes(body: bytes) -> tuple[tuple[int, ...], bytes]:
    """The message indexes of a Protobuf frame, and the message after them.

    The indexes name a message of the schema: (1, 0) is the first message inside of the second one.
    A single byte 0 stands for (0,).

    >>> split_indexes(bytes([0]) + b"rest")
    ((0,), b'rest')
    >>> split_indexes(bytes([4, 2, 0]) + b"rest")
    ((1, 0), b'rest')

    Raises:
        ValueError: the bytes are not message indexes.
    """
    count, at = _zigzag(body, 0)
    if count == 0:
        return (0,), body[at:]
    if not 0 < count <= _MAX_INDEXES:
        raise ValueError(f"{count} message indexes in front of the message: it is damaged")
    indexes = []
    for _ in range(count):
        index, at = _zigzag(body, at)
        indexes.append(index)
    return tuple(indexes), body[at:]


def _zigzag(body: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer, and where the next one begins."""
    value = shift = 0
    while True:
        if at >= len(body) or shift > 63:
            raise ValueError("message indexes are cut short: the message is damaged")
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
