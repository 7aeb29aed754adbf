"""The KV store on Google Cloud Bigtable, in zipline's layout (see `cells`)."""

import asyncio
import logging
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import NamedTuple

from chronon_beam.api.records import GetRequest, PutRequest, StoredValue, TimedValue
from chronon_beam.io.bigtable import reads
from chronon_beam.io.bigtable.attempts import ReadAttempts, scan_rows
from chronon_beam.io.bigtable.cells import (
    BATCH_TABLE,
    DAY_MS,
    STREAMING_TABLE,
    cells_of,
    entry,
    row_prefix,
    split_row_key,
    table_of,
)
from chronon_beam.io.bigtable.client import BigtableClient, release, shared_client
from chronon_beam.io.bigtable.options import BigtableOptions
from chronon_beam.io.bigtable.writer import BigtableWriter
from chronon_beam.io.kv_store import Bounds, KVStore

_log = logging.getLogger(__name__)


class _ProcessConnection(NamedTuple):
    """The connection of a store in one process; a forked process needs another connection."""

    process: int
    client: BigtableClient
    writer: BigtableWriter


class BigtableStore(KVStore):
    """Keeps its datasets in one instance.

    A write waits while the instance is down and is sent again after errors that may pass: a request
    that `multi_put` gives back as failed has failed for good.

    Args:
        options: which instance, and how.

    Raises:
        BigtableError: there are no credentials.
    """

    tries_again = True

    def __init__(self, options: BigtableOptions) -> None:
        self._options = options
        self.bounds = Bounds(options.rows, options.bytes, options.age_ms)
        self._warned_of_old_cells = options.max_age_ms is None
        self._connected = self._connect()

    def _connect(self) -> "_ProcessConnection":
        client = shared_client(self._options, self)
        return _ProcessConnection(os.getpid(), client, BigtableWriter(client))

    @property
    def _here(self) -> "_ProcessConnection":
        if self._connected.process != os.getpid():
            self._connected = self._connect()
        return self._connected

    @property
    def retried(self) -> int:
        """How many requests were sent again since the store was opened."""
        return self._here.writer.retried

    def reach(self) -> None:
        """Read any key, to find out whether the instance answers; raises BigtableError."""
        self.multi_get([GetRequest(b"", "CHRONON_METADATA", 0, 1, 1)])

    def create(self, dataset: str) -> None:
        """Make the dataset's table, which several datasets share.

        Raises:
            BigtableError: the table does not exist and cannot be made.
        """
        row_prefix(dataset)
        self._here.client.make(table_of(dataset))

    def multi_put(self, requests: list[PutRequest]) -> list[str | None]:
        """Write all requests; of several writes of one cell only the last is sent."""
        if not self._warned_of_old_cells:
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
            for cell, reason in self._here.writer.write(table, entries).items():
                for index in cells[cell]:
                    reasons[index] = f"Bigtable table {table}: {reason}"
        return reasons

    def _look_for_old_cells(self, requests: list[PutRequest]) -> None:
        """Warn once if tiles are older than the table keeps them: Bigtable takes and drops them."""
        oldest_ms = time.time() * 1000 - (self._options.max_age_ms or 0)
        old = [
            each
            for each in requests
            if each.tile_start_ms < oldest_ms
            and table_of(each.dataset) in (STREAMING_TABLE, BATCH_TABLE)
        ]
        if old:
            self._warned_of_old_cells = True
            _log.warning(
                "Bigtable %s: values of %s that are further back than max_age (%d d) are being "
                "written, for example of %s: Bigtable drops them; use max_age=none to keep them",
                self._options.name,
                old[0].dataset,
                (self._options.max_age_ms or 0) // DAY_MS,
                datetime.fromtimestamp(old[0].tile_start_ms / 1000, UTC).isoformat(),
            )

    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        """One ReadRows call per table, or several for many rows; raises BigtableError."""
        planned = reads.plan_reads(requests)
        begun: dict[str, list[ReadAttempts]] = {table: [] for table in planned}
        found: list[list[TimedValue]] = [[] for _ in requests]
        try:
            # All calls are started before the first answer is awaited.
            for table, read in planned.items():
                for request in read.requests:
                    attempts = ReadAttempts(self._here.client, table, request, self._read_wait_ms)
                    begun[table].append(attempts)
            for table, read in planned.items():
                rows = {row: cells for each in begun[table] for row, cells in each.rows().items()}
                for index, values in reads.answers(read, rows).items():
                    found[index] = values
        finally:
            for each in chain.from_iterable(begun.values()):
                each.cancel()
        return found

    async def multi_get_async(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        """`multi_get` for an event loop; a process has at most 32 such reads at a time."""
        # In threads, so that both ways to read have the same calls, watchdog and repetitions.
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._here.client.readers, self.multi_get, requests)

    @property
    def _read_wait_ms(self) -> int:
        return self._options.wait_ms if self.patient else self._options.read_wait_ms

    def scan(self, dataset: str) -> Iterator[StoredValue]:
        """Row by row, in the order of row keys; raises BigtableError."""
        prefix, wait_ms = row_prefix(dataset), self._read_wait_ms
        for row, values in scan_rows(self._here.client, table_of(dataset), prefix, wait_ms):
            yield from _stored(dataset, row, values)

    def drop(self, dataset: str) -> None:
        """Have Bigtable drop all rows of the dataset, which needs the right to change tables.

        Raises:
            BigtableError: Bigtable refuses, or does not answer.
        """
        self._here.client.drop(table_of(dataset), row_prefix(dataset))

    def close(self) -> None:
        """Close the connection, unless another store of the process uses it."""
        release(self._connected.client, self)

    def __reduce__(self) -> tuple[type, tuple[BigtableOptions]]:
        return BigtableStore, (self._options,)


def _stored(dataset: str, row: bytes, values: reads.Cells) -> Iterator[StoredValue]:
    key = split_row_key(dataset, row)
    if key is not None:
        for time_ms, _, content in sorted(values):
            timed = TimedValue(content, time_ms)
            yield StoredValue(key.key_bytes, key.tile_size_ms, timed)
