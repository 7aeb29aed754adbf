"""Arrow tables to one Arrow batch of a schema, and which rows do not fit it."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from chronon_beam.api.formats.json_values import Mismatch, sql_name
from chronon_beam.api.formats.python_values import python_value
from chronon_beam.api.serde import Reasons


class TableColumns:
    """Casts Arrow tables to `schema`, by column name; a column that is missing is null."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema

    def read(self, table: pa.Table) -> tuple[pa.RecordBatch, Reasons]:
        """The rows that can be cast without loss, and why the others cannot."""
        reasons: Reasons = {}
        columns = [_cast(_found(table, field), field, reasons) for field in self._schema]
        if reasons:
            kept = pa.array([i for i in range(table.num_rows) if i not in reasons], pa.int64())
            columns = [column.take(kept) for column in columns]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema), reasons


def _found(table: pa.Table, field: pa.Field) -> pa.Array:
    names = table.column_names
    exact = [i for i, name in enumerate(names) if name == field.name]
    cased = [i for i, name in enumerate(names) if name.lower() == field.name.lower()]
    for index in exact or cased:
        column = table.column(index).combine_chunks()
        return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return pa.nulls(table.num_rows, field.type)


def _cast(column: pa.Array, field: pa.Field, reasons: Reasons) -> pa.Array:
    if column.type == field.type:
        return column
    options = pc.CastOptions(field.type, allow_time_truncate=True)
    try:
        if _same_kind(column.type, field.type):
            return column.cast(options=options)
    except pa.ArrowException:
        return _cast_each(column, field, options, reasons)
    remedy = "leave the column out of the schema, or give it its own type there"
    reason = (
        f"column {field.name!r}: {sql_name(column.type)} is no {sql_name(field.type)}: {remedy}"
    )
    for index in column.is_valid().to_numpy(zero_copy_only=False).nonzero()[0].tolist():
        reasons.setdefault(index, reason)
    return pa.nulls(len(column), field.type)


def _cast_each(
    column: pa.Array, field: pa.Field, options: pc.CastOptions, reasons: Reasons
) -> pa.Array:
    values: list[pa.Array] = []
    for index in range(len(column)):
        try:
            values.append(column.slice(index, 1).cast(options=options))
        except pa.ArrowException:
            mismatch = Mismatch(sql_name(field.type), python_value(column, index))
            reasons.setdefault(index, mismatch.reason(field.name))
            values.append(pa.nulls(1, field.type))
    return pa.concat_arrays(values)


_KINDS: list[Callable[[pa.DataType], bool]] = [
    lambda t: pa.types.is_integer(t) or pa.types.is_floating(t) or pa.types.is_decimal(t),
    lambda t: pa.types.is_string(t) or pa.types.is_large_string(t) or t == pa.string_view(),
    lambda t: (
        pa.types.is_binary(t)
        or pa.types.is_large_binary(t)
        or pa.types.is_fixed_size_binary(t)
        or t == pa.binary_view()
    ),
    lambda t: pa.types.is_timestamp(t) or pa.types.is_date(t),
    lambda t: pa.types.is_list(t) or pa.types.is_large_list(t) or pa.types.is_fixed_size_list(t),
]


def _same_kind(have: pa.DataType, want: pa.DataType) -> bool:
    """Whether a cast only changes the width: Arrow would also read numbers out of strings."""
    if pa.types.is_dictionary(have):
        return _same_kind(have.value_type, want)
    if pa.types.is_null(have) or have.id == want.id:
        return True
    return any(kind(have) and kind(want) for kind in _KINDS)
