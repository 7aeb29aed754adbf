"""Decoded values, one list per field, to one Arrow batch of a schema, and which do not fit it.

For serdes whose messages have types of their own (Protobuf, Thrift): values become columns of these
native types first, and are then cast to those that the job reads.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from chronon_beam.api.formats.json_values import Mismatch, sql_name
from chronon_beam.api.formats.refused import refused
from chronon_beam.api.formats.table_columns import TableColumns
from chronon_beam.api.serde import Reasons

Value = Callable[[Any], object]
"""Takes a decoded message; gives the value of one field, as Arrow takes it."""

_REFUSALS = (pa.ArrowException, OverflowError, TypeError, ValueError)
"""What pyarrow raises for values that a type cannot hold."""


class RecursiveField(ValueError):
    """A field whose record holds itself: there is no column type for it.

    Attributes:
        field: the name of the message's field, which may hold the record at some depth.
    """

    def __init__(self, reason: str, field: str = "") -> None:
        super().__init__(reason)
        self.field = field


class RecordField(NamedTuple):
    """A field as a column: its type, and what gets its value out of a message."""

    name: str
    type: pa.DataType
    value: Value


Fields = Iterable[RecordField | RecursiveField]


def fields_schema(fields: Fields) -> pa.Schema:
    """The columns of fields; one that holds itself is refused if a query reads it."""
    return pa.schema(
        [
            refused(each.field, str(each))
            if isinstance(each, RecursiveField)
            else pa.field(each.name, each.type)
            for each in fields
        ]
    )


def fields_columns(fields: Fields, columns: pa.Schema) -> "RecordColumns":
    """What reads messages of these fields into `columns`.

    Raises:
        RecursiveField: a column holds itself.
    """
    wanted = {name.lower() for name in columns.names}
    found: list[RecordField] = []
    for each in fields:
        if not isinstance(each, RecursiveField):
            found.append(each)
        elif each.field.lower() in wanted:
            raise each
    native = pa.schema([(each.name, each.type) for each in found])
    return RecordColumns(native, {each.name: each.value for each in found}, columns)


class RecordColumns:
    """Reads the fields of messages that are columns of `columns`; compiled once per decoder.

    Args:
        native: the types that the messages' own schema gives to its fields.
        values: how to get each field of `native` out of a message, by name.
        columns: the columns to make; one that `native` does not have is null.
    """

    def __init__(self, native: pa.Schema, values: dict[str, Value], columns: pa.Schema) -> None:
        wanted = {name.lower() for name in columns.names}
        self._native = pa.schema([field for field in native if field.name.lower() in wanted])
        self._values = [values[name] for name in self._native.names]
        self._columns = TableColumns(columns)

    def read(self, messages: Sequence[object]) -> tuple[pa.RecordBatch, Reasons]:
        """The rows of the messages that fit, in order, and why the others do not, by index."""
        reasons: Reasons = {}
        arrays = [
            _array(_values(messages, value, field.name, reasons), field, reasons)
            for value, field in zip(self._values, self._native, strict=True)
        ]
        kept = [index for index in range(len(messages)) if index not in reasons]
        table = self._table(arrays, len(messages))
        if reasons:
            table = table.take(pa.array(kept, pa.int64()))
        batch, unfit = self._columns.read(table)
        return batch, reasons | {kept[index]: reason for index, reason in unfit.items()}

    def _table(self, arrays: list[pa.Array], rows: int) -> pa.Table:
        if arrays:
            return pa.Table.from_arrays(arrays, schema=self._native)
        # A table without columns has no rows: a column that nobody reads keeps their number.
        return pa.table({"": pa.nulls(rows)})


def _values(messages: Sequence[object], value: Value, name: str, reasons: Reasons) -> list[object]:
    """One field of all messages; None, and the reason is kept, where it cannot be made."""
    try:
        return [value(message) for message in messages]
    except ValueError:
        return [_one(index, each, value, name, reasons) for index, each in enumerate(messages)]


def _one(index: int, message: object, value: Value, name: str, reasons: Reasons) -> object:
    try:
        return value(message)
    except ValueError as error:
        reasons.setdefault(index, f"column {name!r}: {error}")
        return None


def _array(values: list[object], field: pa.Field, reasons: Reasons) -> pa.Array:
    try:
        return pa.array(values, field.type)
    except _REFUSALS:
        fitting = [_fitting(i, each, field, reasons) for i, each in enumerate(values)]
        return pa.array(fitting, field.type)


def _fitting(index: int, value: object, field: pa.Field, reasons: Reasons) -> object:
    """The value if its type can hold it; else None, and the reason is kept."""
    try:
        pa.array([value], field.type)
    except _REFUSALS:
        reasons.setdefault(index, Mismatch(sql_name(field.type), value).reason(field.name))
        return None
    return value
