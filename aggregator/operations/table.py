"""Which operation takes which input: the table of `ColumnAggregator.construct`.

The one place to add an operation: a factory and the input types it takes.
"""

import json
from collections.abc import Callable
from typing import NamedTuple

from chronon_beam.aggregator.operations import distinct, frequent, moments, simple, sketches, timed
from chronon_beam.aggregator.operations.base import Aggregator
from chronon_beam.api.data_types import (
    BINARY,
    BOOLEAN,
    DATE,
    DOUBLE,
    INT,
    LONG,
    NUMBERS,
    SCALARS,
    STRING,
    TIMESTAMP,
    DataType,
    DecimalType,
    StructType,
    unwritable,
)
from chronon_beam.api.dialect import Dialect, Operation
from chronon_beam.api.group_by import AggregationPart, GroupByError


class K(NamedTuple):
    """The argument k of an operation: its default (None: it must be given) and its bounds."""

    default: int | None = None
    least: int = 1
    most: int | None = None


Make = Callable[[DataType, int, AggregationPart, Dialect], Aggregator]


class _Entry(NamedTuple):
    """A factory, and what it takes.

    Attributes:
        make: makes the operation of (input type, k, part, dialect).
        inputs: the types; None: any that Avro can hold.
        k: its argument k; None where it has none.
        ranked_structs: it takes structs with `sort_key` (string) and `unique_id` (long) as well.
        decimals: it takes decimals as well, where the dialect has them.
    """

    make: Make
    inputs: tuple[DataType, ...] | None
    k: K | None = None
    ranked_structs: bool = False
    decimals: bool = False

    def takes(self, input_type: DataType, dialect: Dialect) -> bool:
        if self.inputs is None or input_type in self.inputs:
            return True
        if isinstance(input_type, DecimalType):
            return self.decimals and dialect.decimals
        if not self.ranked_structs or not isinstance(input_type, StructType):
            return False
        fields = dict(input_type.fields)
        return (fields.get("sort_key"), fields.get("unique_id")) == (STRING, LONG)

    @property
    def said(self) -> str:
        """The input types, for people."""
        if self.inputs is None:
            return "any type"
        names = [input_type.name for input_type in self.inputs]
        if self.ranked_structs:
            names.append("struct with sort_key (string) and unique_id (long)")
        if self.decimals:
            names.append("decimal (zipline)")
        return ", ".join(names)


def _doubles(make: Make, inputs: tuple[DataType, ...] = NUMBERS, k: K | None = None) -> _Entry:
    """An operation that takes decimals as doubles."""

    def made(input_type: DataType, k: int, part: AggregationPart, dialect: Dialect) -> Aggregator:
        if isinstance(input_type, DecimalType):
            return make(DOUBLE, k, part, dialect).over_decimals()
        return make(input_type, k, part, dialect)

    return _Entry(made, inputs, k, decimals=True)


_ORDERED = (*NUMBERS, STRING)
_HASHED = (*_ORDERED, BINARY)

_OPERATIONS: dict[Operation, _Entry] = {
    Operation.COUNT: _Entry(lambda t, k, part, d: simple.count(), None),
    Operation.SUM: _Entry(
        lambda t, k, part, d: simple.sum_of(t), (*NUMBERS, BOOLEAN), decimals=True
    ),
    Operation.AVERAGE: _doubles(lambda t, k, part, d: moments.average(d.long_counts)),
    Operation.VARIANCE: _doubles(lambda t, k, part, d: moments.variance(d.long_counts)),
    Operation.SKEW: _doubles(lambda t, k, part, d: moments.skew()),
    Operation.KURTOSIS: _doubles(lambda t, k, part, d: moments.kurtosis()),
    Operation.MIN: _Entry(
        lambda t, k, part, d: simple.extreme(t, largest=False), _ORDERED, decimals=True
    ),
    Operation.MAX: _Entry(
        lambda t, k, part, d: simple.extreme(t, largest=True), _ORDERED, decimals=True
    ),
    Operation.TOP_K: _Entry(
        lambda t, k, part, d: simple.best_k(t, k, largest=True), _ORDERED, K(), decimals=True
    ),
    Operation.BOTTOM_K: _Entry(
        lambda t, k, part, d: simple.best_k(t, k, largest=False), _ORDERED, K(), decimals=True
    ),
    Operation.FIRST: _Entry(lambda t, k, part, d: timed.first(t), None),
    Operation.LAST: _Entry(lambda t, k, part, d: timed.last(t), None),
    Operation.FIRST_K: _Entry(lambda t, k, part, d: timed.first_k(t, k), None, K()),
    Operation.LAST_K: _Entry(lambda t, k, part, d: timed.last_k(t, k), None, K()),
    Operation.UNIQUE_COUNT: _Entry(
        lambda t, k, part, d: distinct.unique_count(t), _HASHED, decimals=True
    ),
    Operation.BOUNDED_UNIQUE_COUNT: _Entry(
        lambda t, k, part, d: distinct.bounded_unique_count(t, k), _HASHED, K(8)
    ),
    Operation.UNIQUE_TOP_K: _Entry(
        lambda t, k, part, d: distinct.unique_top_k(t, k),
        (INT, LONG, STRING),
        K(),
        ranked_structs=True,
    ),
    Operation.APPROX_UNIQUE_COUNT: _doubles(
        lambda t, k, part, d: sketches.approx_unique_count(t, k), _HASHED, K(8, 4, 26)
    ),
    Operation.APPROX_PERCENTILE: _doubles(
        lambda t, k, part, d: sketches.approx_percentile(k, _percentiles(part), d.inclusive_ranks),
        k=K(128, 8, 65535),
    ),
    Operation.HISTOGRAM: _Entry(lambda t, k, part, d: simple.histogram(k), (STRING,), K(0, 0)),
    Operation.APPROX_HISTOGRAM_K: _Entry(
        lambda t, k, part, d: frequent.approx_histogram(t, k), _ORDERED, K(8)
    ),
    Operation.APPROX_FREQUENT_K: _Entry(
        lambda t, k, part, d: frequent.frequent_items(t, k, False), _ORDERED, K(8)
    ),
    Operation.APPROX_HEAVY_HITTERS_K: _Entry(
        lambda t, k, part, d: frequent.frequent_items(t, k, True), _ORDERED, K(8)
    ),
}

