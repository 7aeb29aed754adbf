"""The KV store on Google Cloud Bigtable, in zipline's layout (see `bigtable_rows`)."""

import asyncio
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import grpc

from chronon_beam.api.records import GetRequest, PutRequest, TimedValue
from chronon_beam.io import bigtable_reads as reads
from chronon_beam.io.bigtable_attempts import (
    ReadAttempts,
    is_missing_table,
    read_failed,
)
from chronon_beam.io.bigtable_client import (
    BigtableClient,
    BigtableError,
    release,
    shared_client,
)
from chronon_beam.io.bigtable_options import BigtableOptions
from chronon_beam.io.bigtable_rows import (
    BATCH_TABLE,
    DAY_MS,
    STREAMING_TABLE,
    cells_of,
    entry,
    place_of,
    row_prefix,
    table_of,
)
from chronon_beam.io.bigtable_writer import BigtableWriter
from chronon_beam.io.kv_store import Bounds, KVStore, StoredValue

_SCAN_TIMEOUT_S = 3600.0

_readers = ThreadPoolExecutor(32, "bigtable-read")
"""Threads that wait for answers; they start when they are needed."""

_log = logging.getLogger(__name__)


class BigtableStore(KVStore):
    """Keeps its datasets in one instance.

    Writing waits while the instance is down, and tries again what may pass: what `multi_put` gives
    back as failed has failed for good.

    Args:
        options: which instance, and how.

    Raises:
        BigtableError: there are no credentials.
    """

    tries_again = True

    def __init__(self, options: BigtableOptions) -> None:
        self._options = options
        self.bounds = Bounds(options.rows, options.bytes, options.age_ms)
        self._client: BigtableClient = shared_client(options)
        self._writer = BigtableWriter(self._client)
        self._told_of_old_cells = options.max_age_ms is None

    @property
    def retried(self) -> int:
        """How many requests were sent again, since the store was opened."""
        return self._writer.retried

    def create(self, dataset: str) -> None:
        """Make the dataset's table, which it shares with others of its kind.

        Raises:
            BigtableError: it is not there and cannot be made.
        """
        row_prefix(dataset)
        self._client.make(table_of(dataset))

    def multi_put(self, requests: list[PutRequest]) -> list[str | None]:
        """Write all; of several writes of one cell only the last is sent."""
        if not self._told_of_old_cells:
            self._look_for_old_cells(requests)
        placed, refused = cells_of(requests)
        reasons: list[str | None] = [None] * len(requests)
        for index, reason in refused.items():
            reasons[index] = reason
        for table, cells in placed.items():
            entries = {
                cell: entry(cell, requests[indices[-1]].value_bytes)
                for cell, indices in cells.items()
            }
            for cell, reason in self._writer.write(table, entries).items():
                for index in cells[cell]:
                    reasons[index] = f"Bigtable table {table}: {reason}"
        return reasons

    def _look_for_old_cells(self, requests: list[PutRequest]) -> None:
        """What is older than the table's rule allows is taken, and gone soon: say so once."""
        oldest_ms = time.time() * 1000 - (self._options.max_age_ms or 0)
        old = [
            each
            for each in requests
            if each.tile_start_ms < oldest_ms
            and table_of(each.dataset) in (STREAMING_TABLE, BATCH_TABLE)
        ]
        if old:
            self._told_of_old_cells = True
            _log.warning(
                "Bigtable %s: values of %s that are further back than max_age (%d d) are being "
                "written, for example of %s: Bigtable drops them; use max_age=none to keep them",
                self._options.name,
                old[0].dataset,
                (self._options.max_age_ms or 0) // DAY_MS,
                datetime.fromtimestamp(old[0].tile_start_ms / 1000, UTC).isoformat(),
            )

    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        """One ReadRows a table; raises BigtableError."""
        planned = reads.planned(requests)
        # Calls to several tables are under way at a time.
        begun = [
            (read, ReadAttempts(self._client, table, read.request, self._read_wait_ms))
            for table, read in planned.items()
        ]
        found: list[list[TimedValue]] = [[] for _ in requests]
        for read, attempts in begun:
            for index, values in reads.answers(read, attempts.rows()).items():
                found[index] = values
        return found

    async def multi_get_async(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        """`multi_get` for an event loop; 32 reads of a process may be under way at a time."""
        # In threads: one kind of call, with one watchdog and one way to try again, for both.
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_readers, self.multi_get, requests)

    @property
    def _read_wait_ms(self) -> int:
        return self._options.wait_ms if self.patient else self._options.read_wait_ms

    def scan(self, dataset: str) -> Iterator[StoredValue]:
        """Row by row, in the order of row keys; raises BigtableError."""
        request = reads.whole_prefix(row_prefix(dataset))
        table = table_of(dataset)
        rows = reads.RowsRead()
        try:
            for response in self._client.read_rows(table, request, _SCAN_TIMEOUT_S):
                rows.add(response)
                complete, rows.rows = rows.rows, {}
                for row, values in complete.items():
                    yield from _stored(dataset, row, values)
        except grpc.RpcError as error:
            if not is_missing_table(error):
                raise BigtableError(read_failed(self._options, table, error)) from error

    def close(self) -> None:
        """Let go of the connection, when no other store of the process uses it."""
        release(self._client)

    def __reduce__(self) -> tuple[type, tuple[BigtableOptions]]:
        return BigtableStore, (self._options,)


def _stored(dataset: str, row: bytes, values: list[reads.Value]) -> Iterator[StoredValue]:
    place = place_of(dataset, row)
    if place is not None:
        for value in sorted(values):
            timed = TimedValue(value.content, value.time_ms)
            yield StoredValue(place.key_bytes, place.tile_size_ms, timed)
