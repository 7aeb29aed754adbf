"""Rows of Arrow as Python values, also those that Python cannot hold."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.api.formats.python_values import python_row, rows_without_python_value

DAY, INSTANT = pa.date32(), pa.timestamp("us", tz="UTC")


def text(values: list[bytes | None]) -> pa.Array:
    """Text as Spark may hand it over: any bytes."""
    return pa.Array.from_buffers(pa.string(), len(values), pa.array(values, pa.binary()).buffers())


def python_has(column: pa.Array, index: int) -> bool:
    try:
        column[index].as_py()
    except (ValueError, OverflowError):
        return False
    return True


numbers = st.none() | st.integers(-(2**31), 2**31 - 1)
columns = st.one_of(
    st.lists(st.none() | st.binary(max_size=3)).map(text),
    st.lists(numbers).map(lambda days: pa.array(days, pa.int32()).cast(DAY)),
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)).map(
        lambda micros: pa.array(micros, pa.int64()).cast(INSTANT)
    ),
)


def nested(column: pa.Array) -> list[pa.Array]:
    offsets = pa.array(range(len(column) + 1), pa.int32())
    return [
        column,
        pa.StructArray.from_arrays([column], ["a"]),
        pa.ListArray.from_arrays(offsets, column),
        pa.MapArray.from_arrays(offsets, pa.array(["k"] * len(column), pa.string()), column),
    ]


@given(columns, st.integers(0, 3))
def test_exactly_the_rows_that_python_has_no_value_for_are_told_whatever_is_around(column, start):
    for each in nested(column):
        batch = pa.RecordBatch.from_arrays([each], ["x"])
        for part in (batch, batch.slice(start)):
            without = [i for i in range(len(part)) if not python_has(part.column(0), i)]
            assert sorted(rows_without_python_value(part)) == without
            for index in range(len(part)):
                assert set(python_row(part, index)) == {"x"}


@pytest.mark.parametrize(
    ("column", "shown", "reason"),
    [
        (text([b"a\xff"]), "a\\xff", "is no UTF-8 text"),
        (pa.array([-(2**31)], pa.int32()).cast(DAY), "-2147483648 days", "year 1 to 9999"),
        (pa.array([2**62], pa.int64()).cast(INSTANT), f"{2**62} us", "year 1 to 9999"),
        (pa.array([1], pa.timestamp("ns")), "1 ns from", "year 1 to 9999"),
    ],
)
def test_values_are_shown(column, shown, reason):
    batch = pa.RecordBatch.from_arrays([column], ["x"])
    assert shown in str(python_row(batch, 0)["x"])
    assert reason in rows_without_python_value(batch)[0]
