"""The most frequent values: exact while there are few, then sketches of frequent items.

Source: `FrequentItems` and `ApproxHistogram` in `ai.chronon.aggregator.base.SimpleAggregators`.
"""

import math
from typing import Any

from chronon_beam.aggregator.avro import encoder, opaque
from chronon_beam.aggregator.jvm.hashing import STRING_PLACES, HashOrdered, Places, table_of_copy
from chronon_beam.aggregator.jvm.items_sketch import DOUBLES, LONGS, STRINGS, ItemKind, ItemsSketch
from chronon_beam.aggregator.jvm.object_stream import Histogram, read_histogram, write_histogram
from chronon_beam.aggregator.jvm.scala_order import scala_ordered
from chronon_beam.aggregator.operations.base import Aggregator
from chronon_beam.aggregator.operations.spec import ORDERED, K, OperationSpec
from chronon_beam.api.data_types import BINARY, FLOATS, LONG, STRING, DataType, map_of
from chronon_beam.api.dialect import Operation

ItemCounts = HashOrdered[Any, int]
ApproxHistogramIr = ItemCounts | ItemsSketch

_encode_bytes = encoder(BINARY)


def _kind_of(input_type: DataType) -> ItemKind:
    if input_type == STRING:
        return STRINGS
    return DOUBLES if input_type in FLOATS else LONGS


def _sketch_bytes(sketch: ItemsSketch, *, before: bool = False) -> bytes:
    return bytes((sketch.kind.type_id,)) + sketch.serialize(before=before)


def _read_sketch(payload: bytes, kind: ItemKind, lg_max: int) -> ItemsSketch:
    if payload[:1] != bytes((kind.type_id,)):
        raise ValueError(f"items of type {payload[:1].hex()}, expected {kind.type_id:02x}")
    return ItemsSketch.deserialize(payload[1:], kind, lg_max)


def frequent_items(input_type: DataType, k: int, no_false_positives: bool) -> Aggregator:
    """APPROX_FREQUENT_K, or APPROX_HEAVY_HITTERS_K (no false positives); zipline's.

    The table is large enough to keep k items after a purge: a table is purged when 3/4 of its
    places are taken, and a purge keeps half of the items.
    """
    kind = _kind_of(input_type)
    lg_max = (math.ceil(k / (0.75 * 0.5)) - 1).bit_length()
    item = kind.item

    def update(ir: ItemsSketch, value: Any, ts_ms: int) -> ItemsSketch:
        ir.update(item(value))
        return ir

    def merge(a: ItemsSketch, b: ItemsSketch) -> ItemsSketch:
        a.merge(b)
        return a

    return Aggregator(
        ir_type=BINARY,
        output_type=map_of(LONG),
        prepare=lambda value, ts_ms: update(ItemsSketch(kind, lg_max), value, ts_ms),
        update=update,
        merge=merge,
        encode=lambda ir: _encode_bytes(_sketch_bytes(ir)),
        finalize=lambda ir: ir.frequent(k, no_false_positives),
        from_avro=opaque(lambda payload: _read_sketch(payload, kind, lg_max)),
        clone=ItemsSketch.copy,
        round_trip=ItemsSketch.copy,
    )


