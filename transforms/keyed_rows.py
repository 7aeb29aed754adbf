"""Rows as tuples with an encoded key, which tiling and folding add to accumulators."""

from binascii import crc32
from collections.abc import Callable
from typing import Any

from chronon_beam.aggregator.avro import AvroError, encoder
from chronon_beam.aggregator.codecs import RecordCodec
from chronon_beam.aggregator.operations.table import KEPT
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.data_types import FLOATS, ListType, MapType, StructType

KeyedRow = tuple[Any, ...]
"""(key bytes, ts_ms, position, inputs...)"""

INPUTS_FROM = 3
"""Where the inputs begin in a KeyedRow."""

_CACHED_KEYS = 200_000


class ShardKeys(dict[tuple[Any, ...], tuple[bytes, int]]):
    """Key values to (key bytes, shard); a cache, since most keys come again.

    The shard is a hash of the key bytes that is the same in each process.
    """

    def __init__(self, codec: RecordCodec, shards: int) -> None:
        super().__init__()
        self._codec = codec
        self._shards = shards
        # 0.0 and -0.0 are equal in Python and different keys in Avro, so floats are not cached.
        self._caches = not any(kind in FLOATS for kind in codec.columns.values())

    def of(self, columns: list[list[Any]]) -> list[tuple[bytes, int]]:
        """The keys of rows, given as columns."""
        find = self.__getitem__ if self._caches else self._encode
        return [find(values) for values in zip(*columns, strict=True)]

    def _encode(self, values: tuple[Any, ...]) -> tuple[bytes, int]:
        encoded = self._codec.encode(values)
        return encoded, crc32(encoded) % self._shards

    def __missing__(self, values: tuple[Any, ...]) -> tuple[bytes, int]:
        if len(self) >= _CACHED_KEYS:
            self.clear()
        found = self[values] = self._encode(values)
        return found


Check = Callable[[KeyedRow], str | None]
"""Says why a row cannot be aggregated; None when it can."""


def payload_check(plan: Plan) -> Check | None:
    """A check of the values that an operation might not be able to keep or write.

    Lists, maps and structs that an operation keeps whole must fit Avro. None if the plan has no
    operation that could refuse a value.
    """
    nested = {
        part.input_column
        for part in plan.group_by.tile_parts
        if part.operation in KEPT
        and isinstance(plan.types[part.input_column], (ListType, MapType, StructType))
    }
    fits = avro_check(
        [
            (index, encoder(data_type))
            for index, (name, data_type) in enumerate(plan.inputs.items(), start=INPUTS_FROM)
            if name in nested
        ]
    )
    rows = plan.row_aggregator(offset=INPUTS_FROM)
    if not rows.may_refuse:
        return fits
    empty = rows.zero()
    return lambda row: (fits(row) if fits else None) or rows.refusal(empty, row)


def avro_check(codecs: list[tuple[int, Callable[[Any], bytes]]]) -> Check | None:
    """A check that each value can be written to Avro; `codecs` has (index in the row, encoder)."""
    if not codecs:
        return None

    def check(row: KeyedRow) -> str | None:
        for index, encode in codecs:
            if row[index] is not None:
                try:
                    encode(row[index])
                except AvroError as error:
                    return str(error)
        return None

    return check
