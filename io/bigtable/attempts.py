"""ReadRows calls that are repeated for a while after errors that may pass."""

import time
from collections.abc import Iterator

import grpc

from chronon_beam.io.bigtable import codes
from chronon_beam.io.bigtable.call_watchdog import WatchedCall
from chronon_beam.io.bigtable.client import BigtableClient
from chronon_beam.io.bigtable.errors import BigtableError, cannot_read
from chronon_beam.io.bigtable.reads import Cells, ReadRowsRequest, RowsRead, prefix_after

_SCAN_TIMEOUT_S = 600.0
"""The longest that one call of a scan may take; the next call continues where it ended."""


class Patience:
    """The time limit of one read, and the pauses between its attempts.

    Args:
        wait_ms: how long the read may be tried.
    """

    def __init__(self, wait_ms: int) -> None:
        self._until_s = time.monotonic() + wait_ms / 1000
        self._number = 0

    @property
    def left_s(self) -> float:
        """The time that the next attempt may take."""
        return max(0.001, self._until_s - time.monotonic())

    def pause_s(self, error: grpc.RpcError) -> float | None:
        """How long to wait before the next attempt; None if there is no next attempt."""
        self._number += 1
        pause_s = codes.pause_s(self._number)
        passes = codes.may_pass(codes.status_of(error), self._number)
        return pause_s if passes and pause_s < self.left_s else None


class ReadAttempts:
    """A read whose first attempt is under way."""

    def __init__(
        self, client: BigtableClient, table: str, request: ReadRowsRequest, wait_ms: int
    ) -> None:
        self._client, self._table, self._request = client, table, request
        self._patience = Patience(wait_ms)
        self._responses = self._call()

    def rows(self) -> dict[bytes, Cells]:
        """Wait for the rows; gives the cells by row key; raises BigtableError."""
        while True:
            read = RowsRead()
            try:
                for response in self._responses:
                    read.add(response)
                return read.rows
            except grpc.RpcError as error:
                if is_missing_table(error):
                    return {}
                pause_s = self._patience.pause_s(error)
                if pause_s is None:
                    raise _failed(self._client, self._table, error) from error
            time.sleep(pause_s)
            self._responses = self._call()

    def cancel(self) -> None:
        """End the call, whose rows are not needed any more."""
        self._responses.cancel()

    def _call(self) -> WatchedCall:
        timeout_s = min(self._patience.left_s, self._client.options.attempt_ms / 1000)
        return self._client.read_rows(self._table, self._request, timeout_s)


def scan_rows(
    client: BigtableClient, table: str, prefix: bytes, wait_ms: int
) -> Iterator[tuple[bytes, Cells]]:
    """All rows whose key begins with `prefix`, by row key; continues where a call broke off.

    Raises:
        BigtableError: no row came for `wait_ms`, or an error came that does not pass.
    """
    last = b""
    patience: Patience | None = None
    while True:
        read = RowsRead()
        responses = client.read_rows(table, prefix_after(prefix, last), _SCAN_TIMEOUT_S)
        try:
            for response in responses:
                read.add(response)
                for last, values in read.rows.items():
                    yield last, values
                if read.rows:
                    read.rows, patience = {}, None
            return
        except grpc.RpcError as error:
            if is_missing_table(error):
                return
            patience = patience or Patience(wait_ms)
            pause_s = patience.pause_s(error)
            if pause_s is None:
                raise _failed(client, table, error) from error
        finally:
            responses.cancel()
        time.sleep(pause_s)


def is_missing_table(error: grpc.RpcError) -> bool:
    """Whether the error says that there is no such table, and so no values."""
    status = codes.status_of(error)
    return status.code == codes.NOT_FOUND and "table" in status.message.lower()


def _failed(client: BigtableClient, table: str, error: grpc.RpcError) -> BigtableError:
    return cannot_read(client.options, client.emulator, table, codes.status_of(error))
