"""One call for many requests, and its chunks put together."""

from typing import Any

from google.cloud.bigtable_v2 import types
from hypothesis import given, settings
from hypothesis import strategies as st

from chronon_beam.api.records import GetRequest
from chronon_beam.io.bigtable.reads import RowsRead, Value, plan_reads, prefix_after

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
    calls = plan_reads(requests)
    assert list(calls) == ["GROUPBY_STREAMING", "GROUPBY_BATCH"]
    (streaming,), (batch,) = (call.requests for call in calls.values())
    assert list(streaming.rows.row_keys) == [
        b"X_STREAMING#a#1727913600000#300000",
        b"X_STREAMING#a#1728000000000#300000",
        b"Y_STREAMING#b#1728000000000#3600000",
    ]
    assert list(batch.rows.row_keys) == [b"X_BATCH#a"]
    _, _, times = streaming.filter.chain.filters
    assert times.timestamp_range_filter.start_timestamp_micros == (NOW_MS - DAY_MS) * 1000
    assert times.timestamp_range_filter.end_timestamp_micros == (NOW_MS + 1) * 1000


def test_a_day_ends_where_the_next_begins() -> None:
    day_ms = 20_000 * DAY_MS
    (call,) = plan_reads([GetRequest(b"a", "X_STREAMING", day_ms, day_ms + DAY_MS, 1)]).values()
    (request,) = call.requests
    assert len(request.rows.row_keys) == 1


def test_many_rows_are_split_into_some_calls_that_together_ask_for_each_row_once() -> None:
    day_ms = 20_000 * DAY_MS

    def sizes(keys: int, days: int, key_bytes: int = 5) -> list[int]:
        asked = [
            GetRequest(b"%0*d" % (key_bytes, k), "X_STREAMING", day_ms, day_ms + days * DAY_MS, 1)
            for k in range(keys)
        ]
        (read,) = plan_reads([*asked, *asked[:3]]).values()
        rows = [row for request in read.requests for row in request.rows.row_keys]
        assert len(rows) == len(set(rows)) == keys * days
        assert set(rows) == {row for _, _, wanted in read.rows for row in wanted}
        # Bigtable refuses requests of 512 KiB.
        assert max(len(request.SerializeToString()) for request in read.requests) < 500_000
        return [len(request.rows.row_keys) for request in read.requests]

    assert sizes(25, 1) == [25]
    assert sizes(100, 1) == [25] * 4
    assert sizes(500, 1) == [63] * 7 + [59]
    assert len(sizes(500, 31)) == 8
    assert len(sizes(500, 31, 500)) > 8


def test_prefixes_of_requests_without_an_end_are_split_like_rows() -> None:
    asked = [GetRequest(b"%03d" % k, "X_STREAMING", 0, 1 << 62, DAY_MS) for k in range(60)]
    (read,) = plan_reads([*asked, asked[0]._replace(end_ms=DAY_MS)]).values()
    ranges = [r.start_key_closed for request in read.requests for r in request.rows.row_ranges]
    assert sorted(ranges) == [b"X_STREAMING#%03d#" % k for k in range(60)]
    assert sum(len(request.rows.row_keys) for request in read.requests) == 1
    assert len(read.requests) == 3


def test_rest_of_a_scan_begins_after_the_last_row() -> None:
    (whole,) = prefix_after(b"X_STREAMING#", b"").rows.row_ranges
    assert (whole.start_key_closed, whole.end_key_open) == (b"X_STREAMING#", b"X_STREAMING$")
    (rest,) = prefix_after(b"X_STREAMING#", b"X_STREAMING#a#0#1").rows.row_ranges
    assert not rest.start_key_closed
    assert (rest.start_key_open, rest.end_key_open) == (b"X_STREAMING#a#0#1", b"X_STREAMING$")


rows = st.dictionaries(
    st.binary(min_size=1, max_size=3),
    st.lists(
        st.tuples(
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
    for time_ms, qualifier, content in values:
        head: dict[str, Any] = {"timestamp_micros": time_ms * 1000}
        if not found:
            head["row_key"] = key
        if qualifier != column:
            head["family_name"], head["qualifier"] = "cf", qualifier
        column = qualifier
        cut = data.draw(st.integers(0, len(content)))
        if 0 < cut < len(content):
            found.append(Chunk(**head, value=content[:cut], value_size=len(content)))
            found.append(Chunk(value=content[cut:]))
        else:
            found.append(Chunk(**head, value=content))
    if commit:
        found[-1].commit_row = True
    return found
