"""FIRST, LAST and their k versions: operations that order values by the event's time.

Source: `ai.chronon.aggregator.base.TimedAggregators`. An IR holds one time pair or k of them, each
with its Avro bytes: an event changes one of the k pairs in a tile, so only that pair is encoded.
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
from chronon_beam.aggregator.expressions import SharedValue, expression
from chronon_beam.aggregator.operations.base import Aggregator, same
from chronon_beam.aggregator.operations.min_heap import MinHeap
from chronon_beam.aggregator.operations.spec import K, OperationSpec
from chronon_beam.api.data_types import LONG, DataType, list_of
from chronon_beam.api.dialect import Operation

TimePair = tuple[int, Any, bytes]
"""(ts_ms, value, Avro bytes of both)."""

_time = itemgetter(0)
_payload = itemgetter(1)


def time_pair(payload: DataType) -> IrRecord:
    """The Avro type of a time pair with this payload."""
    fields = ("epochMillis", LONG), ("payload", payload)
    return ir_record(f"TimePair_{payload.name}", *fields, keeps_bytes=True)


_PAIR = "(ts_ms, value, head + encoded)"


def _pair_expression(
    input_type: DataType, parameters: str, text: str, **names: Any
) -> Callable[..., Any]:
    """The function with this text, where `PAIR` stands for the time pair of the input."""
    return expression(
        parameters,
        text.replace("PAIR", _PAIR),
        head=SharedValue(encode_time_pair_head, "ts_ms"),
        encoded=SharedValue(encoder(input_type), "value"),
        **names,
    )


def first(input_type: DataType) -> Aggregator:
    """FIRST: of events with the same time, the one that came first."""
    return _one(input_type, "PAIR if ts_ms < ir[0] else ir", min)


def last(input_type: DataType) -> Aggregator:
    """LAST: of events with the same time, the one that came first."""
    return _one(input_type, "PAIR if ts_ms > ir[0] else ir", max)


def _one(input_type: DataType, update: str, choose: Callable[..., TimePair]) -> Aggregator:
    """The operation that keeps one pair; of equal times, `min` and `max` choose the first pair."""
    return Aggregator(
        ir_type=time_pair(input_type),
        output_type=input_type,
        prepare=_pair_expression(input_type, "value, ts_ms", "PAIR"),
        update=_pair_expression(input_type, "ir, value, ts_ms", update),
        merge=lambda a, b: choose(a, b, key=_time),
        merge_all=lambda a, irs: choose([a, *irs], key=_time),
        fork=same,
        encode=expression("ir", "ir[2]"),
        finalize=_payload,
    )


def first_k(input_type: DataType, k: int) -> Aggregator:
    """FIRST_K: the k earliest, earliest first."""
    return _several(input_type, MinHeap(k, _time, _time, largest=False))


def last_k(input_type: DataType, k: int) -> Aggregator:
    """LAST_K: the k latest, latest first."""
    return _several(input_type, MinHeap(k, _time, _time, largest=True))


def _several(input_type: DataType, heap: MinHeap) -> Aggregator:
    return Aggregator(
        ir_type=list_of(time_pair(input_type)),
        output_type=list_of(input_type),
        prepare=_pair_expression(input_type, "value, ts_ms", "[PAIR]"),
        update=_pair_expression(
            input_type, "ir, value, ts_ms", "insert(ir, PAIR)", insert=heap.insert
        ),
        merge=heap.merge,
        encode=encode_each("[pair[2] for pair in ir]"),
        finalize=lambda ir: [kept[1] for kept in heap.best_first(ir)],
        clone=list,
        fork=list,
    )


OPERATIONS = {
    Operation.FIRST: OperationSpec(
        lambda request: first(request.input_type),
        "earliest value; of one time the one that came first",
        timed=True,
    ),
    Operation.LAST: OperationSpec(
        lambda request: last(request.input_type),
        "latest value; of one time the one that came first",
        timed=True,
    ),
    Operation.FIRST_K: OperationSpec(
        lambda request: first_k(request.input_type, request.k),
        "the k earliest values, earliest first",
        k=K(),
        timed=True,
    ),
    Operation.LAST_K: OperationSpec(
        lambda request: last_k(request.input_type, request.k),
        "the k latest values, latest first",
        k=K(),
        timed=True,
    ),
}
