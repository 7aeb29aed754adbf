"""Counts, sums, extremes, the k largest, histograms: operations that do not look at time.

Source: `ai.chronon.aggregator.base.SimpleAggregators`.
"""

from collections.abc import Callable
from typing import Any

from chronon_beam.aggregator.avro import (
    encode_count,
    encode_each,
    encode_long,
    encode_string,
    encoder,
)
from chronon_beam.aggregator.expressions import expression
from chronon_beam.aggregator.jvm.decimals import EXACT
from chronon_beam.aggregator.jvm.hashing import STRING_PLACES, HashOrdered, table_of_copy
from chronon_beam.aggregator.jvm.ordering import larger, smaller, sort_key, utf16, wrapping_add
from chronon_beam.aggregator.operations.base import Aggregator, same
from chronon_beam.aggregator.operations.min_heap import MinHeap
from chronon_beam.aggregator.operations.spec import ORDERED, K, OperationSpec
from chronon_beam.api.data_types import (
    BOOLEAN,
    DOUBLE,
    FLOATS,
    INT,
    INTEGERS,
    LONG,
    NUMBERS,
    STRING,
    DataType,
    DecimalType,
    list_of,
    map_of,
)
from chronon_beam.api.dialect import Operation


def count() -> Aggregator:
    """COUNT of values that are not null."""
    return Aggregator(
        ir_type=LONG,
        output_type=LONG,
        prepare=expression("value, ts_ms", "1"),
        update=expression("ir, value, ts_ms", "ir + 1"),
        merge=lambda a, b: a + b,
        merge_all=lambda a, irs: a + sum(irs),
        fork=same,
        encode=encode_count,
        delete=lambda ir, value, ts_ms: ir - 1,
    )


def sum_of(input_type: DataType) -> Aggregator:
    """SUM: of integers and booleans a long that wraps, of floats a double, of decimals exact."""
    if isinstance(input_type, DecimalType):
        return _sum_of_decimals(input_type)
    return _sum_of_doubles() if input_type in FLOATS else _sum_of_longs()


def _sum_of_decimals(input_type: DecimalType) -> Aggregator:
    return Aggregator(
        ir_type=input_type,
        output_type=input_type,
        prepare=expression("value, ts_ms", "value"),
        update=expression("ir, value, ts_ms", "add(ir, value)", add=EXACT.add),
        merge=EXACT.add,
        fork=same,
        encode=encoder(input_type),
        delete=lambda ir, value, ts_ms: EXACT.subtract(ir, value),
    )


def _sum_of_doubles() -> Aggregator:
    return Aggregator(
        ir_type=DOUBLE,
        output_type=DOUBLE,
        prepare=expression("value, ts_ms", "value"),
        update=expression("ir, value, ts_ms", "ir + value"),
        merge=lambda a, b: a + b,
        fork=same,
        encode=encoder(DOUBLE),
        delete=lambda ir, value, ts_ms: ir - value,
    )


def _sum_of_longs() -> Aggregator:
    return Aggregator(
        ir_type=LONG,
        output_type=LONG,
        prepare=expression("value, ts_ms", "int(value)"),
        update=expression("ir, value, ts_ms", "wrapping_add(ir, value)", wrapping_add=wrapping_add),
        merge=wrapping_add,
        merge_all=lambda a, irs: wrapping_add(a, sum(irs)),
        fork=same,
        encode=encode_long,
        delete=lambda ir, value, ts_ms: wrapping_add(ir, -value),
    )


def extreme(input_type: DataType, largest: bool) -> Aggregator:
    """MAX, or MIN."""
    better = larger(input_type) if largest else smaller(input_type)
    return Aggregator(
        ir_type=input_type,
        output_type=input_type,
        prepare=expression("value, ts_ms", "value"),
        update=expression("ir, value, ts_ms", "better(ir, value)", better=better),
        merge=better,
        merge_all=_extreme_of_longs(largest) if input_type in INTEGERS else None,
        fork=same,
        encode=encoder(input_type),
    )


def _extreme_of_longs(largest: bool) -> Callable[[int, list[int]], int]:
    choose: Callable[[list[int]], int] = max if largest else min
    return lambda a, irs: choose([a, *irs])


