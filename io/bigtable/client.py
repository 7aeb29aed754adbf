"""The connection to one Bigtable instance, which the threads of a process share.

Credentials, channels and messages are those of Google's client library. Calls go to the raw stub,
which costs a tenth of the library's own batching (docs/performance.md).
"""

import logging
import os
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import NamedTuple

import grpc
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.api_core.gapic_v1.routing_header import to_grpc_metadata
from google.auth.exceptions import GoogleAuthError
from google.cloud.bigtable_v2 import types
from google.cloud.bigtable_v2.services.bigtable.transports import BigtableGrpcTransport

from chronon_beam.io.bigtable.adaptive_rate import AdaptiveRate
from chronon_beam.io.bigtable.call_watchdog import CallWatchdog, WatchedCall
from chronon_beam.io.bigtable.cells import mutate_rows_request
from chronon_beam.io.bigtable.errors import (
    EMULATOR_VARIABLE,
    BigtableError,
    cannot_drop,
    cannot_make,
    without_credentials,
)
from chronon_beam.io.bigtable.options import BigtableOptions
from chronon_beam.io.bigtable.reads import ReadRowsRequest
from chronon_beam.io.bigtable.tables import BigtableTables, by_hand
from chronon_beam.io.bigtable.write_order import WriteOrder

_HOST = "bigtable.googleapis.com:443"
_SERVICE = "/google.bigtable.v2.Bigtable/"
_CHANNEL_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.keepalive_time_ms", 30_000),
    # A call's answers are fetched by the thread that waits for them. Fetched by the channel's own
    # thread, some never came after a server had been stopped and stood up again.
    ("SingleThreadedUnaryStream", 1),
    # A store that is back is found within seconds; gRPC's own pauses grow to two minutes.
    ("grpc.max_reconnect_backoff_ms", 2000),
]

_log = logging.getLogger(__name__)

_ReadRowsRequest = types.ReadRowsRequest.pb()
_MutateRowsResponse = types.MutateRowsResponse.pb()
_ReadRowsResponse = types.ReadRowsResponse.pb()


