"""Ends gRPC calls that are awaited long past their deadline.

gRPC ends a call at its deadline by itself, but was seen (1.85, after a server was stopped and stood
up again on its port) to leave one waiting for ever; a job must not.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

_GRACE_S = 2.0
_PERIOD_S = 0.5

_log = logging.getLogger(__name__)


class CallWatchdog:
    """Looks after the calls of one connection, from a thread that ends when none is awaited.

    Args:
        stalled: called after a call was cancelled, from the watchdog's thread.
    """

    def __init__(self, stalled: Callable[[], None]) -> None:
        self._stalled = stalled
        self._lock = threading.Lock()
        self._awaited: dict[int, tuple[float, Any]] = {}
        self._running = False

    def watch(self, call: Any, timeout_s: float) -> "WatchedCall":
        """The call's answers; see `WatchedCall`."""
        return WatchedCall(self, call, time.monotonic() + timeout_s)

    def begin(self, call: Any, until_s: float) -> None:
        """Somebody waits for an answer, which is due at `until_s`."""
        with self._lock:
            self._awaited[id(call)] = until_s + _GRACE_S, call
            begins = not self._running
            self._running = True
        if begins:
            threading.Thread(target=self._run, name="bigtable-watchdog", daemon=True).start()

    def end(self, call: Any) -> None:
        """It is here, or the call has ended."""
        with self._lock:
            self._awaited.pop(id(call), None)

    def _run(self) -> None:
        while True:
            time.sleep(_PERIOD_S)
            with self._lock:
                if not self._awaited:
                    self._running = False
                    return
                now = time.monotonic()
                overdue = [call for until_s, call in self._awaited.values() if until_s < now]
            for call in overdue:
                call.cancel()
                self.end(call)
            if overdue:
                self._tell()

    def _tell(self) -> None:
        try:
            self._stalled()
        except Exception:  # without this thread the next call would hang
            _log.exception("a call has hung, and its connection could not be made anew")


class WatchedCall:
    """The answers of a call that is under way.

    Only a call that somebody waits for can hang: one whose answers have come and are not fetched
    yet is left alone, however late it is.
    """

    def __init__(self, watchdog: CallWatchdog, call: Any, until_s: float) -> None:
        self._watchdog, self._call, self._until_s = watchdog, call, until_s

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self._watchdog.begin(self._call, max(self._until_s, time.monotonic()))
        try:
            return next(self._call)
        finally:
            self._watchdog.end(self._call)

    def cancel(self) -> None:
        """Nobody wants the rest of the answers; does nothing to a call that has ended."""
        self._call.cancel()
