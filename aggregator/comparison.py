"""Whether a stored IR is what its events give: compared by value, not by bytes.

The bytes of an IR may depend on the order of events, and those of a sketch on chance. What must be
equal is what any order gives: numbers to a billionth, the times and values that are kept, sets,
counts, and of a sketch its number of values and its estimates, within its error.

If they differ, the verdict says whether *fewer* events would explain the stored IR, as after a lost
write. Fewer events explain a set that is a part of the expected one, a lower count, a less extreme
MIN or MAX, and an earlier LAST. About a sum nothing is known.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any

from chronon_beam.aggregator.columns import Column, Shape
from chronon_beam.aggregator.jvm.items_sketch import ItemsSketch
from chronon_beam.aggregator.operations.base import Aggregator
from chronon_beam.api.dialect import Operation


class IrVerdict(IntEnum):
    """How a stored IR compares with what its events give; of several, the highest counts."""

    EQUAL = 0
    UNSURE = 1
    """It differs, and fewer events may explain it."""
    FEWER = 2
    """It differs as if it were made of fewer events."""
    OTHER = 3
    """It differs in a way that fewer events do not explain."""


def compare(
    column: Column, stored: object, expected: object, parts: Sequence[object] = ()
) -> IrVerdict:
    """How the stored IR of a column compares.

    Args:
        column: whose IRs these are.
        stored: the IR in the store; None without a value.
        expected: the IR of all events.
        parts: IRs of parts of the events, each in the order of its log. Of events with one time,
            FIRST and LAST keep that which came first, and which part came first cannot be told.
    """
    assert column.single is not None
    one = _one(column.single, COMPARISONS[column.part.operation])
    if column.by_key:
        return _by_key(one, stored, expected, parts)
    if column.shape is Shape.ELEMENTS:
        return _by_element(one, stored, expected, parts)
    return one(stored, expected, parts)


PartIrs = Sequence[Any]
"""The IRs of parts of the events."""


def _one(
    operation: Aggregator, comparison: "Comparison"
) -> Callable[[Any, Any, PartIrs], IrVerdict]:
    """The comparison of two IRs of an operation, either of which may be None."""

    def compared(stored: Any, expected: Any, parts: PartIrs) -> IrVerdict:
        if stored is None or expected is None:
            return _verdict(stored is expected, fewer=stored is None)
        known = [part for part in parts if part is not None]
        return comparison(operation, stored, expected, known)

    return compared


def _by_key(
    one: Callable[[Any, Any, PartIrs], IrVerdict],
    stored: Any,
    expected: Any,
    parts: PartIrs,
) -> IrVerdict:
    stored, expected = stored or {}, expected or {}
    found = [
        one(stored.get(key), expected.get(key), [part.get(key) for part in parts if part])
        for key in {**stored, **expected}
    ]
    return max(found, default=IrVerdict.EQUAL)


def _by_element(
    one: Callable[[Any, Any, PartIrs], IrVerdict],
    stored: Any,
    expected: Any,
    parts: PartIrs,
) -> IrVerdict:
    if stored is None or expected is None:
        return _verdict(stored is expected, fewer=stored is None)
    if len(stored) != len(expected):
        return IrVerdict.OTHER
    fitting = [part for part in parts if part is not None and len(part) == len(expected)]
    pairs = enumerate(zip(stored, expected, strict=True))
    found = [one(a, b, [part[index] for part in fitting]) for index, (a, b) in pairs]
    return max(found, default=IrVerdict.EQUAL)


Comparison = Callable[[Aggregator, Any, Any, PartIrs], IrVerdict]
"""(operation, stored IR, expected IR, IRs of parts of the events) to how they compare."""


def _verdict(equal: bool, fewer: bool) -> IrVerdict:
    if equal:
        return IrVerdict.EQUAL
    return IrVerdict.FEWER if fewer else IrVerdict.OTHER


def close(a: Any, b: Any, scale: float = 1.0) -> bool:
    """Equal, floats to a billionth of their size or of `scale`; NaN equals NaN."""
    if isinstance(a, float) or isinstance(b, float):
        both_nan = a != a and b != b
        return both_nan or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9 * scale)
    return a == b


def _all_close(a: Sequence[Any], b: Sequence[Any]) -> bool:
    return len(a) == len(b) and all(map(close, a, b))


def _count(_: Aggregator, stored: int, expected: int, __: PartIrs) -> IrVerdict:
    return _verdict(stored == expected, stored < expected)


def _sum(_: Aggregator, stored: Any, expected: Any, parts: PartIrs) -> IrVerdict:
    return IrVerdict.EQUAL if close(stored, expected, _size(parts)) else IrVerdict.UNSURE


def _size(sums: Iterable[Any]) -> float:
    """The size of the largest sum: where such sums cancel out, what is left has lost its digits."""
    return max([1.0, *(_finite(abs(float(each))) for each in sums)])


def _extreme(operation: Aggregator, stored: Any, expected: Any, _: PartIrs) -> IrVerdict:
    return _verdict(close(stored, expected), close(operation.merge(stored, expected), expected))


def _average(_: Aggregator, stored: Any, expected: Any, parts: PartIrs) -> IrVerdict:
    """IRs of (sum, count)."""
    same = close(stored[0], expected[0], _size(part[0] for part in parts))
    return _verdict(same and stored[1] == expected[1], stored[1] < expected[1])


def _moments(_: Aggregator, stored: Any, expected: Any, __: PartIrs) -> IrVerdict:
    """IRs of (n, mean, sums of powers of the distances from the mean); such sums lose digits."""
    n, mean, second = expected[:3]
    spread = abs(mean) + math.sqrt(abs(second) / n if n else 0.0)
    scales = [1.0, spread, *(n * spread**power for power in range(2, len(expected)))]
    equal = all(map(close, stored, expected, map(_finite, scales)))
    return _verdict(equal, stored[0] < expected[0])


def _finite(scale: float) -> float:
    return scale if math.isfinite(scale) else 0.0


def _counts(stored: Mapping[Any, int], expected: Mapping[Any, int]) -> IrVerdict:
    """Counts by value."""
    fewer = all(times <= expected.get(value, 0) for value, times in stored.items())
    return _verdict(dict(stored) == dict(expected), fewer)


def _histogram(_: Aggregator, stored: Any, expected: Any, __: PartIrs) -> IrVerdict:
    by_value = ({value: bar[0] for value, bar in ir.items()} for ir in (stored, expected))
    return _counts(*by_value)


def _set(_: Aggregator, stored: Any, expected: Any, __: PartIrs) -> IrVerdict:
    return _verdict(stored.keys() == expected.keys(), stored.keys() < expected.keys())


def _bounded_set(operation: Aggregator, stored: Any, expected: Any, _: PartIrs) -> IrVerdict:
    """Which k values a full set has kept depends on the order of events."""
    sizes = operation.finalize(stored), operation.finalize(expected)
    if stored.keys() == expected.keys():
        return IrVerdict.EQUAL
    union = operation.finalize(operation.merge(operation.clone(expected), stored))
    if sizes[0] == sizes[1]:
        # Only a set that is full has room for other values of as many.
        return _verdict(union == sizes[1], fewer=False)
    return _verdict(equal=False, fewer=sizes[0] < sizes[1] and union == sizes[1])


def _best(operation: Aggregator, stored: Any, expected: Any, _: PartIrs) -> IrVerdict:
    """The k best, best first: more events leave none of them worse."""
    ours, theirs = operation.finalize(stored), operation.finalize(expected)
    better = [
        operation.finalize(operation.merge([was], [now]))[0]
        for was, now in zip(ours, theirs, strict=False)
    ]
    fewer = len(ours) <= len(theirs) and _all_close(better, theirs[: len(ours)])
    return _verdict(_all_close(ours, theirs), fewer)


def _ranked(operation: Aggregator, stored: Any, expected: Any, _: PartIrs) -> IrVerdict:
    """The k best distinct values, of which equal ones may be told by their identity alone."""
    ours, theirs = operation.finalize(stored), operation.finalize(expected)
    if _identities(ours) == _identities(theirs):
        return IrVerdict.EQUAL
    united = operation.merge(operation.clone(expected), stored)
    same = _identities(operation.finalize(united)) == _identities(theirs)
    return _verdict(equal=False, fewer=same)


def _identities(values: Iterable[Any]) -> list[Any]:
    return [
        (value["sort_key"], value["unique_id"]) if isinstance(value, dict) else value
        for value in values
    ]


def _first(_: Aggregator, stored: Any, expected: Any, parts: PartIrs) -> IrVerdict:
    return _timed(stored, expected, parts, fewer=stored[0] > expected[0])


def _last(_: Aggregator, stored: Any, expected: Any, parts: PartIrs) -> IrVerdict:
    return _timed(stored, expected, parts, fewer=stored[0] < expected[0])


def _timed(stored: Any, expected: Any, parts: PartIrs, fewer: bool) -> IrVerdict:
    """IRs of (time, value, bytes of both)."""
    if stored[0] != expected[0]:
        return _verdict(equal=False, fewer=fewer)
    candidates = [expected, *(part for part in parts if part[0] == expected[0])]
    return _verdict(any(stored[2] == each[2] for each in candidates), fewer=False)


def _several(_: Aggregator, stored: Any, expected: Any, parts: PartIrs) -> IrVerdict:
    """Lists of (time, value, bytes of both).

    Which of several pairs of the border's time were kept depends on which of the parts came first.
    """
    ours, theirs = (sorted(ir, key=lambda pair: (pair[0], pair[2])) for ir in (stored, expected))
    times = [[pair[0] for pair in ir] for ir in (ours, theirs)]
    if len(ours) != len(theirs):
        return _verdict(equal=False, fewer=len(ours) < len(theirs))
    if times[0] != times[1]:
        return IrVerdict.UNSURE
    borders = {times[1][0], times[1][-1]} if len(parts) > 1 else set()
    inner = [[pair[2] for pair in ir if pair[0] not in borders] for ir in (ours, theirs)]
    return _verdict(inner[0] == inner[1], fewer=False)


def _distinct_sketch(operation: Aggregator, stored: Any, expected: Any, _: PartIrs) -> IrVerdict:
    """Once merged, a sketch of the same values has the same bytes, whatever their order was."""
    merged = [operation.clone(ir).serialize() for ir in (stored, expected)]
    united = operation.merge(operation.clone(stored), expected).serialize()
    return _verdict(merged[0] == merged[1], fewer=united == merged[1])


_RANKS = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95]
_ERRORS = 4
"""A sketch that is further off than so many of its errors is taken for another one."""


def _quantile_sketch(_: Aggregator, stored: Any, expected: Any, __: PartIrs) -> IrVerdict:
    if stored.n != expected.n:
        return _verdict(equal=False, fewer=stored.n < expected.n)
    if stored.is_empty():
        return IrVerdict.EQUAL
    ends = [(ir.get_min_value(), ir.get_max_value()) for ir in (stored, expected)]
    error = _ERRORS * expected.normalized_rank_error(False) if expected.is_estimation_mode() else 0
    values = expected.get_quantiles(_RANKS)
    far = [abs(stored.get_rank(v) - expected.get_rank(v)) > error + 1e-9 for v in values]
    return _verdict(ends[0] == ends[1] and not any(far), fewer=False)


def _items_sketch(_: Aggregator, stored: Any, expected: Any, parts: PartIrs) -> IrVerdict:
    """Sketches of frequent items, or counts as long as there are few.

    A sketch whose items have all left its table forgets, once it is written, how many there were.
    """
    if any(isinstance(ir, ItemsSketch) and not len(ir) for ir in (stored, expected, *parts)):
        return IrVerdict.EQUAL
    weights = [_weight(ir) for ir in (stored, expected)]
    if weights[0] != weights[1]:
        return _verdict(equal=False, fewer=weights[0] < weights[1])
    ours, theirs = _times(stored), _times(expected)
    most = [ir.offset if isinstance(ir, ItemsSketch) else 0 for ir in (stored, expected)]
    apart = [
        item
        for item in {**ours, **theirs}
        if ours.get(item, 0) + most[0] < theirs.get(item, 0)
        or theirs.get(item, 0) + most[1] < ours.get(item, 0)
    ]
    return _verdict(not apart, fewer=False)


def _weight(ir: Any) -> int:
    return ir.weight if isinstance(ir, ItemsSketch) else sum(ir.values())


def _times(ir: Any) -> dict[Any, int]:
    return dict(ir.entries()) if isinstance(ir, ItemsSketch) else dict(ir)


COMPARISONS: Mapping[Operation, Comparison] = {
    Operation.COUNT: _count,
    Operation.SUM: _sum,
    Operation.MIN: _extreme,
    Operation.MAX: _extreme,
    Operation.AVERAGE: _average,
    Operation.VARIANCE: _moments,
    Operation.SKEW: _moments,
    Operation.KURTOSIS: _moments,
    Operation.HISTOGRAM: _histogram,
    Operation.UNIQUE_COUNT: _set,
    Operation.BOUNDED_UNIQUE_COUNT: _bounded_set,
    Operation.UNIQUE_TOP_K: _ranked,
    Operation.TOP_K: _best,
    Operation.BOTTOM_K: _best,
    Operation.FIRST: _first,
    Operation.LAST: _last,
    Operation.FIRST_K: _several,
    Operation.LAST_K: _several,
    Operation.APPROX_UNIQUE_COUNT: _distinct_sketch,
    Operation.APPROX_PERCENTILE: _quantile_sketch,
    Operation.APPROX_HISTOGRAM_K: _items_sketch,
    Operation.APPROX_FREQUENT_K: _items_sketch,
    Operation.APPROX_HEAVY_HITTERS_K: _items_sketch,
}
"""The comparison of each operation."""
