"""Arrow values that Python has no value for: text that is not UTF-8, dates before 1 and after 9999.

Spark makes both (`CAST(unbase64(b) AS STRING)`, a date of the year 12000), Arrow carries both, and
`as_py` raises for both.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute

compute: Any = pyarrow.compute
"""Its functions are made at run time, where no type checker sees them."""

_NO_VALUE = (OverflowError, ValueError)
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAYS = (date.min.toordinal() - _EPOCH_DAY, date.max.toordinal() - _EPOCH_DAY)
_SECONDS = (_DAYS[0] * 86_400, (_DAYS[1] + 1) * 86_400 - 1)


def rows_without_python_value(batch: pa.RecordBatch) -> dict[int, str]:
    """Why rows of a batch have no Python values, by their index; mostly empty.

    >>> days = pa.record_batch({"day": pa.array([0, 4_000_000], pa.date32())})
    >>> rows_without_python_value(days)
    {1: "column 'day': 4000000 days from 1970-01-01 is no date that can be kept, of year 1 to 9999"}
    """
    reasons: dict[int, str] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if not _is_sound(column):
            for index in range(len(column)):
                try:
                    column[index].as_py()
                except _NO_VALUE:
                    reasons.setdefault(index, f"column {name!r}: {_why_not(column, index)}")
    return reasons


def python_value(column: pa.Array | pa.ChunkedArray, index: int) -> Any:
    """The value at `index`, or a text that shows it where Python has none."""
    try:
        return column[index].as_py()
    except _NO_VALUE:
        return _shown(column, index)


def python_row(batch: pa.RecordBatch | pa.Table, index: int) -> dict[str, Any]:
    """The values of a row by column, for people to read; see `python_value`."""
    return {name: python_value(batch.column(i), index) for i, name in enumerate(batch.schema.names)}


def _is_sound(column: pa.Array) -> bool:
    """Whether all values surely have one in Python; False if some may not."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _is_valid(column)
    if pa.types.is_date32(kind):
        return _within(column.cast(pa.int32()), *_DAYS)
    if pa.types.is_timestamp(kind):
        low, high = (seconds * _PER_SECOND[kind.unit] for seconds in _SECONDS)
        # Nanoseconds have no value in Python unless they are whole microseconds.
        return kind.unit != "ns" and _within(column.cast(pa.int64()), low, high)
    if not pa.types.is_nested(kind):
        return True
    if pa.types.is_struct(kind):
        return all(_is_sound(child) for child in column.flatten())
    if pa.types.is_map(kind):
        return _is_sound(column.keys) and _is_sound(column.items)
    return _is_sound(column.flatten())


def _is_valid(column: pa.Array) -> bool:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _within(numbers: pa.Array, low: int, high: int) -> bool:
    extremes: Mapping[str, Any] = compute.min_max(numbers).as_py()
    return extremes["min"] is None or low <= extremes["min"] <= extremes["max"] <= high


def _why_not(column: pa.Array, index: int) -> str:
    shown = _shown(column, index)
    if pa.types.is_date32(column.type):
        return f"{shown} is no date that can be kept, of year 1 to 9999"
    if pa.types.is_timestamp(column.type):
        return f"{shown} is no time that can be kept, of year 1 to 9999"
    if pa.types.is_string(column.type):
        return f"{shown!r} is no UTF-8 text"
    return f"{shown} holds text that is not UTF-8, or a time outside of the years 1 to 9999"


def _shown(column: pa.Array | pa.ChunkedArray, index: int) -> str:
    scalar, kind = column[index], column.type
    if isinstance(scalar, (pa.StringScalar, pa.LargeStringScalar)):
        return scalar.as_buffer().to_pybytes().decode(errors="backslashreplace")
    if isinstance(scalar, pa.Date32Scalar):
        return f"{scalar.value} days from 1970-01-01"
    if isinstance(scalar, pa.TimestampScalar):
        return f"{scalar.value} {kind.unit} from 1970-01-01"
    return f"a {kind}"
