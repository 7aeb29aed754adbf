"""Reading many values at once: which rows to ask for, and which values the answers hold.

One ReadRows call asks for the rows of all requests to a table, whatever their keys, datasets and
tile sizes: for tiles one row per day. Bigtable reads the rows of a call one after the other, so
many rows are split among several calls.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from google.cloud.bigtable_v2 import types

from chronon_beam.api.records import GetRequest, TimedValue
from chronon_beam.io.bigtable.cells import (
    DAY_MS,
    FAMILY,
    QUALIFIER,
    row_key,
    row_prefix,
    split_row_key,
    table_of,
)

_MOST_DAYS = 400
"""Above this many days a request asks for the rows that exist, and not for the row of each day."""

_ROWS_PER_CALL = 25
"""Above this many rows there are several calls, at most `_CALLS` unless they get too large."""

_CALLS = 8
_CALL_BYTES = 400_000
"""A request may have 512 KiB: googleapis/google-cloud-python#6836."""

_END_MS = 1 << 50

_Request = types.ReadRowsRequest.pb()


class ReadRowsRequest(Protocol):
    """The fields of Google's message that are set here; `rows` and `filter` are messages too."""

    table_name: str
    app_profile_id: str
    rows: Any
    filter: Any


Value = tuple[int, bytes, bytes]
"""A cell's time (ms), column and content; sorts as the values of a request do.

A plain tuple and not a record, because the garbage collector does not visit tuples of such values.
"""

Cells = list[Value]
"""The cells of one row."""

_Wanted = list[bytes] | bytes
"""The row keys that one request asks for, or the prefix of all its rows."""


class TableRead(NamedTuple):
    """What is asked of one table.

    Attributes:
        requests: one per call, without the table's name.
        rows: (index, request, wanted rows) of each request that these calls answer.
    """

    requests: list[ReadRowsRequest]
    rows: list[tuple[int, GetRequest, _Wanted]]


def plan_reads(requests: Sequence[GetRequest]) -> dict[str, TableRead]:
    """The calls that answer the requests, by table; none for a request of an empty time range."""
    by_table: dict[str, list[tuple[int, GetRequest, _Wanted]]] = {}
    for index, request in enumerate(requests):
        if max(request.start_ms, 0) < request.end_ms:
            rows = by_table.setdefault(table_of(request.dataset), [])
            rows.append((index, request, _rows(request)))
    return {table: TableRead(_requests(rows), rows) for table, rows in by_table.items()}


def _rows(request: GetRequest) -> _Wanted:
    start_ms, end_ms = max(request.start_ms, 0), request.end_ms
    dataset, key, size_ms = request.dataset, request.key_bytes, request.tile_size_ms
    if dataset.endswith("_BATCH"):
        return [row_key(dataset, key, start_ms, size_ms)]
    first_ms = start_ms - start_ms % DAY_MS
    if (end_ms - first_ms) // DAY_MS > _MOST_DAYS:
        return row_prefix(dataset) + key + b"#"
    return [row_key(dataset, key, day_ms, size_ms) for day_ms in range(first_ms, end_ms, DAY_MS)]


def _requests(rows: list[tuple[int, GetRequest, _Wanted]]) -> list[ReadRowsRequest]:
    prefixes = {wanted for _, _, wanted in rows if isinstance(wanted, bytes)}
    keys = {row for _, _, wanted in rows if not isinstance(wanted, bytes) for row in wanted}
    only_tiles = all(each.tile_size_ms or each.dataset.endswith("_BATCH") for _, each, _ in rows)
    requests = []
    for portion in _portions([*sorted(prefixes), *sorted(keys)]):
        request = _Request()
        request.rows.row_keys.extend(row for row in portion if row in keys)
        for prefix in prefixes.intersection(portion):
            _add_prefix(request, prefix)
        _filter(
            request,
            QUALIFIER.decode() if only_tiles else None,
            min(max(each.start_ms, 0) for _, each, _ in rows),
            max(each.end_ms for _, each, _ in rows),
        )
        requests.append(request)
    return requests


