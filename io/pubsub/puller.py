"""Threads of a reader: two pull messages ahead of the bundles, one extends their leases."""

import logging
import time
from collections.abc import Callable, Sequence
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, NamedTuple

from chronon_beam.io.batches import ROWS
from chronon_beam.io.pubsub.leases import EXTENDED_S, Leases, MessageLease
from chronon_beam.io.pubsub.subscription import Subscription

_log = logging.getLogger(__name__)

_THREADS = 2
_AHEAD = 2
"""How many pulls may wait for bundles, beside one per thread."""

MOST_HELD = 500_000
"""While so many messages are not acknowledged, no more are pulled."""

_PAUSE_S = 1.0
_REPEAT_S = 60.0
_UNUSED_S = 600.0
"""The leases of a reader that no bundle has asked for so long are no longer extended."""


class Pulled(NamedTuple):
    """What one pull gave: Google's PubsubMessages, and their lease."""

    messages: Sequence[Any]
    lease: MessageLease


class Puller:
    """Pulls a subscription from its construction until it is closed.

    While the server does not answer, it waits, and says so in the log: when that begins, once a
    minute, and when it is over.
    """

    def __init__(self, subscription: Subscription, leases: Leases) -> None:
        self._subscription = subscription
        self._leases = leases
        self._ahead: Queue[Pulled] = Queue(_AHEAD)
        self._closed = Event()
        self._refusal: PermissionError | None = None
        self._down_since: float | None = None
        self._said_at = 0.0
        self._used_at = time.monotonic()
        for work in (*[self._pull] * _THREADS, self._extend):
            Thread(target=self._until_closed, args=(work,), daemon=True, name="pubsub").start()

    @property
    def is_down(self) -> bool:
        """Whether the server does not answer."""
        return self._down_since is not None

    def next(self, wait_s: float) -> Pulled | None:
        """The next pull, or None if none comes in time; raises PermissionError."""
        self._used_at = time.monotonic()
        try:
            return self._ahead.get(timeout=wait_s) if wait_s > 0 else self._ahead.get_nowait()
        except Empty:
            if self._refusal is not None:
                raise self._refusal from None
            return None

    def close(self) -> None:
        """Tell the threads to end."""
        self._closed.set()

    def _until_closed(self, work: Callable[[], None]) -> None:
        while not self._closed.is_set():
            try:
                work()
            except ConnectionError as error:
                self._note(error)
                self._closed.wait(_PAUSE_S)
            except PermissionError as error:
                self._refusal = error
                self._closed.wait(_PAUSE_S)
            except ValueError:  # what grpc raises if the channel was closed in the meantime
                if not self._closed.is_set():
                    raise

    def _pull(self) -> None:
        if self._leases.number >= MOST_HELD:
            self._closed.wait(_PAUSE_S)
            return
        received = self._subscription.pull(ROWS)
        self._back()
        if not received:
            return
        lease = self._leases.add([each.ack_id for each in received], time.monotonic())
        pulled = Pulled([each.message for each in received], lease)
        while not self._closed.is_set():
            try:
                self._ahead.put(pulled, timeout=_PAUSE_S)
                return
            except Full:
                continue

    def _extend(self) -> None:
        now = time.monotonic()
        due = self._leases.due(now) if now - self._used_at < _UNUSED_S else []
        if due:
            self._subscription.extend([ack_id for lease in due for ack_id in lease.ack_ids])
            for lease in due:
                lease.ends_s = now + EXTENDED_S
        self._closed.wait(_PAUSE_S)

    def _note(self, error: ConnectionError) -> None:
        now = time.monotonic()
        if self._closed.is_set() or now - self._said_at < _REPEAT_S:
            return
        self._said_at = now
        self._down_since = self._down_since or now
        _log.warning("%s; waiting, since %.0f s", error, now - self._down_since)

    def _back(self) -> None:
        if self._down_since is not None:
            _log.warning("Pub/Sub answers again")
            self._down_since, self._said_at = None, 0.0
