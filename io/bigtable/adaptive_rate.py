"""Limits the rate of writes to an overloaded store: cut at once, then raised slowly."""

import logging
import threading
import time
from collections.abc import Callable

_CUT = 0.7
_GROWTH_A_SECOND = 1.1
_LEAST = 100.0
_SETTLING_S = 1.0
"""For this long after a cut, refusals do not count: they are of writes sent before the cut."""

_WINDOW_S = 2.0

_log = logging.getLogger(__name__)


class AdaptiveRate:
    """A limit on the rows per second of all threads of a process.

    There is no limit until the store refuses rows because of overload.

    Attributes:
        limit: rows per second; None for no limit.

    Args:
        name: the store, for the log.
        clock: gives seconds.
        sleep: waits that many seconds.
    """

    def __init__(
        self,
        name: str,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.limit: float | None = None
        self._name, self._clock, self._sleep = name, clock, sleep
        self._lock = threading.Lock()
        self._free_at = self._cut_at = self._grown_at = self._since = clock()
        self._sent = 0
        self._unlimited = 0.0

    def wait(self, rows: int) -> None:
        """Wait until `rows` may be sent."""
        with self._lock:
            now = self._clock()
            if now - self._since > _WINDOW_S:
                self._since, self._sent = now, 0
            self._sent += rows
            if self.limit is None:
                return
            begin = max(now, self._free_at)
            self._free_at = begin + rows / self.limit
        if begin > now:
            self._sleep(begin - now)

    def cut(self) -> None:
        """Cut the limit: the store has refused rows because of overload."""
        with self._lock:
            now = self._clock()
            if self.limit is not None and now - self._cut_at < _SETTLING_S:
                return
            sent = self._sent / max(now - self._since, 0.1)
            self._unlimited = max(self._unlimited, 2 * sent)
            self.limit = max(_LEAST, _CUT * (self.limit or sent))
            self._cut_at = self._grown_at = self._free_at = now
            _log.warning("%s is overloaded: at most %d rows a second now", self._name, self.limit)

    def grow(self) -> None:
        """Raise the limit, by the time since its last change: the store has taken all rows."""
        with self._lock:
            if self.limit is None:
                return
            now = self._clock()
            grown = self.limit * _GROWTH_A_SECOND ** (now - self._grown_at)
            self._grown_at = now
            self.limit = grown if grown <= self._unlimited else None
            if self.limit is None:
                _log.warning("%s takes all again", self._name)
