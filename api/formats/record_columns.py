"""Decoded values, one list per field, to one Arrow batch of a schema, and which do not fit it.

For serdes whose messages have types of their own (Protobuf, Thrift): values become columns of these
native types first, and are then cast to those that the job reads.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from chronon_beam.api.formats.json_values import Mismatch, sql_name
from chronon_beam.api.formats.table_columns import TableColumns
from chronon_beam.api.serde import Reasons

Value = Callable[[Any], object]
"""Takes a decoded message; gives the value of one field, as Arrow takes it."""

_REFUSALS = (pa.ArrowException, OverflowError, TypeError, ValueError)
"""What pyarrow raises for values that a type cannot hold."""


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
        # A table without columns has no rows: one that nobody asks for keeps their number.
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