class BigtableClient:
    """Calls to one instance, and what all its writers in this process share.

    Attributes:
        options: which instance, and how.
        order: keeps retried writes from overwriting younger ones.
        rate: the limit on rows per second.
        slots: a semaphore with one slot per call that may be under way.
        readers: threads that wait for answers; they start when they are needed.

    Raises:
        BigtableError: there are no credentials.
    """

    def __init__(self, options: BigtableOptions) -> None:
        self.options = options
        self.emulator = os.environ.get(EMULATOR_VARIABLE)
        self.order = WriteOrder()
        self.rate = AdaptiveRate(f"Bigtable {options.name}")
        self.slots = threading.BoundedSemaphore(options.in_flight)
        self.readers = ThreadPoolExecutor(32, "bigtable-read")
        self._made: set[str] = set()
        self._metadata: dict[str, tuple[tuple[str, str], ...]] = {}
        self._watchdog = CallWatchdog(self._reconnect)
        self._connect()

    def _connect(self) -> None:
        try:
            self._channel = (
                grpc.insecure_channel(self.emulator, _CHANNEL_OPTIONS)
                if self.emulator
                else BigtableGrpcTransport.create_channel(_HOST, options=_CHANNEL_OPTIONS)
            )
        except GoogleAuthError as error:
            raise without_credentials(self.options, error) from error
        self._mutate_rows = self._channel.unary_stream(
            f"{_SERVICE}MutateRows", None, _MutateRowsResponse.FromString
        )
        self._read_rows = self._channel.unary_stream(
            f"{_SERVICE}ReadRows",
            _ReadRowsRequest.SerializeToString,
            _ReadRowsResponse.FromString,
        )

    def mutate_rows(self, table: str, entries: Iterable[bytes]) -> WatchedCall:
        """Start a MutateRows call; gives its responses."""
        request = mutate_rows_request(self.table_name(table), self.options.app_profile, entries)
        timeout_s = self.options.attempt_ms / 1000
        call = self._mutate_rows(request, timeout=timeout_s, metadata=self._routing(table))
        return self._watchdog.watch(call, timeout_s)

    def read_rows(self, table: str, request: ReadRowsRequest, timeout_s: float) -> WatchedCall:
        """The responses to a ReadRowsRequest whose table and app profile are filled in here."""
        self._address(table, request)
        call = self._read_rows(request, timeout=timeout_s, metadata=self._routing(table))
        return self._watchdog.watch(call, timeout_s)

    def make(self, table: str) -> bool:
        """Make the table if it does not exist; gives whether it was made.

        Bigtable is asked once per table.

        Raises:
            BigtableError: the table does not exist and cannot be made.
        """
        if table in self._made:
            return False
        try:
            with closing(self._tables()) as tables:
                made = tables.make(table)
        except (GoogleAPICallError, RetryError) as error:
            command = by_hand(self.options, table)
            raise cannot_make(self.options, self.emulator, table, command, error) from error
        self._made.add(table)
        return made

    def remake(self, table: str) -> bool:
        """Make a table that was deleted, and log that; gives whether the table exists now."""
        self._made.discard(table)
        try:
            made = self.make(table)
        except BigtableError as error:
            _log.warning("%s", error)
            return False
        if made:
            _log.warning(
                "Bigtable %s: table %s was not there, it is made", self.options.name, table
            )
        return True

    def drop(self, table: str, prefix: bytes) -> None:
        """Drop the rows of a table whose keys begin with `prefix`.

        Raises:
            BigtableError: Bigtable refuses, or does not answer.
        """
        try:
            with closing(self._tables()) as tables:
                tables.drop_rows(table, prefix)
        except (GoogleAPICallError, RetryError) as error:
            raise cannot_drop(self.options, table, prefix, error) from error

    def _tables(self) -> BigtableTables:
        return BigtableTables(self.options, self._channel if self.emulator else None)

    def _reconnect(self) -> None:
        """Replace the connection of a call that hung, because its other calls may hang too."""
        _log.warning("Bigtable %s: a call has hung, connecting anew", self.options.name)
        self._connect()  # the old channel is freed with its last call

    def table_name(self, table: str) -> str:
        """The table's full name."""
        return f"{self.options.name}/tables/{table}"

    def close(self) -> None:
        """Close the connection."""
        self.readers.shutdown(wait=False)
        self._channel.close()

    def _address(self, table: str, request: ReadRowsRequest) -> None:
        request.table_name = self.table_name(table)
        request.app_profile_id = self.options.app_profile

    def _routing(self, table: str) -> tuple[tuple[str, str], ...]:
        """Google's front ends route by this header."""
        if table not in self._metadata:
            names = {"table_name": self.table_name(table)}
            names["app_profile_id"] = self.options.app_profile
            self._metadata[table] = (to_grpc_metadata(names),)
        return self._metadata[table]


class _Shared(NamedTuple):
    """An open client, and the ids of its users."""

    client: BigtableClient
    users: set[int]


_clients: dict[tuple[int, str | None, BigtableOptions], _Shared] = {}
"""The clients by process id, emulator and options: a forked process opens its own."""

_clients_lock = threading.Lock()


def shared_client(options: BigtableOptions, user: object) -> BigtableClient:
    """The process's client for these options; raises BigtableError."""
    key = os.getpid(), os.environ.get(EMULATOR_VARIABLE), options
    with _clients_lock:
        shared = _clients.get(key) or _Shared(BigtableClient(options), set())
        shared.users.add(id(user))
        _clients[key] = shared
    return shared.client


def release(client: BigtableClient, user: object) -> None:
    """Note that `user` does not need the client any more; the last user's release closes it."""
    with _clients_lock:
        for key, shared in list(_clients.items()):
            if shared.client is client:
                shared.users.discard(id(user))
                if not shared.users and key[0] == os.getpid():
                    del _clients[key]
                    client.close()
