"""The leases of the messages that a reader holds.

The server gives each message with a lease. Until the lease ends, no other reader gets the message.
A lease ends by itself, unless it is extended. A message takes this way:

    pulled -> given out by a bundle -> that bundle and a later one are final -> acknowledged
"""

from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock

FIRST_S = 10.0
"""How long the leases of a pull last at least: the shortest that a subscription may have."""

EXTENDED_S = 60
"""How long leases last when they are extended. The messages of a dead reader are held so long."""

_EARLY_S = 6.0


@dataclass(eq=False)
class MessageLease:
    """The lease of the messages of one pull.

    Attributes:
        ack_ids: the server's ids of the deliveries, one per message.
        ends_s: when the lease ends, by a clock that never goes back.
    """

    ack_ids: list[str]
    ends_s: float


class Leases:
    """The leases of one reader; may be used by several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: dict[MessageLease, None] = {}
        self._taken: list[MessageLease] = []
        self._number = 0

    @property
    def number(self) -> int:
        """How many messages are held."""
        return self._number

    def add(self, ack_ids: list[str], now_s: float) -> MessageLease:
        """Add the lease of messages that were pulled at `now_s`."""
        lease = MessageLease(ack_ids, now_s + FIRST_S)
        with self._lock:
            self._held[lease] = None
            self._number += len(ack_ids)
        return lease

    def take(self, leases: Iterable[MessageLease]) -> None:
        """Note that a bundle gives out the messages of these leases."""
        self._taken += leases

    def pop_taken(self) -> list[MessageLease]:
        """The leases that were taken since the last call."""
        found, self._taken = self._taken, []
        return found

    def end(self, leases: Iterable[MessageLease]) -> list[str]:
        """Remove leases; gives the ids of their messages, without those removed before."""
        with self._lock:
            ended = [lease for lease in leases if lease in self._held]
            for lease in ended:
                del self._held[lease]
            ack_ids = [ack_id for lease in ended for ack_id in lease.ack_ids]
            self._number -= len(ack_ids)
        return ack_ids

    def all(self) -> list[MessageLease]:
        """All leases."""
        with self._lock:
            return list(self._held)

    def due(self, now_s: float) -> list[MessageLease]:
        """The leases that end soon."""
        return [lease for lease in self.all() if lease.ends_s - now_s < _EARLY_S]
