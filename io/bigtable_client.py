"""The connection to one Bigtable instance: what a process shares between its threads.

Google's client library gives credentials, channels and messages; calls go to the raw stub, which
costs a tenth of what the library's own batching costs (docs/performance.md).
"""

import logging
import os
import threading
from collections.abc import Iterable
from typing import Any

import grpc
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.api_core.gapic_v1.routing_header import to_grpc_metadata
from google.auth.exceptions import GoogleAuthError
from google.cloud.bigtable_v2 import types
from google.cloud.bigtable_v2.services.bigtable.transports import BigtableGrpcTransport

from chronon_beam.io.adaptive_rate import AdaptiveRate
from chronon_beam.io.bigtable_options import BigtableOptions
from chronon_beam.io.bigtable_rows import mutate_rows_request
from chronon_beam.io.bigtable_tables import BigtableTables, explained
from chronon_beam.io.call_watchdog import CallWatchdog
from chronon_beam.io.write_order import WriteOrder

EMULATOR_VARIABLE = "BIGTABLE_EMULATOR_HOST"

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


class BigtableError(RuntimeError):
    """Bigtable cannot be reached, or refuses; the message says which instance and what to do."""


class BigtableClient:
    """Calls to one instance, and what all writers of this process to it have in common.

    Attributes:
        options: which instance, and how.
        order: keeps retried writes from undoing younger ones.
        rate: how fast the instance takes rows.
        slots: one for each call that may be under way.

    Raises:
        BigtableError: there are no credentials.
    """

    def __init__(self, options: BigtableOptions) -> None:
        self.options = options
        self.emulator = os.environ.get(EMULATOR_VARIABLE)
        self.order = WriteOrder()
        self.rate = AdaptiveRate(f"Bigtable {options.name}")
        self.slots = threading.BoundedSemaphore(options.in_flight)
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
            raise BigtableError(_without_credentials(self.options, error)) from error
        self._mutate_rows = self._channel.unary_stream(
            f"{_SERVICE}MutateRows", None, _MutateRowsResponse.FromString
        )
        self._read_rows = self._channel.unary_stream(
            f"{_SERVICE}ReadRows",
            _ReadRowsRequest.SerializeToString,
            _ReadRowsResponse.FromString,
        )

    def mutate_rows(self, table: str, entries: Iterable[bytes]) -> Any:
        """Start a MutateRows call; gives gRPC's iterator of responses."""
        request = mutate_rows_request(self.table_name(table), self.options.app_profile, entries)
        timeout_s = self.options.attempt_ms / 1000
        call = self._mutate_rows(request, timeout=timeout_s, metadata=self._routing(table))
        return self._watchdog.watch(call, timeout_s)

    def read_rows(self, table: str, request: Any, timeout_s: float) -> Iterable[Any]:
        """The responses to a ReadRowsRequest whose table and app profile are filled in here."""
        self._address(table, request)
        call = self._read_rows(request, timeout=timeout_s, metadata=self._routing(table))
        return self._watchdog.watch(call, timeout_s)

    def make(self, table: str) -> None:
        """Make the table if there is none, and look only once; raises BigtableError."""
        if table in self._made:
            return
        try:
            self._tables.make(table)
        except (GoogleAPICallError, RetryError) as error:
            raise BigtableError(explained(error, self.options, table)) from error
        self._made.add(table)

    def remake(self, table: str) -> bool:
        """Make a table that is gone, and say so; whether it is there now."""
        self._made.discard(table)
        try:
            self.make(table)
        except BigtableError as error:
            _log.warning("%s", error)
            return False
        _log.warning("Bigtable %s: table %s was not there, it is made", self.options.name, table)
        return True

    def _reconnect(self) -> None:
        """After a call that hung: others of its connection might."""
        _log.warning("Bigtable %s: a call has hung, connecting anew", self.options.name)
        self._connect()  # the old channel goes when the last call lets go of it

    @property
    def _tables(self) -> BigtableTables:
        return BigtableTables(self.options, self._channel if self.emulator else None)

    def table_name(self, table: str) -> str:
        """The table's full name."""
        return f"{self.options.name}/tables/{table}"

    def close(self) -> None:
        """Let go of the connection."""
        self._channel.close()

    def _address(self, table: str, request: Any) -> None:
        request.table_name = self.table_name(table)
        request.app_profile_id = self.options.app_profile

    def _routing(self, table: str) -> tuple[tuple[str, str], ...]:
        """Google's front ends route by this header."""
        if table not in self._metadata:
            names = {"table_name": self.table_name(table)}
            names["app_profile_id"] = self.options.app_profile
            self._metadata[table] = (to_grpc_metadata(names),)
        return self._metadata[table]


def _without_credentials(options: BigtableOptions, error: Exception) -> str:
    return (
        f"Bigtable {options.name}: no credentials: {error} "
        "Run `gcloud auth application-default login`, set GOOGLE_APPLICATION_CREDENTIALS, or set "
        f"{EMULATOR_VARIABLE} to use an emulator."
    )


_clients: dict[tuple[int, str | None, BigtableOptions], tuple[BigtableClient, int]] = {}
"""Those of this process that are open, and how many stores use each."""

_clients_lock = threading.Lock()


def _client_key(options: BigtableOptions) -> tuple[int, str | None, BigtableOptions]:
    return os.getpid(), os.environ.get(EMULATOR_VARIABLE), options


def shared_client(options: BigtableOptions) -> BigtableClient:
    """The process's client for these options; raises BigtableError."""
    key = _client_key(options)
    with _clients_lock:
        client, users = _clients.get(key) or (BigtableClient(options), 0)
        _clients[key] = client, users + 1
    return client


def release(client: BigtableClient) -> None:
    """One store uses it no more; the last one closes it."""
    with _clients_lock:
        for key, (known, users) in list(_clients.items()):
            if known is client:
                if users > 1:
                    _clients[key] = client, users - 1
                else:
                    del _clients[key]
                    client.close()
