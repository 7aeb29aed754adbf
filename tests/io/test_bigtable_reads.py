"""One call for many requests, and its chunks put together."""

from typing import Any

from google.cloud.bigtable_v2 import types
from hypothesis import given, settings
from hypothesis import strategies as st

from chronon_beam.api.records import GetRequest
from chronon_beam.io.bigtable_reads import RowsRead, Value, planned

DAY_MS = 86_400_000
NOW_MS = 20_000 * DAY_MS + 5
Chunk = types.ReadRowsResponse.CellChunk


def test_one_call_a_table_asks_only_for_the_days_of_each_request() -> None:
    requests = [
        GetRequest(b"a", "X_STREAMING", NOW_MS - DAY_MS, NOW_MS, 300_000),
        GetRequest(b"b", "Y_STREAMING", NOW_MS, NOW_MS + 1, 3_600_000),
        GetRequest(b"a", "X_BATCH", NOW_MS, NOW_MS + 1, 1),
        GetRequest(b"a", "X_STREAMING", NOW_MS, NOW_MS, 300_000),
    ]
    calls = planned(requests)
    assert list(calls) == ["GROUPBY_STREAMING", "GROUPBY_BATCH"]
    assert list(calls["GROUPBY_STREAMING"].request.rows.row_keys) == [
        b"X_STREAMING#a#1727913600000#300000",
        b"X_STREAMING#a#1728000000000#300000",
        b"Y_STREAMING#b#1728000000000#3600000",
    ]
    assert list(calls["GROUPBY_BATCH"].request.rows.row_keys) == [b"X_BATCH#a"]
    _, _, times = calls["GROUPBY_STREAMING"].request.filter.chain.filters
    assert times.timestamp_range_filter.start_timestamp_micros == (NOW_MS - DAY_MS) * 1000
    assert times.timestamp_range_filter.end_timestamp_micros == (NOW_MS + 1) * 1000


def test_a_day_ends_where_the_next_begins() -> None:
    day_ms = 20_000 * DAY_MS
    (call,) = planned([GetRequest(b"a", "X_STREAMING", day_ms, day_ms + DAY_MS, 1)]).values()
    assert len(call.request.rows.row_keys) == 1


rows = st.dictionaries(
    st.binary(min_size=1, max_size=3),
    st.lists(
        st.builds(
            Value,
            st.integers(0, 5),
            st.sampled_from([b"value", b"value@1"]),
            st.binary(max_size=9),
        ),
        min_size=1,
        max_size=4,
    ),
    max_size=4,
)


@settings(max_examples=40)
@given(rows, st.data())
def test_chunks_however_cut_give_the_rows(expected: dict[bytes, list[Value]], data: Any) -> None:
    chunks: list[Any] = []
    for key, values in expected.items():
        if data.draw(st.booleans()):  # Bigtable changed its mind: the row begins again
            chunks += [*_chunks(key, values[:1], data, commit=False), Chunk(reset_row=True)]
        chunks += _chunks(key, values, data, commit=True)
    read = RowsRead()
    while chunks:
        number = data.draw(st.integers(1, len(chunks)))
        read.add(types.ReadRowsResponse.pb(types.ReadRowsResponse(chunks=chunks[:number])))
        chunks = chunks[number:]
    assert read.rows == expected


def _chunks(key: bytes, values: list[Value], data: Any, commit: bool) -> list[Any]:
    """A column is named when it changes, a key once, and a cell may come in parts."""
    found: list[Any] = []
    column = None
    for value in values:
        head: dict[str, Any] = {"timestamp_micros": value.time_ms * 1000}
        if not found:
            head["row_key"] = key
        if value.qualifier != column:
            head["family_name"], head["qualifier"] = "cf", value.qualifier
        column = value.qualifier
        cut = data.draw(st.integers(0, len(value.content)))
        if 0 < cut < len(value.content):
            size = len(value.content)
            found.append(Chunk(**head, value=value.content[:cut], value_size=size))
            found.append(Chunk(value=value.content[cut:]))
        else:
            found.append(Chunk(**head, value=value.content))
    if commit:
        found[-1].commit_row = True
    return found
