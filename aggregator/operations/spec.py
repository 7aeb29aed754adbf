"""How an operation is declared: what makes it, which inputs it takes, and what users read of it."""

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
"""Input types whose equal values hash alike."""


class K(NamedTuple):
    """The argument k of an operation: its default (None: it must be given) and its bounds."""

    default: int | None = None
    least: int = 1
    most: int | None = None


class Asked(NamedTuple):
    """What a factory makes an operation of: the input type and the declaration."""

    input_type: DataType
    k: int
    part: AggregationPart
    dialect: Dialect


class OperationSpec(NamedTuple):
    """One operation as its family declares it.

    Attributes:
        make: the factory.
        feature: what the feature is, for docs/operations.md.
        how: how exact it is, for the same page.
        inputs: the input types; None: any that Avro can hold.
        k: its argument k; None where it has none.
        timed: it keeps the value of an event with its time; a list or map is one value to it.
        ranked_structs: it takes structs with `sort_key` (string) and `unique_id` (long) as well.
        decimals: it takes decimals as well, where the dialect has them.
    """

    make: Callable[[Asked], Aggregator]
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
        """Whether its IR holds whole inputs, structs too."""
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


def with_decimals_as_doubles(make: Callable[[Asked], Aggregator]) -> Callable[[Asked], Aggregator]:
    """The factory that makes the operation over doubles for inputs that are decimals."""

    def made(asked: Asked) -> Aggregator:
        if isinstance(asked.input_type, DecimalType):
            return make(asked._replace(input_type=DOUBLE)).over_decimals()
        return make(asked)

    return made
