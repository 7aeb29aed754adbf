"""Counts, sums, extremes, the k largest, distinct values: operations that do not look at time.

Source: `ai.chronon.aggregator.base.SimpleAggregators`.
"""

import struct
from typing import Any

from chronon_beam.aggregator.base import Aggregator
from chronon_beam.aggregator.min_heap import MinHeap
from chronon_beam.aggregator.ordering import larger, smaller, sort_key, utf16, wrapping_add
from chronon_beam.api.data_types import (
    DOUBLE,
    FLOATS,
    INT,
    LONG,
    STRING,
    DataType,
    list_of,
    map_of,
)

_DOUBLE_BITS = struct.Struct("<d").pack


def count() -> Aggregator:
    """COUNT of values that are not null."""
    return Aggregator(
        ir_type=LONG,
        output_type=LONG,
        prepare=lambda value, ts_ms: 1,
        update=lambda ir, value, ts_ms: ir + 1,
        merge=lambda a, b: a + b,
    )


def sum_of(input_type: DataType) -> Aggregator:
    """SUM: of integers and booleans a long that wraps, of floats a double."""
    if input_type in FLOATS:
        return Aggregator(
            ir_type=DOUBLE,
            output_type=DOUBLE,
            prepare=lambda value, ts_ms: value,
            update=lambda ir, value, ts_ms: ir + value,
            merge=lambda a, b: a + b,
        )
    return Aggregator(
        ir_type=LONG,
        output_type=LONG,
        prepare=lambda value, ts_ms: int(value),
        update=lambda ir, value, ts_ms: wrapping_add(ir, value),
        merge=wrapping_add,
    )


def extreme(input_type: DataType, largest: bool) -> Aggregator:
    """MAX, or MIN."""
    better = larger(input_type) if largest else smaller(input_type)
    return Aggregator(
        ir_type=input_type,
        output_type=input_type,
        prepare=lambda value, ts_ms: value,
        update=lambda ir, value, ts_ms: better(ir, value),
        merge=better,
    )


def best_k(input_type: DataType, k: int, largest: bool) -> Aggregator:
    """TOP_K, or BOTTOM_K; the IR is Chronon's heap."""
    rank = utf16 if input_type == STRING else _identity
    heap = MinHeap(k, rank, sort_key(input_type) or _identity, largest)
    return Aggregator(
        ir_type=list_of(input_type),
        output_type=list_of(input_type),
        prepare=lambda value, ts_ms: [value],
        update=lambda ir, value, ts_ms: heap.insert(ir, value),
        merge=heap.merge,
        finalize=heap.best_first,
        clone=list,
    )


def _identity(value: Any) -> Any:
    return value


def unique_count(input_type: DataType) -> Aggregator:
    """UNIQUE_COUNT; the IR is a dict of the distinct values in order of arrival.

    Doubles are told apart by their bits, as `Double.equals` does: NaN is one value, -0.0 is not
    0.0. Bytes are compared by content (Chronon compares Java arrays by identity, and so counts
    every one; that is not copied).
    """
    identity = _DOUBLE_BITS if input_type in FLOATS else _identity

    def update(ir: dict[Any, Any], value: Any, ts_ms: int) -> dict[Any, Any]:
        ir.setdefault(identity(value), value)
        return ir

    def merge(a: dict[Any, Any], b: dict[Any, Any]) -> dict[Any, Any]:
        for key, value in b.items():
            a.setdefault(key, value)
        return a

    return Aggregator(
        ir_type=list_of(input_type),
        output_type=LONG,
        prepare=lambda value, ts_ms: {identity(value): value},
        update=update,
        merge=merge,
        finalize=len,
        to_avro=lambda ir: list(ir.values()),
        from_avro=lambda decoded: {identity(value): value for value in decoded},
        clone=dict,
    )


def histogram(k: int) -> Aggregator:
    """HISTOGRAM of strings; the k most frequent at the end, all of them for k = 0."""

    def update(ir: dict[str, int], value: str, ts_ms: int) -> dict[str, int]:
        ir[value] = ir.get(value, 0) + 1
        return ir

    def merge(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
        for value, times in b.items():
            a[value] = a.get(value, 0) + times
        return a

    def finalize(ir: dict[str, int]) -> dict[str, int]:
        if not 0 < k < len(ir):
            return ir
        # Of equally frequent values Chronon keeps those that its Java map has first.
        frequent = sorted(ir.items(), key=lambda item: (-item[1], utf16(item[0])))
        return dict(frequent[:k])

    return Aggregator(
        ir_type=map_of(INT),
        output_type=map_of(INT),
        prepare=lambda value, ts_ms: {value: 1},
        update=update,
        merge=merge,
        finalize=finalize,
        clone=dict,
    )