def best_k(input_type: DataType, k: int, largest: bool) -> Aggregator:
    """TOP_K, or BOTTOM_K; the IR is Chronon's heap."""
    rank = utf16 if input_type == STRING else _identity
    heap = MinHeap(k, rank, sort_key(input_type) or _identity, largest)
    return Aggregator(
        ir_type=list_of(input_type),
        output_type=list_of(input_type),
        prepare=expression("value, ts_ms", "[value]"),
        update=expression("ir, value, ts_ms", "insert(ir, value)", insert=heap.insert),
        merge=heap.merge,
        encode=encode_each("[encode(value) for value in ir]", encode=encoder(input_type)),
        finalize=heap.best_first,
        clone=list,
        fork=list,
    )


def _identity(value: Any) -> Any:
    return value


_Bar = tuple[int, bytes]
"""(how often a value came, Avro bytes of value and count); a plain tuple, made for each event."""


def _bar(value: str, times: int) -> _Bar:
    return times, encode_string(value) + encode_long(times)


HistogramIr = HashOrdered[str, _Bar]


def _add(ir: HistogramIr, value: str, times: int) -> HistogramIr:
    known = ir.get(value)
    total = times if known is None else known[0] + times
    # Deletes can make a count negative, and later adds bring it back to 0.
    if total:
        ir[value] = _bar(value, total)
    else:
        ir.remove(value)
    return ir


def _merge(a: HistogramIr, b: HistogramIr) -> HistogramIr:
    for value in b.in_written_order(STRING_PLACES):
        _add(a, value, b[value][0])
    return a


def _most_frequent(ir: HistogramIr, k: int) -> dict[str, int]:
    """All values if k is 0 or there are at most k of them; else k values.

    Chronon takes the first k values, in the order of its map, that are at least as frequent as the
    k-th most frequent one. So it may keep a value that ties with the k-th and drop a more frequent
    value that comes later in the map.
    """
    times = {value: ir[value][0] for value in ir.in_written_order(STRING_PLACES)}
    if not 0 < k < len(times):
        return times
    least = sorted(times.values(), reverse=True)[k - 1]
    frequent = [value for value, count in times.items() if count >= least]
    frequent.sort(key=STRING_PLACES.order(ir.capacity, ir.capacity))
    return {value: times[value] for value in frequent[:k]}


def histogram(k: int) -> Aggregator:
    """HISTOGRAM of strings: the final value has k of the most frequent, or all for k = 0."""
    return Aggregator(
        ir_type=map_of(INT),
        output_type=map_of(INT),
        prepare=lambda value, ts_ms: HashOrdered({value: _bar(value, 1)}),
        update=lambda ir, value, ts_ms: _add(ir, value, 1),
        merge=_merge,
        encode=encode_each(
            "[ir[value][1] for value in ir.in_written_order(places)]", places=STRING_PLACES
        ),
        finalize=lambda ir: _most_frequent(ir, k),
        from_avro=lambda decoded: HashOrdered({v: _bar(v, n) for v, n in decoded.items()}),
        clone=lambda ir: HashOrdered(ir, table_of_copy(len(ir))),
        fork=HashOrdered.fork,
        delete=lambda ir, value, ts_ms: _add(ir, value, -1),
    )


OPERATIONS = {
    Operation.COUNT: OperationSpec(lambda request: count(), "number of values that are not null"),
    Operation.SUM: OperationSpec(
        lambda request: sum_of(request.input_type),
        "sum; of integers it wraps at 64 bits; of decimals a decimal of the same type",
        "exact, but sums of doubles round",
        inputs=(*NUMBERS, BOOLEAN),
        decimals=True,
    ),
    Operation.MIN: OperationSpec(
        lambda request: extreme(request.input_type, largest=False),
        "smallest value",
        inputs=ORDERED,
        decimals=True,
    ),
    Operation.MAX: OperationSpec(
        lambda request: extreme(request.input_type, largest=True),
        "largest value",
        inputs=ORDERED,
        decimals=True,
    ),
    Operation.TOP_K: OperationSpec(
        lambda request: best_k(request.input_type, request.k, largest=True),
        "the k largest values, largest first",
        inputs=ORDERED,
        k=K(),
        decimals=True,
    ),
    Operation.BOTTOM_K: OperationSpec(
        lambda request: best_k(request.input_type, request.k, largest=False),
        "the k smallest values, smallest first",
        inputs=ORDERED,
        k=K(),
        decimals=True,
    ),
    Operation.HISTOGRAM: OperationSpec(
        lambda request: histogram(request.k),
        "how often each value came; of more than k values k that are as frequent as the k-th "
        "(k = 0: all)",
        "exact; the IR has every distinct value",
        inputs=(STRING,),
        k=K(0, 0),
    ),
}
