"""FIRST, LAST and their k versions: operations that order values by the event's time.

Source: `ai.chronon.aggregator.base.TimedAggregators`. An entry of an IR is (epochMillis, payload,
the bytes of both): of the k entries in a tile an event changes one, so only that is encoded.
"""

from collections.abc import Callable
from operator import itemgetter
from typing import Any

from chronon_beam.aggregator.avro import PRESENT, encode_items, encode_time, encoder
from chronon_beam.aggregator.base import Aggregator, IrRecord, ir_record, record_from_avro
from chronon_beam.aggregator.min_heap import MinHeap
from chronon_beam.api.data_types import LONG, DataType, list_of

Entry = tuple[int, Any, bytes]

_time = itemgetter(0)
_payload = itemgetter(1)
_bytes = itemgetter(2)


def time_pair(payload: DataType) -> IrRecord:
    """The type of an entry with this payload."""
    return ir_record(f"TimePair_{payload.name}", ("epochMillis", LONG), ("payload", payload))


def _entries(input_type: DataType) -> Callable[[Any, int], Entry]:
    encode = encoder(input_type)

    def entry(value: Any, ts_ms: int) -> Entry:
        return ts_ms, value, PRESENT + encode_time(ts_ms) + PRESENT + encode(value)

    return entry


def first(input_type: DataType) -> Aggregator:
    """FIRST: of events with the same time, the one that came first."""
    entry = _entries(input_type)
    return _one(
        input_type,
        lambda ir, value, ts_ms: entry(value, ts_ms) if ir[0] > ts_ms else ir,
        lambda a, b: a if a[0] <= b[0] else b,
    )


def last(input_type: DataType) -> Aggregator:
    """LAST: of events with the same time, the one that came first."""
    entry = _entries(input_type)
    return _one(
        input_type,
        lambda ir, value, ts_ms: entry(value, ts_ms) if ir[0] < ts_ms else ir,
        lambda a, b: a if a[0] >= b[0] else b,
    )


def _one(
    input_type: DataType,
    update: Callable[[Entry, Any, int], Entry],
    merge: Callable[[Entry, Entry], Entry],
) -> Aggregator:
    entry = _entries(input_type)
    return Aggregator(
        ir_type=time_pair(input_type),
        output_type=input_type,
        prepare=entry,
        update=update,
        merge=merge,
        encode=_bytes,
        finalize=_payload,
        from_avro=lambda decoded: _decoded(entry, decoded),
        simple=False,
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
    entry = _entries(input_type)
    return Aggregator(
        ir_type=list_of(time_pair(input_type)),
        output_type=list_of(input_type),
        prepare=lambda value, ts_ms: [entry(value, ts_ms)],
        update=lambda ir, value, ts_ms: heap.insert(ir, entry(value, ts_ms)),
        merge=heap.merge,
        encode=lambda ir: encode_items([kept[2] for kept in ir]),
        finalize=lambda ir: [kept[1] for kept in heap.best_first(ir)],
        from_avro=lambda decoded: [_decoded(entry, pair) for pair in decoded],
        clone=list,
        simple=False,
    )
