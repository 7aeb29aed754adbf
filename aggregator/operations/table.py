"""Finds the operation that a declaration names, and checks that it takes the input.

The operations are declared by the families: each file has a table `OPERATIONS` of its own. Source:
`ColumnAggregator.construct`.
"""

from chronon_beam.aggregator.operations import distinct, frequent, moments, simple, sketches, timed
from chronon_beam.aggregator.operations.base import Aggregator
from chronon_beam.aggregator.operations.spec import K, OperationRequest, OperationSpec
from chronon_beam.api.data_types import DATE, SCALARS, TIMESTAMP, DataType, unwritable
from chronon_beam.api.dialect import Dialect, Operation
from chronon_beam.api.group_by import AggregationPart, GroupByError

OPERATIONS: dict[Operation, OperationSpec] = {
    operation: spec
    for family in (simple, moments, timed, distinct, sketches, frequent)
    for operation, spec in family.OPERATIONS.items()
}
"""All operations of all dialects."""

TIMED = frozenset(operation for operation, spec in OPERATIONS.items() if spec.timed)
"""Operations that keep the value of an event with its time; lists and maps are one value."""

KEPT = frozenset(operation for operation, spec in OPERATIONS.items() if spec.keeps_values)
"""Operations whose IRs hold whole inputs, also structs and what is in them."""


def _k(part: AggregationPart, bounds: K) -> int:
    k = part.argument("k", bounds.default)
    if k < bounds.least:
        raise GroupByError(f"{part.column}: k must be at least {bounds.least}, found {k}")
    if bounds.most is not None and k > bounds.most:
        raise GroupByError(f"{part.column}: k must be at most {bounds.most}, found {k}")
    return k


def taking(input_type: DataType, dialect: Dialect) -> list[str]:
    """The names of the operations that take a type."""
    known = dialect.operations.values()
    return [o.name for o in known if OPERATIONS[o].takes(input_type, dialect)]


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
    spec = OPERATIONS[part.operation]
    if input_type in (DATE, TIMESTAMP):
        raise GroupByError(
            f"{part.operation.name} does not take {part.input_column!r} of type "
            f"{input_type.name}: it takes {spec.inputs_text}, and a {input_type.name} is taken by "
            "none: select it as a BIGINT, for example with unix_millis(...) or unix_date(...)"
        )
    _check_input(part, input_type, spec, dialect)
    k = 0 if spec.k is None else _k(part, spec.k)
    return spec.make(OperationRequest(input_type, k, part, dialect))


def _check_input(
    part: AggregationPart, input_type: DataType, spec: OperationSpec, dialect: Dialect
) -> None:
    if not spec.takes(input_type, dialect):
        raise GroupByError(
            f"{part.operation.name} does not take {part.input_column!r} of type "
            f"{input_type.name}: it takes {spec.inputs_text}, so cast it in the query's selects; "
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
