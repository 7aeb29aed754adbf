"""FIRST, LAST and their k versions: operations that order values by the event's time.

Source: `ai.chronon.aggregator.base.TimedAggregators`. An entry of an IR is (epochMillis, payload,
the bytes of both): of the k entries in a tile an event changes one, so only that is encoded.
"""

from collections.abc import Callable
from operator import itemgetter
from typing import Any

from chronon_beam.aggregator.avro import (
    IrRecord,
    encode_each,
    encode_time_pair_head,
    encoder,
    ir_record,
)
from chronon_beam.aggregator.expressions import Given, expression
from chronon_beam.aggregator.operations.base import Aggregator, record_from_avro
from chronon_beam.aggregator.operations.min_heap import MinHeap
from chronon_beam.api.data_types import LONG, DataType, list_of

Entry = tuple[int, Any, bytes]

_time = itemgetter(0)
_payload = itemgetter(1)


def time_pair(payload: DataType) -> IrRecord:
    """The type of an entry with this payload."""
    return ir_record(f"TimePair_{payload.name}", ("epochMillis", LONG), ("payload", payload))


_ENTRY = "(ts_ms, value, head + encoded)"


def _entry(input_type: DataType, parameters: str, text: str, **names: Any) -> Callable[..., Any]:
    """The function `text` of an input, where `ENTRY` stands for the input's entry."""
    return expression(
        parameters,
        text.replace("ENTRY", _ENTRY),
        head=Given(encode_time_pair_head, "ts_ms"),
        encoded=Given(encoder(input_type), "value"),
        **names,
    )


def first(input_type: DataType) -> Aggregator:
    """FIRST: of events with the same time, the one that came first."""
    return _one(input_type, "ENTRY if ts_ms < ir[0] else ir", lambda a, b: a if a[0] <= b[0] else b)


def last(input_type: DataType) -> Aggregator:
    """LAST: of events with the same time, the one that came first."""
    return _one(input_type, "ENTRY if ts_ms > ir[0] else ir", lambda a, b: a if a[0] >= b[0] else b)


def _one(input_type: DataType, update: str, merge: Callable[[Entry, Entry], Entry]) -> Aggregator:
    entry = _entry(input_type, "value, ts_ms", "ENTRY")
    return Aggregator(
        ir_type=time_pair(input_type),
        output_type=input_type,
        prepare=entry,
        update=_entry(input_type, "ir, value, ts_ms", update),
        merge=merge,
        encode=expression("ir", "ir[2]"),
        finalize=_payload,
        from_avro=lambda decoded: _decoded(entry, decoded),
    )


def _decoded(entry: Callable[[Any, int], Entry], decoded: dict[str, Any]) -> Entry:
    ts_ms, value = record_from_avro(decoded)
    return entry(value, ts_ms)


def first_k(input_type: DataType, k: int) -> Aggregator:
    """FIRST_K: the k earliest, earliest first."""
    return _several(input_type, MinHeap(k, _time, _time, largest=False))


def last_k(input_type: DataType, k: int) -> Aggregator:
    """LAST_K: the k latest, latest first."""
    return _several(input_type, MinHeap(k, _time, _time, largest=True))


def _several(input_type: DataType, heap: MinHeap) -> Aggregator:
    entry = _entry(input_type, "value, ts_ms", "ENTRY")
    return Aggregator(
        ir_type=list_of(time_pair(input_type)),
        output_type=list_of(input_type),
        prepare=_entry(input_type, "value, ts_ms", "[ENTRY]"),
        update=_entry(input_type, "ir, value, ts_ms", "insert(ir, ENTRY)", insert=heap.insert),
        merge=heap.merge,
        encode=encode_each("[entry[2] for entry in ir]"),
        finalize=lambda ir: [kept[1] for kept in heap.best_first(ir)],
        from_avro=lambda decoded: [_decoded(entry, pair) for pair in decoded],
        clone=list,
    )
