"""Rows to one Arrow batch of a schema, and which rows do not fit it."""

from typing import NamedTuple

import pyarrow as pa

from chronon_beam.api.formats.json_values import Converter, Mismatch, converter
from chronon_beam.api.serde import Reasons

_REFUSALS = (pa.ArrowException, OverflowError, TypeError, ValueError)
"""What pyarrow raises for values that a type cannot hold."""


class _Column(NamedTuple):
    name: str
    type: pa.DataType
    converter: Converter


class JsonColumns:
    """Reads parsed JSON objects; compiled once per schema.

    Args:
        schema: of the batches.

    Raises:
        ValueError: JSON has no form for the type of a column.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._struct = pa.struct(list(schema))
        self._names = frozenset(schema.names)
        self._by_lower = {name.lower(): name for name in reversed(schema.names)}
        self._columns = [_column(field) for field in schema]

    def read(self, rows: list[dict[str, object]]) -> tuple[pa.RecordBatch, Reasons]:
        """The rows that fit, in order, and why the others do not. `rows` may be changed."""
        self._respell(rows)
        reasons: Reasons = {}
        as_they_are = [column for column in self._columns if not _convert(column, rows, reasons)]
        batch = self._tried(rows, reasons)
        if batch is None:
            for column in as_they_are:
                _convert_all(column, rows, reasons)
            batch = self._tried(rows, reasons)
        if batch is None:
            self._find_the_rest(rows, reasons)
            batch = self._batch(_without(rows, reasons))
        return batch, reasons

    def _tried(self, rows: list[dict[str, object]], reasons: Reasons) -> pa.RecordBatch | None:
        try:
            return self._batch(_without(rows, reasons))
        except _REFUSALS:
            return None

    def _respell(self, rows: list[dict[str, object]]) -> None:
        """Give fields that differ from a column in case only the column's spelling."""
        unknown = set[str]().union(*rows) - self._names
        others = {
            each: self._by_lower[each.lower()] for each in unknown if each.lower() in self._by_lower
        }
        if not others:
            return
        for row in rows:
            for spelling in [each for each in row if each in others]:
                row.setdefault(others[spelling], row[spelling])

    def _batch(self, rows: list[dict[str, object]]) -> pa.RecordBatch:
        columns = pa.array(rows, self._struct).flatten()
        if not columns:
            return pa.RecordBatch.from_struct_array(pa.array(rows, self._struct))
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def _find_the_rest(self, rows: list[dict[str, object]], reasons: Reasons) -> None:
        """Refuse rows that every converter takes and Arrow does not; no such row is known."""
        for index, row in enumerate(rows):
            if index not in reasons:
                try:
                    pa.array([row], self._struct)
                except _REFUSALS as error:
                    reasons[index] = f"does not fit the schema: {error}"


def _column(field: pa.Field) -> _Column:
    try:
        return _Column(field.name, field.type, converter(field.type))
    except ValueError as error:
        raise ValueError(
            f"column {field.name!r} cannot be read: {error}; leave it out of the schema"
        ) from None


def _convert(column: _Column, rows: list[dict[str, object]], reasons: Reasons) -> bool:
    """Convert the column where its values need it; whether it was done."""
    if column.converter.trusted:
        return False
    if column.converter.as_is:
        name = column.name
        if {type(row.get(name)) for row in rows} <= column.converter.as_is | {type(None)}:
            return False
    _convert_all(column, rows, reasons)
    return True


def _convert_all(column: _Column, rows: list[dict[str, object]], reasons: Reasons) -> None:
    name, convert = column.name, column.converter.convert
    for index, row in enumerate(rows):
        value = row.get(name)
        if value is not None:
            try:
                row[name] = convert(value)
            except Mismatch as mismatch:
                reasons.setdefault(index, mismatch.reason(name))


def _without(rows: list[dict[str, object]], reasons: Reasons) -> list[dict[str, object]]:
    return [row for i, row in enumerate(rows) if i not in reasons] if reasons else rows
