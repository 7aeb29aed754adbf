"""Operations: what SUM, LAST_K and the others consist of, and how a family declares them.

An operation folds the values of an input column into an IR (an intermediate result), and makes the
value of a feature from the IR. It has two parts:

- The arithmetic is an `Aggregator` (`operations.base`), Chronon's `BaseAggregator`: the first IR of
  an input, adding an input, merging two IRs, the Avro bytes of an IR, and the final value.
- The declaration is an `OperationSpec`, a line in the table `OPERATIONS` of its family, which is
  one file of this folder: the input types, the argument k, and what docs/operations.md says.

`operations.table` joins the tables of all families and finds the operation that a GroupBy names.
Names and ids of operations are in `api.dialect`, since the dialects differ in them. An operation
never meets a null, a window, a bucket, or a list or map of inputs: `aggregator.columns` deals with
those.
"""

from collections.abc import Callable
from typing import NamedTuple

from chronon_beam.aggregator.operations.base import Aggregator
from chronon_beam.api.data_types import (
    BINARY,
    DOUBLE,
    LONG,
    NUMBERS,
    STRING,
    DataType,
    DecimalType,
    StructType,
)
from chronon_beam.api.dialect import Dialect
from chronon_beam.api.group_by import AggregationPart

ORDERED = (*NUMBERS, STRING)
"""Input types that have an order."""

HASHED = (*ORDERED, BINARY)
"""Input types whose equal values have equal hashes."""


class K(NamedTuple):
    """The argument k of an operation: its default, without which it is required, and bounds."""

    default: int | None = None
    least: int = 1
    most: int | None = None


class OperationRequest(NamedTuple):
    """What a factory needs to make an operation: the input type and the user's declaration."""

    input_type: DataType
    k: int
    part: AggregationPart
    dialect: Dialect


class OperationSpec(NamedTuple):
    """One operation as its family declares it.

    Attributes:
        make: the factory.
        feature: what the feature is, for docs/operations.md.
        how: how exact the feature is, for the same page.
        inputs: the input types; None means any type that Avro can hold.
        k: the argument k; None if the operation does not have it.
        timed: whether the IR keeps values with their times; a list or map is then one value.
        ranked_structs: whether structs with `sort_key` (string) and `unique_id` (long) are inputs.
        decimals: whether decimals are inputs, if the dialect has them.
    """

    make: Callable[[OperationRequest], Aggregator]
    feature: str
    how: str = "exact"
    inputs: tuple[DataType, ...] | None = None
    k: K | None = None
    timed: bool = False
    ranked_structs: bool = False
    decimals: bool = False

    def takes(self, input_type: DataType, dialect: Dialect) -> bool:
        """Whether the operation takes inputs of this type."""
        if self.inputs is None or input_type in self.inputs:
            return True
        if isinstance(input_type, DecimalType):
            return self.decimals and dialect.decimals
        if not self.ranked_structs or not isinstance(input_type, StructType):
            return False
        fields = dict(input_type.fields)
        return (fields.get("sort_key"), fields.get("unique_id")) == (STRING, LONG)

    @property
    def keeps_values(self) -> bool:
        """Whether the IR holds whole inputs, also structs."""
        return self.timed or self.ranked_structs

    @property
    def inputs_text(self) -> str:
        """The input types, for people."""
        if self.inputs is None:
            return "any type"
        names = [input_type.name for input_type in self.inputs]
        if self.ranked_structs:
            names.append("struct with sort_key (string) and unique_id (long)")
        if self.decimals:
            names.append("decimal (zipline)")
        return ", ".join(names)


def with_decimals_as_doubles(
    make: Callable[[OperationRequest], Aggregator],
) -> Callable[[OperationRequest], Aggregator]:
    """The factory that makes the operation over doubles for inputs that are decimals."""

    def made(request: OperationRequest) -> Aggregator:
        if isinstance(request.input_type, DecimalType):
            return make(request._replace(input_type=DOUBLE)).over_decimals()
        return make(request)

    return made
