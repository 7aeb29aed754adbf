"""One run at a time writes to a dataset: the one that holds the lease.

If two runs wrote at a time, the tiles of each would lack the other's events. A key-value store has
no locks, so a run writes a lease into the ledger, and renews it as long as the run lasts. A run
whose process has ended, or which has not renewed its lease for a minute, counts as dead.
"""

import json
import os
import socket
import threading
import time
from contextlib import suppress
from typing import NamedTuple

from chronon_beam.api.records import GetRequest
from chronon_beam.io.kv_store import KVStore
from chronon_beam.io.runs.ledger import LEASE_KEY, LEDGER, SIZE_MS, put

RENEWED_S = 10.0
"""The time between two renewals."""

EXPIRES_MS = 60_000
_SETTLED_S = 0.2
"""How long to wait for the write of another run that takes the lease at the same moment."""


class DatasetInUse(RuntimeError):
    """Another run writes to the dataset."""


class Holder(NamedTuple):
    """Who holds a lease.

    Attributes:
        run: the run's id.
        host: name of the machine that it was started on.
        process: id of the process there.
        renewed_ms: when the run last renewed the lease; 0 once it has ended.
    """

    run: str
    host: str
    process: int
    renewed_ms: int

    def is_alive(self, now_ms: int) -> bool:
        """Whether the run may still be writing."""
        if self.host == socket.gethostname() and not _runs(self.process):
            return False
        return now_ms - self.renewed_ms < EXPIRES_MS


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # the process is another user's
        return True
    return True


def holder(store: KVStore, dataset: str) -> Holder | None:
    """The run that took the lease last; None if no run ever did."""
    asked = GetRequest(LEASE_KEY, LEDGER.format(dataset), 0, 1, SIZE_MS)
    with suppress(FileNotFoundError):  # a store that is one file, before it was written to
        found = store.multi_get([asked])[0]
        return Holder(*json.loads(found[0].value_bytes)) if found else None
    return None


def require_free(store: KVStore, dataset: str) -> None:
    """Raise DatasetInUse if another run is writing to the dataset."""
    found, now_ms = holder(store, dataset), _now_ms()
    if found is None or not found.is_alive(now_ms):
        return
    raise DatasetInUse(
        f"{dataset} is being written by run {found.run} (process {found.process} on {found.host}, "
        f"seen {max(0, now_ms - found.renewed_ms) // 1000} s ago): wait for its end. If that "
        f"machine is lost, start again in {EXPIRES_MS // 1000} s"
    )


class Lease:
    """The lease of one run: a context manager, in which a thread renews the lease.

    Args:
        store: where the ledger is; must stay open.
        dataset: what the run writes to.
        run: the run's id.

    Raises:
        DatasetInUse: another run holds the lease; raised by `__enter__`.
    """

    def __init__(self, store: KVStore, dataset: str, run: str) -> None:
        self._store, self._dataset, self._run = store, dataset, run
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> "Lease":
        require_free(self._store, self._dataset)
        self._note(_now_ms())
        time.sleep(_SETTLED_S)
        found = holder(self._store, self._dataset)
        if found is not None and found.run != self._run:
            raise DatasetInUse(f"{self._dataset}: run {found.run} began at the same moment")
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        self._thread.join()
        with suppress(Exception):  # the lease expires by itself
            self._note(0)

    def _renew(self) -> None:
        while not self._ended.wait(RENEWED_S):
            with suppress(Exception):  # it is renewed again soon
                self._note(_now_ms())

    def _note(self, renewed_ms: int) -> None:
        noted = Holder(self._run, socket.gethostname(), os.getpid(), renewed_ms)
        ledger = LEDGER.format(self._dataset)
        put(self._store, ledger, LEASE_KEY, json.dumps(noted).encode())


def _now_ms() -> int:
    return int(time.time() * 1000)
