"""Arrow tables to one Arrow batch of a schema, and which rows do not fit it.

Casts are those of Spark where a value stays what it is: to a wider type, to a decimal (rounded half
up), to a struct with fields in another order or case. What would lose more is refused, row by row.
"""

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute

from chronon_beam.api.formats.json_values import Mismatch, sql_name
from chronon_beam.api.formats.python_values import python_value
from chronon_beam.api.serde import Reasons

compute: Any = pyarrow.compute
"""Its functions are made at run time, where no type checker sees them."""

_WIDEST = 76
"""Digits of the widest decimals."""
_WIDE = Context(prec=_WIDEST)


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
    index = _index(table.column_names, field.name)
    if index is None:
        return pa.nulls(table.num_rows, field.type)
    column = table.column(index).combine_chunks()
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _index(names: list[str], wanted: str) -> int | None:
    """Of the exact name, else of the first that differs in case only."""
    if wanted in names:
        return names.index(wanted)
    return next((i for i, name in enumerate(names) if name.lower() == wanted.lower()), None)


def _cast(column: pa.Array, field: pa.Field, reasons: Reasons) -> pa.Array:
    if column.type == field.type:
        return column
    if not _same_kind(column.type, field.type):
        return _refused(column, field, reasons)
    column = _near(column, field.type)
    options = compute.CastOptions(field.type, allow_time_truncate=True)
    try:
        return column.cast(options=options)
    except pa.ArrowException:
        return _cast_each(column, field, options, reasons)


def _refused(column: pa.Array, field: pa.Field, reasons: Reasons) -> pa.Array:
    remedy = "leave the column out of the schema, or give it its own type there"
    reason = (
        f"column {field.name!r}: {sql_name(column.type)} is no {sql_name(field.type)}: {remedy}"
    )
    for index in column.is_valid().to_numpy(zero_copy_only=False).nonzero()[0].tolist():
        reasons.setdefault(index, reason)
    return pa.nulls(len(column), field.type)


def _cast_each(column: pa.Array, field: pa.Field, options: Any, reasons: Reasons) -> pa.Array:
    values: list[pa.Array] = []
    for index in range(len(column)):
        try:
            values.append(column.slice(index, 1).cast(options=options))
        except pa.ArrowException:
            mismatch = Mismatch(sql_name(field.type), python_value(column, index))
            reasons.setdefault(index, mismatch.reason(field.name))
            values.append(pa.nulls(1, field.type))
    return pa.concat_arrays(values)


def _near(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The array in a form that Arrow casts to `kind` as Spark does: structs have its fields."""
    if array.offset and pa.types.is_nested(array.type):
        array = pa.concat_arrays([array, array[:0]])
    if pa.types.is_struct(kind) and pa.types.is_struct(array.type):
        names = [each.name for each in array.type]
        fields = [_near_field(array, _index(names, each.name), each.type) for each in kind]
        return pa.StructArray.from_arrays(
            fields, [each.name for each in kind], mask=array.is_null()
        )
    if pa.types.is_list(kind) and pa.types.is_list(array.type):
        values = _near(array.values, kind.value_type)
        buffers = array.buffers()[:2]
        return pa.Array.from_buffers(pa.list_(values.type), len(array), buffers, children=[values])
    if pa.types.is_map(kind) and pa.types.is_map(array.type):
        return _near_map(array, kind)
    return _rounded(array, kind) if pa.types.is_decimal(kind) else array


def _near_field(array: pa.Array, index: int | None, kind: pa.DataType) -> pa.Array:
    return pa.nulls(len(array), kind) if index is None else _near(array.field(index), kind)


def _near_map(array: pa.Array, kind: pa.DataType) -> pa.Array:
    keys, items = _near(array.keys, kind.key_type), _near(array.items, kind.item_type)
    near = pa.map_(keys.type, items.type)
    entries = pa.StructArray.from_arrays([keys, items], fields=[near.key_field, near.item_field])
    return pa.Array.from_buffers(near, len(array), array.buffers()[:2], children=[entries])


def _rounded(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Numbers as decimals of the scale of `kind`, of any length."""
    if pa.types.is_floating(array.type):
        step = Decimal(1).scaleb(-kind.scale)
        values = [_decimal(value, step) for value in array.to_pylist()]
        return pa.array(values, pa.decimal256(_WIDEST, kind.scale))
    if pa.types.is_integer(array.type):
        return array.cast(pa.decimal256(_WIDEST, kind.scale))
    if pa.types.is_decimal(array.type) and array.type.scale > kind.scale:
        return compute.round(array, kind.scale, round_mode="half_towards_infinity")
    return array


def _decimal(value: float | None, step: Decimal) -> Decimal | None:
    """As Spark casts a double: by its shortest digits; NaN and what is too long are null."""
    if value is None or abs(value) >= 10.0 ** (_WIDEST // 2) or value != value:
        return None
    return Decimal(repr(value)).quantize(step, ROUND_HALF_UP, _WIDE)


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
]


def _same_kind(have: pa.DataType, want: pa.DataType) -> bool:
    """Whether a cast only changes the width: Arrow would also read numbers out of strings."""
    if pa.types.is_dictionary(have):
        return _same_kind(have.value_type, want)
    if pa.types.is_null(have):
        return True
    if pa.types.is_struct(have) and pa.types.is_struct(want):
        names = [each.name for each in have]
        found = [(_index(names, each.name), each.type) for each in want]
        return all(at is None or _same_kind(have.field(at).type, kind) for at, kind in found)
    if pa.types.is_map(have) and pa.types.is_map(want):
        keys = _same_kind(have.key_type, want.key_type)
        return keys and _same_kind(have.item_type, want.item_type)
    if _is_list(have) and _is_list(want):
        return _same_kind(have.value_type, want.value_type)
    return have.id == want.id or any(kind(have) and kind(want) for kind in _KINDS)


def _is_list(kind: pa.DataType) -> bool:
    return (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )
