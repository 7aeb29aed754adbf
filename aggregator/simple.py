"""Counts, sums, extremes, the k largest, distinct values: operations that do not look at time.

Source: `ai.chronon.aggregator.base.SimpleAggregators`.
"""

import struct
from typing import Any

from chronon_beam.aggregator.avro import encode_items, encode_long, encode_string, encoder
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
        encode=encode_long,
        delete=lambda ir, value, ts_ms: ir - 1,
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
            encode=encoder(DOUBLE),
            delete=lambda ir, value, ts_ms: ir - value,
        )
    return Aggregator(
        ir_type=LONG,
        output_type=LONG,
        prepare=lambda value, ts_ms: int(value),
        update=lambda ir, value, ts_ms: wrapping_add(ir, value),
        merge=wrapping_add,
        encode=encode_long,
        delete=lambda ir, value, ts_ms: wrapping_add(ir, -value),
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
        encode=encoder(input_type),
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
        encode=encoder(list_of(input_type)),
        finalize=heap.best_first,
        clone=list,
    )


def _identity(value: Any) -> Any:
    return value


def unique_count(input_type: DataType) -> Aggregator:
    """UNIQUE_COUNT; the IR is a dict from each distinct value to its bytes, in order of arrival.

    Doubles are told apart by their bits, as `Double.equals` does: NaN is one value, -0.0 is not
    0.0. Bytes are compared by content (Chronon compares Java arrays by identity, and so counts
    every one; that is not copied).
    """
    identity = _DOUBLE_BITS if input_type in FLOATS else _identity
    encode = encoder(input_type)

    def update(ir: dict[Any, bytes], value: Any, ts_ms: int) -> dict[Any, bytes]:
        key = identity(value)
        if key not in ir:
            ir[key] = encode(value)
        return ir

    def merge(a: dict[Any, bytes], b: dict[Any, bytes]) -> dict[Any, bytes]:
        for key, encoded in b.items():
            a.setdefault(key, encoded)
        return a

    return Aggregator(
        ir_type=list_of(input_type),
        output_type=LONG,
        prepare=lambda value, ts_ms: {identity(value): encode(value)},
        update=update,
        merge=merge,
        encode=lambda ir: encode_items(ir.values()),
        finalize=len,
        from_avro=lambda decoded: {identity(value): encode(value) for value in decoded},
        clone=dict,
    )


Counted = tuple[int, bytes]
"""How often a value came, and the bytes of value and count."""


def _counted(value: str, times: int) -> Counted:
    return times, encode_string(value) + encode_long(times)


def histogram(k: int) -> Aggregator:
    """HISTOGRAM of strings; the k most frequent at the end, all of them for k = 0."""

    def add(ir: dict[str, Counted], value: str, times: int) -> dict[str, Counted]:
        known = ir.get(value)
        total = times if known is None else known[0] + times
        # After deletes a count can be negative, and come back to nothing.
        if total:
            ir[value] = _counted(value, total)
        else:
            ir.pop(value, None)
        return ir

    def merge(a: dict[str, Counted], b: dict[str, Counted]) -> dict[str, Counted]:
        for value, counted in b.items():
            add(a, value, counted[0])
        return a

    def finalize(ir: dict[str, Counted]) -> dict[str, int]:
        times = {value: counted[0] for value, counted in ir.items()}
        if not 0 < k < len(times):
            return times
        # Of equally frequent values Chronon keeps those that its Java map has first.
        frequent = sorted(times.items(), key=lambda item: (-item[1], utf16(item[0])))
        return dict(frequent[:k])

    return Aggregator(
        ir_type=map_of(INT),
        output_type=map_of(INT),
        prepare=lambda value, ts_ms: {value: _counted(value, 1)},
        update=lambda ir, value, ts_ms: add(ir, value, 1),
        merge=merge,
        encode=lambda ir: encode_items([counted[1] for counted in ir.values()]),
        finalize=finalize,
        from_avro=lambda decoded: {v: _counted(v, times) for v, times in decoded.items()},
        clone=dict,
        delete=lambda ir, value, ts_ms: add(ir, value, -1),
    )
