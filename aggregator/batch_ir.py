"""Batch values: Chronon's FinalBatchIr with its hops, and the bytes of both.

Source: `SawtoothMutationAggregator` and `SawtoothOnlineAggregator` in
`ai.chronon.aggregator.windowing`, `GroupByServingInfoParsed.irChrononSchema`.

For a batch that ends at E a window w is stored in two parts, so that its tail can still move:

    E - w        E - w + 2 d                             E
    |--|--|--|--|-------------------------------------|
     tail hops    collapsed: one IR

A hop is one piece of a window's tail: its start, and one IR per column. A query merges the
collapsed IR, the tiles or rows since E, and the tail hops that the window still covers at its time.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from chronon_beam.aggregator.avro import (
    PRESENT,
    encode_items,
    encode_long,
    nullable,
    record_schema,
)
from chronon_beam.aggregator.avro_reader import AvroRecordReader
from chronon_beam.aggregator.codecs import TileCodec, irs_of
from chronon_beam.aggregator.columns import Column
from chronon_beam.aggregator.row import Accumulator
from chronon_beam.api.data_types import LONG, StructType, list_of, struct_of
from chronon_beam.api.dialect import DAY_MS, FIVE_MINUTES_MS, HOUR_MS
from chronon_beam.api.group_by import GroupBy

TAIL_BUFFER_MS = 2 * DAY_MS
"""How long after its end a batch can still give exact windows (Chronon's tailBufferMillis)."""

HOP_SIZES_MS = (DAY_MS, HOUR_MS, FIVE_MINUTES_MS)
"""Chronon's order: the tail hops are stored as one list per size, the largest size first."""


class Hop(NamedTuple):
    """One hop of a window's tail: its start, and the accumulator of its rows."""

    start_ms: int
    accumulator: Accumulator


class FinalBatchIr(NamedTuple):
    """The batch values of one key.

    Attributes:
        collapsed: one IR per feature; None for a feature that has seen no value.
        tail_hops: the hops of each size of `HOP_SIZES_MS`, in order of time.
    """

    collapsed: list[object]
    tail_hops: list[list[Hop]]


class BatchIrCodec:
    """FinalBatchIrs to Chronon's bytes and back.

    Attributes:
        schema: the record's Avro schema: collapsedIr, a record with one field per feature, and
            tailHopIrs, lists of hops.
    """

    def __init__(self, group_by: GroupBy, columns: Sequence[Column], tiles: TileCodec) -> None:
        features = [(f.name, columns[f.tile_index].operation) for f in group_by.features]
        names = [(name, operation.ir_type) for name, operation in features]
        hops = [
            (name, column.operation.ir_type)
            for name, column in zip(_hop_names(group_by, columns), columns, strict=True)
        ]
        record = _record(
            group_by,
            struct_of("WindowedIr", tuple(names)),
            struct_of("HopIr", (*hops, ("ts", LONG))),
        )
        self.schema = record_schema(record, group_by.dialect)
        self._operations = [operation for _, operation in features]
        of_features = irs_of("WindowedIr", [columns[f.tile_index] for f in group_by.features])
        self._read = AvroRecordReader(
            _record(group_by, of_features, irs_of("HopIr", columns, ("ts", LONG)))
        )
        self._tiles = tiles

    def encode(self, batch_ir: FinalBatchIr) -> bytes:
        """The bytes of a batch IR."""
        hops = [
            [hop_bytes(self._tiles.encode(hop.accumulator), hop.start_ms) for hop in of_size]
            for of_size in batch_ir.tail_hops
        ]
        return self.encode_with(batch_ir.collapsed, hops)

    def encode_with(self, collapsed: Sequence[object], hops: Sequence[Sequence[bytes]]) -> bytes:
        """As `encode`, of hops that `hop_bytes` has encoded."""
        fields = [nullable(o.encode, ir) for o, ir in zip(self._operations, collapsed, strict=True)]
        lists = encode_items([encode_items(of_size) for of_size in hops])
        return b"".join((PRESENT, *fields, PRESENT, lists))

    def decode(self, payload: bytes) -> FinalBatchIr:
        """The batch IR in `payload`; raises AvroError on other bytes."""
        collapsed, hops = self._read(payload)
        return FinalBatchIr(
            list(collapsed or [None] * len(self._operations)),
            [
                [Hop(start_ms, irs) for *irs, start_ms in of_size]
                for of_size in hops or [[] for _ in HOP_SIZES_MS]
            ],
        )


def _hop_names(group_by: GroupBy, columns: Sequence[Column]) -> list[str]:
    """One name per column; where the schema does not number repeated names, this does."""
    names = [column.part.column for column in columns]
    if group_by.dialect.numbers_names:
        return names
    seen = Counter[str]()
    numbered = []
    for name in names:
        numbered.append(f"{name}_{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return numbered


def _record(group_by: GroupBy, collapsed: StructType, hop: StructType) -> StructType:
    fields = ("collapsedIr", collapsed), ("tailHopIrs", list_of(list_of(hop)))
    return struct_of(f"{group_by.clean_name}_IR", fields)


def hop_bytes(tile: bytes, start_ms: int) -> bytes:
    """The bytes of a hop, made of the bytes of a tile: both have the same fields."""
    return tile[1:-2] + PRESENT + encode_long(start_ms)
