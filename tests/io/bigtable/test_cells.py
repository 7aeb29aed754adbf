"""Where values lie, and that our wire bytes are what Google's own classes read."""

import pytest
from google.cloud.bigtable_v2 import types
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.api.records import PutRequest
from chronon_beam.io.bigtable.cells import (
    Cell,
    RowKey,
    cells_of,
    entry,
    mutate_rows_request,
    row_key,
    split_row_key,
    table_of,
)

DAY_MS = 86_400_000
cells = st.builds(
    Cell,
    st.binary(min_size=1, max_size=300),
    st.binary(min_size=1, max_size=200),
    st.integers(0, 1 << 50),
)


@given(st.dictionaries(cells, st.binary(max_size=40_000), max_size=5), st.sampled_from(["", "p-1"]))
def test_requests_read_as_googles_own_messages(entries: dict[Cell, bytes], profile: str) -> None:
    table = "projects/p/instances/i/tables/t"
    written = mutate_rows_request(table, profile, [entry(c, v) for c, v in entries.items()])
    expected = types.MutateRowsRequest(
        table_name=table,
        app_profile_id=profile,
        entries=[googles_entry(cell, value) for cell, value in entries.items()],
    )
    assert types.MutateRowsRequest.deserialize(written) == expected


def googles_entry(cell: Cell, value: bytes) -> types.MutateRowsRequest.Entry:
    micros = cell.time_ms * 1000
    column = {"family_name": "cf", "column_qualifier": cell.qualifier}
    times = types.TimestampRange(start_timestamp_micros=micros, end_timestamp_micros=micros + 1000)
    delete = types.Mutation.DeleteFromColumn(**column, time_range=times)
    put = types.Mutation.SetCell(**column, timestamp_micros=micros, value=value)
    mutations = [types.Mutation(delete_from_column=delete), types.Mutation(set_cell=put)]
    return types.MutateRowsRequest.Entry(row_key=cell.row_key, mutations=mutations)


@given(
    st.sampled_from(["A_STREAMING", "A_STREAMING_REPAIRS", "OTHER"]),
    st.binary(max_size=20) | st.sampled_from([b"#", b"#1#2", b"#1#"]),
    st.integers(0, 1 << 45),
    st.integers(0, 1 << 40),
)
def test_row_keys_tell_key_and_size_back(dataset: str, key: bytes, time: int, size: int) -> None:
    assert split_row_key(dataset, row_key(dataset, key, time, size)) == RowKey(key, size)


def test_rows_of_no_layout_have_no_place() -> None:
    assert split_row_key("A_STREAMING", b"A_STREAMING#k") is None
    assert split_row_key("A_STREAMING", b"A_STREAMING#k#x#1") is None
    assert split_row_key("A_BATCH", b"A_BATCH#k#x#1") == RowKey(b"k#x#1", 1)


def test_datasets_share_ziplines_tables() -> None:
    names = ["A_BATCH", "A_STREAMING", "A_STREAMING_REPAIRS", "CHRONON_METADATA"]
    assert [table_of(name) for name in names] == [
        "GROUPBY_BATCH",
        "GROUPBY_STREAMING",
        "GROUPBY_STREAMING",
        "CHRONON_METADATA",
    ]
    with pytest.raises(ValueError, match="no name for a table"):
        table_of("x" * 51)


def test_requests_of_one_cell_are_one_write_and_bad_ones_are_told() -> None:
    good = PutRequest(b"k", b"v", "A_STREAMING", 7, DAY_MS, 300_000)
    before = good._replace(tile_start_ms=-1)
    placed, refused = cells_of([good, before, good._replace(value_bytes=b"w"), good])
    cell = Cell(b"A_STREAMING#k#86400000#300000", b"value", DAY_MS)
    assert placed == {"GROUPBY_STREAMING": {cell: [0, 2, 3]}}
    assert list(refused) == [1]
    assert "no times before 1970" in refused[1]


def test_untiled_rows_have_a_column_each() -> None:
    put = PutRequest(b"k", b"v", "A_STREAMING", 7, 7, 0, "events/3@12")
    placed, _ = cells_of([put, put._replace(position="events/3@13")])
    row = b"A_STREAMING#k#0#0"
    assert list(placed["GROUPBY_STREAMING"]) == [
        Cell(row, b"value@events/3@12", 7),
        Cell(row, b"value@events/3@13", 7),
    ]
