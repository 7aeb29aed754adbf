"""Parquet files: types of columns, values, parts, and damage."""

import io
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chronon_beam.io.files.parquet import parquet_schema, read_parquet
from chronon_beam.io.files.parts import Part, parquet_parts


def table_of(messages) -> pa.Table:
    with pa.ipc.open_stream(messages.table) as stream:
        return stream.read_all()


def parquet(table: pa.Table, **kwargs: object) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **kwargs)
    return file.getvalue()


def test_parquet_columns_and_rows():
    table = pa.table({"i": list(range(25)), "s": pa.array(["a"] * 25).dictionary_encode()})
    data = parquet(table, row_group_size=7)
    assert parquet_schema(io.BytesIO(data)) == pa.schema([("i", pa.int64()), ("s", pa.string())])
    batches = list(read_parquet(io.BytesIO(data), Part("a.parquet"), 10))
    assert [i for batch in batches for i in table_of(batch)["i"].to_pylist()] == list(range(25))
    assert [p for batch in batches for p in batch.positions] == list(range(1, 26))
    assert max(len(batch.positions) for batch in batches) <= 10


def test_damaged_parquet_keeps_what_was_read_and_ends_with_an_error():
    table = pa.table({"i": list(range(3000))})
    data = bytearray(parquet(table, row_group_size=1000, compression="gzip", use_dictionary=False))
    middle = len(data) // 2
    data[middle - 200 : middle + 200] = b"\xff" * 400
    *good, last = read_parquet(io.BytesIO(bytes(data)), Part("a.parquet"), 1000)
    assert [i for batch in good for i in table_of(batch)["i"].to_pylist()] == list(range(1000))
    assert last.error
    assert last.positions == [1001]


def test_file_that_is_not_parquet_is_an_error():
    (only,) = read_parquet(io.BytesIO(b"{}\n"), Part("a.parquet"), 10)
    assert only.error


def test_parquet_parts_are_row_groups_with_the_records_before_them():
    data = parquet(pa.table({"i": list(range(25))}), row_group_size=7)
    parts = list(parquet_parts(io.BytesIO(data), Part("a.parquet"), size=1))
    assert [(part.start, part.stop, part.before) for part in parts] == [
        (0, 1, 0),
        (1, 2, 7),
        (2, 3, 14),
        (3, 4, 21),
    ]
    batches = [each for part in parts for each in read_parquet(io.BytesIO(data), part, 5)]
    assert [i for batch in batches for i in table_of(batch)["i"].to_pylist()] == list(range(25))
    assert [p for batch in batches for p in batch.positions] == list(range(1, 26))
    assert list(parquet_parts(io.BytesIO(data), Part("a.parquet"))) == [Part("a.parquet", 0, 4, 0)]
    assert list(parquet_parts(io.BytesIO(b"none"), Part("a.parquet"))) == [Part("a.parquet")]


def test_int96_of_any_year_is_right():
    years = [1, 1500, 1816, 1969, 2024, 9999]
    naive = [datetime(year, 12, 31, 1, 2, 3, 456789, UTC).replace(tzinfo=None) for year in years]
    times = pa.array(naive)
    data = parquet(pa.table({"t": times}), use_deprecated_int96_timestamps=True)
    assert parquet_schema(io.BytesIO(data)).field("t").type == pa.timestamp("us", tz="UTC")
    (messages,) = read_parquet(io.BytesIO(data), Part("a.parquet"), 10)
    found = table_of(messages)["t"].cast(pa.timestamp("us"))
    assert found.to_pylist() == times.to_pylist()


NANOS = pa.array([1_700_000_000_000_000_001, -1, -1000, -1001, None], pa.timestamp("ns"))
MICROS = [1_700_000_000_000_000, -1, -1, -2, None]
DURATION = pa.array(MICROS, pa.duration("us"))
EMBEDDINGS = [[1.0, 2.0], None, [3.0, None]]
DICTIONARY = pa.array(["a", "b", None, "a", "b"]).dictionary_encode()
OFFSETS = pa.array([0, 2, 2, 3, 4, 5], pa.int32())


@pytest.mark.parametrize(
    ("column", "kind", "values"),
    [
        (NANOS, pa.timestamp("us"), MICROS),
        (pa.array([b"abcd", None], pa.binary(4)), pa.binary(), [b"abcd", None]),
        (pa.array([b"a" * 16], pa.uuid()), pa.binary(), [b"a" * 16]),
        (pa.array(EMBEDDINGS, pa.list_(pa.float32(), 2)), pa.list_(pa.float32()), EMBEDDINGS),
        (pa.array([5, None], pa.duration("us")), pa.int64(), [5, None]),
        (pa.array(["x"], pa.large_string()), pa.string(), ["x"]),
        (
            pa.ListArray.from_arrays(OFFSETS, DICTIONARY),
            pa.list_(pa.string()),
            [["a", "b"], [], [None], ["a"], ["b"]],
        ),
        (
            pa.StructArray.from_arrays([DICTIONARY, DURATION], ["d", "n"]),
            pa.struct([("d", pa.string()), ("n", pa.int64())]),
            [{"d": d, "n": n} for d, n in zip(DICTIONARY.to_pylist(), MICROS, strict=True)],
        ),
        (
            pa.MapArray.from_arrays(OFFSETS, pa.array(list("vwxyz")), DICTIONARY),
            pa.map_(pa.string(), pa.string()),
            [[("v", "a"), ("w", "b")], [], [("x", None)], [("y", "a")], [("z", "b")]],
        ),
    ],
)
def test_columns_have_the_types_of_spark(column, kind, values):
    data = parquet(pa.table({"x": column}))
    assert parquet_schema(io.BytesIO(data)).field("x").type == kind
    batches = read_parquet(io.BytesIO(data), Part("a.parquet"), 2)
    found = pa.chunked_array([c for each in batches for c in table_of(each)["x"].chunks], kind)
    if pa.types.is_timestamp(kind):
        found = found.cast(pa.int64())
    assert found.to_pylist() == values


def test_only_the_columns_that_are_wanted_are_read_in_any_case():
    table = pa.table({"I": [1, 2], "a.b": ["x", "y"], "other": NANOS[:2]})
    data = parquet(table)
    for names, found in [(["i"], ["I"]), (["a.b"], ["a.b"]), (["gone"], [])]:
        (messages,) = read_parquet(io.BytesIO(data), Part("a.parquet"), 10, names)
        assert table_of(messages).column_names == found
        assert messages.positions == [1, 2]
