"""Which messages are held: a lease is what the server gave with them, and ends by itself.

pulled -> taken by a bundle -> waiting until that bundle and a later one are final -> acknowledged
"""

from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock

FIRST_S = 10.0
"""How long the leases of a pull last at least: the shortest that a subscription may have."""

EXTENDED_S = 60
"""How long they last when they are extended. A reader that is gone holds messages back so long."""

_EARLY_S = 6.0


@dataclass(eq=False)
class Held:
    """The messages of one pull, or some of them.

    Attributes:
        ack_ids: the server's names of their deliveries.
        ends_s: when the lease ends, by a clock that never goes back.
    """

    ack_ids: list[str]
    ends_s: float


class Leases:
    """What a reader holds; may be used by several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: dict[Held, None] = {}
        self._taken: list[Held] = []
        self._number = 0

    @property
    def number(self) -> int:
        """How many messages are held."""
        return self._number

    def pulled(self, ack_ids: list[str], now_s: float) -> Held:
        """The lease of messages that came at `now_s`."""
        lease = Held(ack_ids, now_s + FIRST_S)
        with self._lock:
            self._held[lease] = None
            self._number += len(ack_ids)
        return lease

    def take(self, leases: Iterable[Held]) -> None:
        """A bundle gives out the messages."""
        self._taken += leases

    def taken(self) -> list[Held]:
        """What was taken since the last call: they wait for a bundle to be final."""
        found, self._taken = self._taken, []
        return found

    def end(self, leases: Iterable[Held]) -> list[str]:
        """They are not held any more; gives their ids, of those that were."""
        with self._lock:
            ended = [lease for lease in leases if lease in self._held]
            for lease in ended:
                del self._held[lease]
            ack_ids = [ack_id for lease in ended for ack_id in lease.ack_ids]
            self._number -= len(ack_ids)
        return ack_ids

    def all(self) -> list[Held]:
        """All that are held."""
        with self._lock:
            return list(self._held)

    def due(self, now_s: float) -> list[Held]:
        """Those that end soon."""
        return [lease for lease in self.all() if lease.ends_s - now_s < _EARLY_S]
