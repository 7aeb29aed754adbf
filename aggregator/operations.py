"""Which operation takes which input: the table of `ColumnAggregator.construct`.

The one place to add an operation: a factory and the input types it takes.
"""

from collections.abc import Callable
from typing import NamedTuple

from chronon_beam.aggregator import moments, simple, timed
from chronon_beam.aggregator.base import Aggregator
from chronon_beam.api.data_types import (
    BINARY,
    BOOLEAN,
    DATE,
    NUMBERS,
    SCALARS,
    STRING,
    TIMESTAMP,
    DataType,
    unwritable,
)
from chronon_beam.api.dialect import Dialect, Operation
from chronon_beam.api.group_by import AggregationPart, GroupByError


class _Entry(NamedTuple):
    """A factory, and the input types it takes; None: any that Avro can hold."""

    make: Callable[[DataType, AggregationPart, Dialect], Aggregator]
    inputs: tuple[DataType, ...] | None


_ORDERED = (*NUMBERS, STRING)

_OPERATIONS: dict[Operation, _Entry] = {
    Operation.COUNT: _Entry(lambda t, part, d: simple.count(), None),
    Operation.SUM: _Entry(lambda t, part, d: simple.sum_of(t), (*NUMBERS, BOOLEAN)),
    Operation.AVERAGE: _Entry(lambda t, part, d: moments.average(d.long_counts), NUMBERS),
    Operation.VARIANCE: _Entry(lambda t, part, d: moments.variance(d.long_counts), NUMBERS),
    Operation.SKEW: _Entry(lambda t, part, d: moments.skew(), NUMBERS),
    Operation.KURTOSIS: _Entry(lambda t, part, d: moments.kurtosis(), NUMBERS),
    Operation.MIN: _Entry(lambda t, part, d: simple.extreme(t, largest=False), _ORDERED),
    Operation.MAX: _Entry(lambda t, part, d: simple.extreme(t, largest=True), _ORDERED),
    Operation.TOP_K: _Entry(lambda t, part, d: simple.best_k(t, _k(part), largest=True), _ORDERED),
    Operation.BOTTOM_K: _Entry(
        lambda t, part, d: simple.best_k(t, _k(part), largest=False), _ORDERED
    ),
    Operation.FIRST: _Entry(lambda t, part, d: timed.first(t), None),
    Operation.LAST: _Entry(lambda t, part, d: timed.last(t), None),
    Operation.FIRST_K: _Entry(lambda t, part, d: timed.first_k(t, _k(part)), None),
    Operation.LAST_K: _Entry(lambda t, part, d: timed.last_k(t, _k(part)), None),
    Operation.UNIQUE_COUNT: _Entry(lambda t, part, d: simple.unique_count(t), (*_ORDERED, BINARY)),
    Operation.HISTOGRAM: _Entry(
        lambda t, part, d: simple.histogram(part.argument("k", default=0)), (STRING,)
    ),
}

SUPPORTED = frozenset(_OPERATIONS)

TIMED = frozenset({Operation.FIRST, Operation.LAST, Operation.FIRST_K, Operation.LAST_K})
"""Operations that keep the value of an event with its time; lists and maps are one value."""


def _k(part: AggregationPart) -> int:
    k = part.argument("k")
    if k < 1:
        raise GroupByError(f"{part.column}: k must be at least 1, found {k}")
    return k


def aggregator(part: AggregationPart, input_type: DataType, dialect: Dialect) -> Aggregator:
    """The operation of `part` over values of `input_type`.

    Raises:
        GroupByError: the operation is not known yet, or does not take the type.
    """
    entry = _OPERATIONS.get(part.operation)
    if entry is None:
        known = ", ".join(sorted(operation.name for operation in SUPPORTED))
        raise GroupByError(
            f"{part.operation.name} over {part.input_column!r} is not supported yet: known are "
            f"{known}"
        )
    if input_type in (DATE, TIMESTAMP):
        raise GroupByError(
            f"{part.operation.name} over {part.input_column!r}: a column of type "
            f"{input_type.name} cannot be aggregated: select it as a BIGINT, for example with "
            "unix_millis(...) or unix_date(...)"
        )
    _check_input(part, input_type, entry)
    return entry.make(input_type, part, dialect)


def _check_input(part: AggregationPart, input_type: DataType, entry: _Entry) -> None:
    if entry.inputs is not None and input_type not in entry.inputs:
        raise GroupByError(
            f"{part.operation.name} does not take {part.input_column!r} of type "
            f"{input_type.name}: it takes {', '.join(t.name for t in entry.inputs)}; cast it in "
            "the query's selects"
        )
    bad = unwritable(input_type) if part.operation in TIMED else None
    if bad is not None:
        raise GroupByError(
            f"{part.operation.name} over {part.input_column!r} of type {input_type.name}: "
            f"{bad.name} has no form in a tile: cast it in the query's selects, for example to "
            "STRING or BIGINT"
        )


def is_scalar(data_type: DataType) -> bool:
    """Whether lists of this type are taken apart for the simple operations."""
    return data_type in SCALARS
