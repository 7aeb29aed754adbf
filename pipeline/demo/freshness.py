"""How long orders take until a fetch sees them, measured from outside the job."""

from collections import deque
from collections.abc import Iterable
from statistics import quantiles
from threading import Lock
from typing import NamedTuple

RECENT = 1_000
"""Percentiles are over that many orders: the ones that were seen last."""


class Percentiles(NamedTuple):
    """Milliseconds that half of the orders, and 99 of 100, have taken at most."""

    p50_ms: float
    p99_ms: float


class Freshness:
    """Orders that are on their way, and how long those that have arrived took.

    The orders of a key are sent in the order of their times, and no two have the same time. So all
    orders have arrived that are not later than the newest order in the store. One thread calls
    `send`, and another one calls `see`.

    Attributes:
        seen: how many orders have arrived.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._on_their_way: dict[str, deque[int]] = {key: deque() for key in keys}
        self._took_ms: deque[float] = deque(maxlen=RECENT)
        self._lock = Lock()
        self._since_ms: float | None = None
        self.seen = 0

    def send(self, key: str, created_ms: int) -> None:
        """Note an order before it goes on its way."""
        with self._lock:
            self._on_their_way[key].append(created_ms)

    def see(self, key: str, newest_ms: int, now_ms: float) -> None:
        """Note that at `now_ms` a fetch sees the orders of a key up to `newest_ms`.

        Orders that were made before the first one was seen waited for the job to start: how long
        they took is not noted.
        """
        if self._since_ms is None:
            self._since_ms = now_ms
        with self._lock:
            waiting = self._on_their_way[key]
            while waiting and waiting[0] <= newest_ms:
                created_ms = waiting.popleft()
                self.seen += 1
                if created_ms >= self._since_ms:
                    self._took_ms.append(now_ms - created_ms)

    def percentiles(self) -> Percentiles | None:
        """Of the orders that were seen last; None before there are two."""
        if len(self._took_ms) < 2:
            return None
        cuts = quantiles(self._took_ms, n=100, method="inclusive")
        return Percentiles(cuts[49], cuts[98])