class _ApproxHistogram:
    """APPROX_HISTOGRAM_K: the count of each value for up to k values, beyond k a sketch."""

    def __init__(self, kind: ItemKind, k: int) -> None:
        self.kind = kind
        self.k = k
        self._lg_max = (k - 1).bit_length()
        self._places: Places[Any] = STRING_PLACES if kind is STRINGS else Places(kind.hash)

    def prepare(self, value: Any, ts_ms: int) -> ItemCounts:
        return HashOrdered({self.kind.item(value): 1})

    def update(self, ir: ApproxHistogramIr, value: Any, ts_ms: int) -> ApproxHistogramIr:
        item = self.kind.item(value)
        if isinstance(ir, ItemsSketch):
            ir.update(item)
            return ir
        ir[item] = ir.get(item, 0) + 1
        return self._bounded(ir)

    def _bounded(self, counts: ItemCounts) -> ApproxHistogramIr:
        return counts if len(counts) <= self.k else self._added(self._empty(), counts)

    def _empty(self) -> ItemsSketch:
        return ItemsSketch(self.kind, self._lg_max)

    def _copied(self, counts: ItemCounts) -> list[Any]:
        """The items in the order in which Chronon gets them from a Scala copy of its map."""
        return scala_ordered(counts.in_order(self._places), self.kind.scala_hash)

    def _added(self, sketch: ItemsSketch, counts: ItemCounts) -> ItemsSketch:
        for item in self._copied(counts):
            sketch.update(item, counts[item])
        return sketch

    def merge(self, a: ApproxHistogramIr, b: ApproxHistogramIr) -> ApproxHistogramIr:
        if isinstance(a, ItemsSketch):
            if isinstance(b, ItemsSketch):
                a.merge(b)
                return a
            return self._added(a, b)
        if isinstance(b, ItemsSketch):
            return self._added(b.copy(), a)
        total: ItemCounts = HashOrdered()
        for counts in (a, b):
            for item in self._copied(counts):
                total[item] = total.get(item, 0) + counts[item]
        return self._bounded(total)

    def finalize(self, ir: ApproxHistogramIr) -> dict[str, int]:
        if isinstance(ir, ItemsSketch):
            return ir.frequent(self.k, no_false_positives=True)
        return {self.kind.text(item): count for item, count in ir.items()}

    def encode(self, ir: ApproxHistogramIr) -> bytes:
        if isinstance(ir, ItemsSketch):
            made = Histogram(None, sketch=_sketch_bytes(ir, before=True))
        else:
            native = self.kind.native
            entries = tuple((native(item), ir[item]) for item in ir.in_order(self._places))
            made = Histogram(entries, ir.capacity)
        return _encode_bytes(write_histogram(made))

    def decode(self, payload: bytes) -> ApproxHistogramIr:
        made = read_histogram(payload)
        if made.entries is None:
            return _read_sketch(made.sketch, self.kind, self._lg_max)
        entries = {self.kind.item(value): count for value, count in made.entries}
        return HashOrdered(entries, made.capacity)

    def round_trip(self, ir: ApproxHistogramIr) -> ApproxHistogramIr:
        return ir.copy() if isinstance(ir, ItemsSketch) else ir

    def clone(self, ir: ApproxHistogramIr) -> ApproxHistogramIr:
        return ir.copy() if isinstance(ir, ItemsSketch) else HashOrdered(ir, table_of_copy(len(ir)))


def approx_histogram(input_type: DataType, k: int) -> Aggregator:
    """APPROX_HISTOGRAM_K, airbnb's; the IR is the Java object that Chronon writes."""
    made = _ApproxHistogram(_kind_of(input_type), k)
    return Aggregator(
        ir_type=BINARY,
        output_type=map_of(LONG),
        prepare=made.prepare,
        update=made.update,
        merge=made.merge,
        encode=made.encode,
        finalize=made.finalize,
        from_avro=opaque(made.decode),
        clone=made.clone,
        round_trip=made.round_trip,
    )


OPERATIONS = {
    Operation.APPROX_HISTOGRAM_K: OperationSpec(
        lambda request: approx_histogram(request.input_type, request.k),
        "how often the k most frequent values came",
        "exact for up to k distinct values, then a sketch of frequent items",
        inputs=ORDERED,
        k=K(8),
    ),
    Operation.APPROX_FREQUENT_K: OperationSpec(
        lambda request: frequent_items(request.input_type, request.k, no_false_positives=False),
        "how often the k most frequent values came; some may be there by chance",
        "sketch of frequent items; counts are upper bounds",
        inputs=ORDERED,
        k=K(8, 0),
    ),
    Operation.APPROX_HEAVY_HITTERS_K: OperationSpec(
        lambda request: frequent_items(request.input_type, request.k, no_false_positives=True),
        "how often the k most frequent values came, only those that surely are",
        "sketch of frequent items; counts are upper bounds",
        inputs=ORDERED,
        k=K(8, 0),
    ),
}
