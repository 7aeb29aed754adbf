"""Reading many values at once: which rows to ask for, and what the answers hold.

One ReadRows call a table takes the rows of all requests, of whatever keys, datasets and tile sizes:
for tiles one row a day that is asked for.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, NamedTuple

from google.cloud.bigtable_v2 import types

from chronon_beam.api.records import GetRequest, TimedValue
from chronon_beam.io.bigtable_rows import (
    DAY_MS,
    FAMILY,
    QUALIFIER,
    place_of,
    row_key,
    row_prefix,
    table_of,
)

_MOST_DAYS = 400
"""Of more days the rows that exist are looked for, instead of asking for each."""

_END_MS = 1 << 50

_Request = types.ReadRowsRequest.pb()


class Value(NamedTuple):
    """A cell's time, column and content; sorts as the values of a request do."""

    time_ms: int
    qualifier: bytes
    content: bytes


class TableRead(NamedTuple):
    """What is asked of one table.

    Attributes:
        request: without the table's name.
        rows: of each request its row keys, or the prefix of all its rows.
    """

    request: Any
    rows: list[tuple[int, GetRequest, list[bytes] | bytes]]


def planned(requests: Sequence[GetRequest]) -> dict[str, TableRead]:
    """The calls that answer the requests, by table; nothing for a request of an empty time."""
    by_table: dict[str, list[tuple[int, GetRequest, list[bytes] | bytes]]] = {}
    for index, request in enumerate(requests):
        if max(request.start_ms, 0) < request.end_ms:
            rows = by_table.setdefault(table_of(request.dataset), [])
            rows.append((index, request, _rows(request)))
    return {table: TableRead(_request(rows), rows) for table, rows in by_table.items()}


def _rows(request: GetRequest) -> list[bytes] | bytes:
    start_ms, end_ms = max(request.start_ms, 0), request.end_ms
    dataset, key, size_ms = request.dataset, request.key_bytes, request.tile_size_ms
    if dataset.endswith("_BATCH"):
        return [row_key(dataset, key, start_ms, size_ms)]
    first_ms = start_ms - start_ms % DAY_MS
    if (end_ms - first_ms) // DAY_MS > _MOST_DAYS:
        return row_prefix(dataset) + key + b"#"
    return [row_key(dataset, key, day_ms, size_ms) for day_ms in range(first_ms, end_ms, DAY_MS)]


def _request(rows: list[tuple[int, GetRequest, list[bytes] | bytes]]) -> Any:
    request = _Request()
    keys: set[bytes] = set()
    for _, _, wanted in rows:
        if isinstance(wanted, bytes):
            _add_prefix(request, wanted)
        else:
            keys.update(wanted)
    request.rows.row_keys.extend(sorted(keys))
    only_tiles = all(each.tile_size_ms or each.dataset.endswith("_BATCH") for _, each, _ in rows)
    _filter(
        request,
        QUALIFIER.decode() if only_tiles else None,
        min(max(each.start_ms, 0) for _, each, _ in rows),
        max(each.end_ms for _, each, _ in rows),
    )
    return request


def whole_prefix(prefix: bytes) -> Any:
    """The request for all that is in rows which begin so; the prefix ends in `#`."""
    request = _Request()
    _add_prefix(request, prefix)
    request.filter.family_name_regex_filter = FAMILY
    return request


def _add_prefix(request: Any, prefix: bytes) -> None:
    request.rows.row_ranges.add(start_key_closed=prefix, end_key_open=prefix[:-1] + b"$")


def _filter(request: Any, qualifier: str | None, start_ms: int, end_ms: int) -> None:
    filters = request.filter.chain.filters
    filters.add(family_name_regex_filter=FAMILY)
    if qualifier is not None:
        filters.add(column_qualifier_regex_filter=qualifier.encode())
    times = filters.add().timestamp_range_filter
    times.start_timestamp_micros = start_ms * 1000
    # Zero, which leaves the end open, for times that Bigtable has not got.
    times.end_timestamp_micros = end_ms * 1000 if end_ms < _END_MS else 0


class RowsRead:
    """The rows of a ReadRows call, put together from the chunks that come.

    Attributes:
        rows: the cells by row key, as they come.
    """

    def __init__(self) -> None:
        self.rows: dict[bytes, list[Value]] = {}
        self._row = self._qualifier = b""
        self._time_ms = 0
        self._cells: list[Value] = []
        self._parts: list[bytes] = []

    def add(self, response: Any) -> None:
        """Take one response; a cell may go on in the next."""
        for chunk in response.chunks:
            if chunk.reset_row:
                self._cells, self._parts = [], []
                continue
            if not self._parts:
                self._begin(chunk)
            if chunk.value_size:  # more of this cell is to come
                self._parts.append(chunk.value)
                continue
            content = b"".join((*self._parts, chunk.value)) if self._parts else chunk.value
            self._parts = []
            self._cells.append(Value(self._time_ms, self._qualifier, content))
            if chunk.commit_row:
                self.rows[self._row], self._cells = self._cells, []

    def _begin(self, chunk: Any) -> None:
        if chunk.row_key:
            self._row = chunk.row_key
        if chunk.HasField("qualifier"):
            self._qualifier = chunk.qualifier.value
        self._time_ms = chunk.timestamp_micros // 1000


def answers(read: TableRead, rows: dict[bytes, list[Value]]) -> dict[int, list[TimedValue]]:
    """The values of each request by its index, sorted by time."""
    keys = sorted(rows) if any(isinstance(wanted, bytes) for _, _, wanted in read.rows) else []
    return {
        index: _values(
            request, rows, _under(request, wanted, keys) if isinstance(wanted, bytes) else wanted
        )
        for index, request, wanted in read.rows
    }


def _under(request: GetRequest, prefix: bytes, keys: list[bytes]) -> list[bytes]:
    """The rows of the request's key; those of longer keys begin like them."""
    found = []
    for position in range(bisect_left(keys, prefix), len(keys)):
        row = keys[position]
        if not row.startswith(prefix):
            break
        place = place_of(request.dataset, row)
        if place == (request.key_bytes, request.tile_size_ms):
            found.append(row)
    return found


def _values(
    request: GetRequest, rows: dict[bytes, list[Value]], wanted: Sequence[bytes]
) -> list[TimedValue]:
    found: list[Value] = []
    for row in wanted:
        found += [
            value
            for value in rows.get(row, ())
            if request.start_ms <= value.time_ms < request.end_ms
        ]
    found.sort()
    return [TimedValue(value.content, value.time_ms) for value in found]
