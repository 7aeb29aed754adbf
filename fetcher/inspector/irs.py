"""IRs in words: what an operation has accumulated, for people who ask how a value came about.

Each operation has a function in `WORDS`. It takes the IR of one column, as the operation keeps it.
"""

import math
import struct
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from chronon_beam.aggregator.jvm.items_sketch import ItemsSketch
from chronon_beam.aggregator.operations.table import TIMED
from chronon_beam.api.data_types import FLOATS, DataType, ListType, MapType
from chronon_beam.api.dialect import Operation
from chronon_beam.api.group_by import AggregationPart
from chronon_beam.fetcher.inspector.times import stamp

NOTHING = "no value"
"""What is said of a column that has seen no value."""

MOST_ITEMS = 12
"""How many items of a list or a map are shown."""

MOST_CHARACTERS = 60
"""How much of a text is shown."""

Words = Callable[[Any, AggregationPart, DataType], str]
"""(IR, what was declared, type of one input) to words."""


def shown(value: object) -> str:
    """One value of an input, short.

    >>> shown("olive oil"), shown(2.5), shown(b"ab"), shown({"id": 1, "tags": ["x"]})
    ('“olive oil”', '2.5', '0x6162', '{id: 1, tags: [“x”]}')
    """
    if isinstance(value, str):
        return f"“{_cut(value)}”"
    if isinstance(value, bytes):
        return f"0x{_cut(value.hex())}"
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return number(value)
    if isinstance(value, dict):
        return f"{{{_listed(f'{name}: {shown(each)}' for name, each in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{_listed(map(shown, value))}]"
    return str(value)


def number(value: float) -> str:
    """A number with at most 12 digits.

    >>> number(2.0), number(0.1 + 0.2), number(float("nan"))
    ('2', '0.3', 'NaN')
    """
    return "NaN" if math.isnan(value) else f"{value:.12g}"


def words_of(ir: object, part: AggregationPart, input_type: DataType) -> str:
    """The IR of a column in words, also where it holds an IR per bucket, key or position.

    Args:
        ir: None for a column that has seen no value.
        part: what was declared.
        input_type: the type of the column's input.
    """
    if ir is None:
        return NOTHING
    of_one = WORDS[part.operation]
    timed = part.operation in TIMED
    inner = input_type
    if isinstance(input_type, MapType) and not timed:
        inner = input_type.value
    elif isinstance(input_type, ListType) and not timed:
        inner = input_type.element
    if isinstance(ir, Mapping) and (part.bucket or (isinstance(input_type, MapType) and not timed)):
        return _each(((shown(key), each) for key, each in ir.items()), len(ir), of_one, part, inner)
    if isinstance(ir, list) and part.element_wise and not timed:
        numbered = ((f"[{index}]", each) for index, each in enumerate(ir))
        return _each(numbered, len(ir), of_one, part, inner)
    return of_one(ir, part, inner)


def _each(
    irs: Iterable[tuple[str, object]],
    count: int,
    of_one: Words,
    part: AggregationPart,
    inner: DataType,
) -> str:
    if not count:
        return "empty"
    said = [
        f"{name}: {NOTHING if ir is None else of_one(ir, part, inner)}"
        for name, ir in islice(irs, MOST_ITEMS)
    ]
    return "; ".join(said) + _and_more(count)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"


def _listed(texts: Iterable[str], count: int | None = None) -> str:
    """Texts with commas; `count` says how many there are where `texts` are the first of them."""
    found = list(texts)
    return ", ".join(found[:MOST_ITEMS]) + _and_more(len(found) if count is None else count)


def _and_more(count: int) -> str:
    return f" and {count - MOST_ITEMS:,} more" if count > MOST_ITEMS else ""