TIMED = frozenset({Operation.FIRST, Operation.LAST, Operation.FIRST_K, Operation.LAST_K})
"""Operations that keep the value of an event with its time; lists and maps are one value."""

KEPT = TIMED | {Operation.UNIQUE_TOP_K}
"""Operations that keep whole values, also structs and what is in them."""


def _k(part: AggregationPart, bounds: K) -> int:
    k = part.argument("k", bounds.default)
    if k < bounds.least:
        raise GroupByError(f"{part.column}: k must be at least {bounds.least}, found {k}")
    if bounds.most is not None and k > bounds.most:
        raise GroupByError(f"{part.column}: k must be at most {bounds.most}, found {k}")
    return k


def _percentiles(part: AggregationPart) -> list[float]:
    text = dict(part.arguments).get("percentiles", "[0.5]")
    try:
        ranks = json.loads(text)
    except ValueError:
        ranks = None
    numbers = isinstance(ranks, list) and all(type(rank) in (int, float) for rank in ranks)
    if not ranks or not numbers or not all(0 <= rank <= 1 for rank in ranks):
        raise GroupByError(
            f"{part.column}: percentiles must be a JSON list of numbers from 0 to 1, found "
            f"{text!r}: for example argMap={{'percentiles': '[0.5, 0.95]'}}"
        )
    return [float(rank) for rank in ranks]


def inputs_of(operation: Operation) -> tuple[str, K | None]:
    """The input types of an operation, in words, and its argument k."""
    entry = _OPERATIONS[operation]
    return entry.said, entry.k


def taking(input_type: DataType, dialect: Dialect) -> list[str]:
    """The names of the operations that take a type."""
    known = dialect.operations.values()
    return [o.name for o in known if _OPERATIONS[o].takes(input_type, dialect)]


def aggregator(part: AggregationPart, input_type: DataType, dialect: Dialect) -> Aggregator:
    """The operation of `part` over values of `input_type`.

    Raises:
        GroupByError: the dialect does not have the operation, or it does not take the type.
    """
    if part.operation not in dialect.operations.values():
        raise GroupByError(
            f"{part.operation.name} over {part.input_column!r}: dialect {dialect.name} does not "
            f"have it; it has {', '.join(known.name for known in dialect.operations.values())}"
        )
    entry = _OPERATIONS[part.operation]
    if input_type in (DATE, TIMESTAMP):
        raise GroupByError(
            f"{part.operation.name} does not take {part.input_column!r} of type "
            f"{input_type.name}: it takes {entry.said}, and a {input_type.name} is taken by none: "
            "select it as a BIGINT, for example with unix_millis(...) or unix_date(...)"
        )
    _check_input(part, input_type, entry, dialect)
    k = 0 if entry.k is None else _k(part, entry.k)
    return entry.make(input_type, k, part, dialect)


def _check_input(
    part: AggregationPart, input_type: DataType, entry: _Entry, dialect: Dialect
) -> None:
    if not entry.takes(input_type, dialect):
        raise GroupByError(
            f"{part.operation.name} does not take {part.input_column!r} of type "
            f"{input_type.name}: it takes {entry.said}, so cast it in the query's selects; "
            f"{input_type.name} is taken by {', '.join(taking(input_type, dialect))}"
        )
    bad = unwritable(input_type, dialect.decimals) if part.operation in KEPT else None
    if bad is not None:
        raise GroupByError(
            f"{part.operation.name} over {part.input_column!r} of type {input_type.name}: "
            f"{bad.name} has no form in a tile: cast it in the query's selects, for example to "
            "STRING or BIGINT"
        )


def is_scalar(data_type: DataType) -> bool:
    """Whether lists of this type are taken apart for the simple operations."""
    return data_type in SCALARS
