"""Zipline's TileKey: the key under which its stores find a tile, in Thrift's compact protocol.

Source: `fetcher.thrift` of zipline-ai/chronon (1 dataset, 2 keyBytes as list of bytes,
3 tileSizeMillis, 4 tileStartTimestampMillis) and the Thrift compact protocol specification.
"""

from chronon_beam.aggregator.avro import encode_long

_STRING, _LIST, _I64, _I8 = 8, 9, 6, 3
_STOP = b"\x00"


def _next_field(kind: int) -> bytes:
    """Header of the field whose id is one above the previous field's."""
    return bytes(((1 << 4) | kind,))


def _unsigned(number: int) -> bytes:
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def tile_key(dataset: str, key_bytes: bytes, size_ms: int, start_ms: int | None) -> bytes:
    """The TileKey of one tile; without `start_ms`, as a get asks for it."""
    name = dataset.encode()
    # Lists of up to 14 elements carry their size in the header, longer ones after it.
    short = len(key_bytes) < 15
    size = bytes((len(key_bytes) << 4 | _I8,)) if short else bytes((0xF0 | _I8,))
    return b"".join(
        (
            _next_field(_STRING) + _unsigned(len(name)) + name,
            _next_field(_LIST) + size + (b"" if short else _unsigned(len(key_bytes))) + key_bytes,
            _next_field(_I64) + encode_long(size_ms),
            b"" if start_ms is None else _next_field(_I64) + encode_long(start_ms),
            _STOP,
        )
    )
