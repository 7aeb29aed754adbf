"""FIRST, LAST and their k versions: operations that order values by the event's time.

Source: `ai.chronon.aggregator.base.TimedAggregators`. An IR entry is (epochMillis, payload).
"""

from operator import itemgetter
from typing import Any

from chronon_beam.aggregator.base import Aggregator, IrRecord, ir_record, record_from_avro
from chronon_beam.aggregator.min_heap import MinHeap
from chronon_beam.api.data_types import LONG, DataType, list_of

TimePair = tuple[int, Any]

_time = itemgetter(0)


def time_pair(payload: DataType) -> IrRecord:
    """The type of an entry with this payload."""
    return ir_record(f"TimePair_{payload.name}", ("epochMillis", LONG), ("payload", payload))


def first(input_type: DataType) -> Aggregator:
    """FIRST: of events with the same time, the one that came first."""
    return Aggregator(
        ir_type=time_pair(input_type),
        output_type=input_type,
        prepare=lambda value, ts_ms: (ts_ms, value),
        update=lambda ir, value, ts_ms: (ts_ms, value) if ir[0] > ts_ms else ir,
        merge=lambda a, b: a if a[0] <= b[0] else b,
        finalize=itemgetter(1),
        from_avro=record_from_avro,
        simple=False,
    )


def last(input_type: DataType) -> Aggregator:
    """LAST: of events with the same time, the one that came first."""
    return Aggregator(
        ir_type=time_pair(input_type),
        output_type=input_type,
        prepare=lambda value, ts_ms: (ts_ms, value),
        update=lambda ir, value, ts_ms: (ts_ms, value) if ir[0] < ts_ms else ir,
        merge=lambda a, b: a if a[0] >= b[0] else b,
        finalize=itemgetter(1),
        from_avro=record_from_avro,
        simple=False,
    )


def first_k(input_type: DataType, k: int) -> Aggregator:
    """FIRST_K: the k earliest, earliest first."""
    return _timed_k(input_type, MinHeap(k, _time, _time, largest=False))


def last_k(input_type: DataType, k: int) -> Aggregator:
    """LAST_K: the k latest, latest first."""
    return _timed_k(input_type, MinHeap(k, _time, _time, largest=True))


def _timed_k(input_type: DataType, heap: MinHeap) -> Aggregator:
    return Aggregator(
        ir_type=list_of(time_pair(input_type)),
        output_type=list_of(input_type),
        prepare=lambda value, ts_ms: [(ts_ms, value)],
        update=lambda ir, value, ts_ms: heap.insert(ir, (ts_ms, value)),
        merge=heap.merge,
        finalize=lambda ir: [payload for _, payload in heap.best_first(ir)],
        from_avro=lambda decoded: [record_from_avro(entry) for entry in decoded],
        clone=list,
        simple=False,
    )