def _number_of(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if abs(count) == 1 else f"{count:,} {noun}s"


def _count(ir: int, part: AggregationPart, kind: DataType) -> str:
    return _number_of(ir, "value")


def _sum(ir: float, part: AggregationPart, kind: DataType) -> str:
    return f"sum {shown(ir)}"


def _average(ir: tuple[float, int], part: AggregationPart, kind: DataType) -> str:
    total, count = ir
    mean = f" = {number(total / count)}" if count else ""
    return f"sum {number(total)} / count {count:,}{mean}"


def _variance(ir: tuple[int, float, float], part: AggregationPart, kind: DataType) -> str:
    count, mean, m2 = ir
    spread = f", m2 / count = {number(m2 / count)}" if count else ""
    return f"count {count:,}, mean {number(mean)}, m2 {number(m2)}{spread}"


def _moments(ir: tuple[float, ...], part: AggregationPart, kind: DataType) -> str:
    count, mean, *sums = ir
    powers = ", ".join(f"m{power} {number(each)}" for power, each in enumerate(sums, start=2))
    return f"count {count:,.0f}, mean {number(mean)}, {powers}"


def _min(ir: object, part: AggregationPart, kind: DataType) -> str:
    return f"smallest {shown(ir)}"


def _max(ir: object, part: AggregationPart, kind: DataType) -> str:
    return f"largest {shown(ir)}"


def _top_k(ir: list[Any], part: AggregationPart, kind: DataType) -> str:
    return _at_most(len(ir), part, "largest", sorted(ir, reverse=True))


def _bottom_k(ir: list[Any], part: AggregationPart, kind: DataType) -> str:
    return _at_most(len(ir), part, "smallest", sorted(ir))


def _at_most(count: int, part: AggregationPart, what: str, values: Iterable[object]) -> str:
    return f"{count} of at most {part.argument('k')} {what}: {_listed(map(shown, values))}"


def _pair(ir: tuple[int, Any, bytes]) -> str:
    return f"{shown(ir[1])} at {stamp(ir[0])}"


def _first(ir: tuple[int, Any, bytes], part: AggregationPart, kind: DataType) -> str:
    return f"earliest {_pair(ir)}"


def _last(ir: tuple[int, Any, bytes], part: AggregationPart, kind: DataType) -> str:
    return f"latest {_pair(ir)}"


def _pairs(count: int, part: AggregationPart, what: str, pairs: Iterable[Any]) -> str:
    return f"{count} of at most {part.argument('k')} {what}: {_listed(map(_pair, pairs))}"


def _first_k(ir: list[Any], part: AggregationPart, kind: DataType) -> str:
    return _pairs(len(ir), part, "earliest", sorted(ir, key=lambda pair: pair[0]))


def _last_k(ir: list[Any], part: AggregationPart, kind: DataType) -> str:
    return _pairs(len(ir), part, "latest", sorted(ir, key=lambda pair: -pair[0]))


def _times(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return _listed(f"{shown(value)} × {times:,}" for value, times in ordered)


def _histogram(ir: Mapping[str, tuple[int, bytes]], part: AggregationPart, kind: DataType) -> str:
    counts = {value: bar[0] for value, bar in ir.items()}
    return f"{len(counts):,} distinct: {_times(counts)}"


def _unique_count(ir: Mapping[Any, bytes], part: AggregationPart, kind: DataType) -> str:
    values = (shown(_of_bits(key, kind)) for key in islice(ir, MOST_ITEMS))
    return f"{len(ir):,} distinct: {_listed(values, len(ir))}"


def _of_bits(key: Any, kind: DataType) -> object:
    """The value that an operation tells from others by `key`: of doubles the key is their bits."""
    return struct.unpack("<d", key)[0] if kind in FLOATS else key


def _bounded_unique_count(ir: Mapping[Any, bytes], part: AggregationPart, kind: DataType) -> str:
    most = part.argument("k", 8)
    full = len(ir) >= most or "__SENTINEL__" in ir
    return f"{most} or more distinct" if full else f"{len(ir)} distinct of at most {most}"


def _unique_top_k(ir: Any, part: AggregationPart, kind: DataType) -> str:
    best = [kept.value for kept in sorted(ir.elements, key=lambda kept: kept.rank, reverse=True)]
    most = part.argument("k")
    return _at_most(min(len(best), most), part, "largest distinct", best[:most])


def _cpc(ir: Any, part: AggregationPart, kind: DataType) -> str:
    k = part.argument("k", 8)
    least, most = ir.get_lower_bound(2), ir.get_upper_bound(2)
    return (
        f"about {ir.get_estimate():,.1f} distinct, in all likelihood {least:,.0f} to {most:,.0f} "
        f"(CPC sketch of 2^{k} rows)"
    )


def _kll(ir: Any, part: AggregationPart, kind: DataType) -> str:
    if ir.is_empty():
        return f"no number (KLL sketch, k = {ir.k})"
    least, most = number(ir.get_min_value()), number(ir.get_max_value())
    middle = number(ir.get_quantile(0.5))
    return (
        f"{_number_of(ir.n, 'number')} from {least} to {most}, the middle one about {middle} "
        f"(KLL sketch, k = {ir.k}, keeps {ir.num_retained})"
    )


def _frequent(ir: Any, part: AggregationPart, kind: DataType) -> str:
    k = part.argument("k", 8)
    if isinstance(ir, ItemsSketch):
        counts = {ir.kind.text(item): count for item, count in ir.entries()}
        return (
            f"{_number_of(ir.weight, 'value')}, the most frequent: {_times(counts)} "
            f"(sketch for k = {k}: each count up to {ir.offset:,} too low)"
        )
    return f"{len(ir):,} distinct, counted exactly up to k = {k}: {_exactly(ir, kind)}"


def _exactly(counts: Mapping[Any, int], kind: DataType) -> str:
    ordered = sorted(counts.items(), key=lambda entry: -entry[1])
    return _listed(f"{shown(_of_bits(item, kind))} × {times:,}" for item, times in ordered)


WORDS: dict[Operation, Words] = {
    Operation.COUNT: _count,
    Operation.SUM: _sum,
    Operation.AVERAGE: _average,
    Operation.VARIANCE: _variance,
    Operation.SKEW: _moments,
    Operation.KURTOSIS: _moments,
    Operation.MIN: _min,
    Operation.MAX: _max,
    Operation.TOP_K: _top_k,
    Operation.BOTTOM_K: _bottom_k,
    Operation.FIRST: _first,
    Operation.LAST: _last,
    Operation.FIRST_K: _first_k,
    Operation.LAST_K: _last_k,
    Operation.HISTOGRAM: _histogram,
    Operation.UNIQUE_COUNT: _unique_count,
    Operation.BOUNDED_UNIQUE_COUNT: _bounded_unique_count,
    Operation.UNIQUE_TOP_K: _unique_top_k,
    Operation.APPROX_UNIQUE_COUNT: _cpc,
    Operation.APPROX_PERCENTILE: _kll,
    Operation.APPROX_HISTOGRAM_K: _frequent,
    Operation.APPROX_FREQUENT_K: _frequent,
    Operation.APPROX_HEAVY_HITTERS_K: _frequent,
}
"""The words of each operation of all dialects."""
