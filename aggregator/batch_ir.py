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
from typing import Any, NamedTuple

from chronon_beam.aggregator.avro import (
    PRESENT,
    RecordDecoder,
    encode_items,
    encode_long,
    nullable,
    reading_schema,
    record_schema,
)
from chronon_beam.aggregator.codecs import TileCodec
from chronon_beam.aggregator.columns import Column
from chronon_beam.aggregator.row import Accumulator
from chronon_beam.api.data_types import LONG, DataType, StructType, list_of, struct_of
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
        self.schema = record_schema(_record(group_by, names, hops), group_by.dialect)
        # Columns may share a name (one column and operation, twice): numbers are unique.
        numbered = [[(f"c{i}", kind) for i, (_, kind) in enumerate(part)] for part in (names, hops)]
        self._decode = RecordDecoder(reading_schema(_record(group_by, *numbered)))
        self._operations = [operation for _, operation in features]
        self._hop_from_avro = [column.operation.from_avro for column in columns]
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
        record = self._decode(payload)
        collapsed = record["collapsedIr"] or {}
        irs: list[object] = [
            None if ir is None else operation.from_avro(ir)
            for ir, operation in zip(collapsed.values(), self._operations, strict=False)
        ]
        hops = record["tailHopIrs"] or [[] for _ in HOP_SIZES_MS]
        return FinalBatchIr(
            irs or [None] * len(self._operations),
            [[self._hop(hop) for hop in of_size] for of_size in hops],
        )

    def _hop(self, record: dict[str, Any]) -> Hop:
        *irs, start_ms = record.values()
        return Hop(
            start_ms,
            [
                None if ir is None else from_avro(ir)
                for ir, from_avro in zip(irs, self._hop_from_avro, strict=True)
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


def _record(
    group_by: GroupBy, features: list[tuple[str, DataType]], hops: list[tuple[str, DataType]]
) -> StructType:
    hop = struct_of("HopIr", (*hops, ("ts", LONG)))
    return struct_of(
        f"{group_by.clean_name}_IR",
        (
            ("collapsedIr", struct_of("WindowedIr", tuple(features))),
            ("tailHopIrs", list_of(list_of(hop))),
        ),
    )


def hop_bytes(tile: bytes, start_ms: int) -> bytes:
    """The bytes of a hop, made of the bytes of a tile: both have the same fields."""
    return tile[1:-2] + PRESENT + encode_long(start_ms)