def _portions(wanted: list[bytes]) -> Iterator[list[bytes]]:
    most = max(_ROWS_PER_CALL, -(-len(wanted) // _CALLS))
    portion: list[bytes] = []
    size = 0
    for each in wanted:
        encoded = 2 * len(each) + 20  # the size of a prefix; a key takes less
        if portion and (len(portion) == most or size + encoded > _CALL_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(each)
        size += encoded
    yield portion


def prefix_after(prefix: bytes, last: bytes) -> ReadRowsRequest:
    """The request for all rows whose key begins with `prefix`, which ends in `#`.

    If `last` is not empty, only rows after it.
    """
    request = _Request()
    _add_prefix(request, prefix)
    if last:
        request.rows.row_ranges[0].start_key_open = last
    request.filter.family_name_regex_filter = FAMILY
    return request


def _add_prefix(request: ReadRowsRequest, prefix: bytes) -> None:
    request.rows.row_ranges.add(start_key_closed=prefix, end_key_open=prefix[:-1] + b"$")


def _filter(request: ReadRowsRequest, qualifier: str | None, start_ms: int, end_ms: int) -> None:
    filters = request.filter.chain.filters
    filters.add(family_name_regex_filter=FAMILY)
    if qualifier is not None:
        filters.add(column_qualifier_regex_filter=qualifier.encode())
    times = filters.add().timestamp_range_filter
    times.start_timestamp_micros = start_ms * 1000
    # Zero leaves the end open: Bigtable has no times as late as these.
    times.end_timestamp_micros = end_ms * 1000 if end_ms < _END_MS else 0


class RowsRead:
    """The rows of a ReadRows call, put together from the chunks of its responses.

    Attributes:
        rows: the cells by row key, in the order in which the rows came.
    """

    def __init__(self) -> None:
        self.rows: dict[bytes, Cells] = {}
        self._row = self._qualifier = b""
        self._time_ms = 0
        self._cells: Cells = []
        self._parts: list[bytes] = []

    def add(self, response: Any) -> None:
        """Add one response; a cell may continue in the next response."""
        for chunk in response.chunks:
            if chunk.reset_row:
                self._cells, self._parts = [], []
                continue
            if not self._parts:
                if chunk.row_key:
                    self._row = chunk.row_key
                if chunk.HasField("qualifier"):
                    self._qualifier = chunk.qualifier.value
                self._time_ms = chunk.timestamp_micros // 1000
            content = chunk.value
            if self._parts or chunk.value_size:
                self._parts.append(content)
                if chunk.value_size:  # more of this cell is to come
                    continue
                content, self._parts = b"".join(self._parts), []
            self._cells.append((self._time_ms, self._qualifier, content))
            if chunk.commit_row:
                self.rows[self._row], self._cells = self._cells, []


def answers(read: TableRead, rows: dict[bytes, Cells]) -> dict[int, list[TimedValue]]:
    """The values of each request by its index, sorted by time."""
    keys = sorted(rows) if any(isinstance(wanted, bytes) for _, _, wanted in read.rows) else []
    return {
        index: _values(
            request, rows, _under(request, wanted, keys) if isinstance(wanted, bytes) else wanted
        )
        for index, request, wanted in read.rows
    }


def _under(request: GetRequest, prefix: bytes, keys: list[bytes]) -> list[bytes]:
    """The rows of the request's key, without rows of longer keys that begin with the prefix too."""
    found = []
    for position in range(bisect_left(keys, prefix), len(keys)):
        row = keys[position]
        if not row.startswith(prefix):
            break
        key = split_row_key(request.dataset, row)
        if key == (request.key_bytes, request.tile_size_ms):
            found.append(row)
    return found


def _values(
    request: GetRequest, rows: dict[bytes, Cells], wanted: Sequence[bytes]
) -> list[TimedValue]:
    start_ms, end_ms = request.start_ms, request.end_ms
    found = [
        value for row in wanted for value in rows.get(row, ()) if start_ms <= value[0] < end_ms
    ]
    found.sort()
    return [TimedValue(content, time_ms) for time_ms, _, content in found]
