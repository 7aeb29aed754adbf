"""Ends gRPC calls that are long past their deadline.

gRPC ends a call at its deadline by itself, but was seen (1.85, after a server was stopped and stood
up again on its port) to leave one waiting for ever; a job must not.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

_GRACE_S = 2.0
_PERIOD_S = 0.5


class CallWatchdog:
    """Looks after the calls of one connection, from a thread that ends when there are none.

    Args:
        stalled: called after a call was cancelled, from the watchdog's thread.
    """

    def __init__(self, stalled: Callable[[], None]) -> None:
        self._stalled = stalled
        self._lock = threading.Lock()
        self._calls: dict[int, tuple[float, Any]] = {}
        self._running = False

    def watch(self, call: Any, timeout_s: float) -> Any:
        """The same call; it is cancelled if it is still under way well after `timeout_s`."""
        with self._lock:
            self._calls[id(call)] = time.monotonic() + timeout_s + _GRACE_S, call
            begins = not self._running
            self._running = True
        if not call.add_callback(lambda: self._forget(id(call))):
            self._forget(id(call))
        if begins:
            threading.Thread(target=self._run, name="bigtable-watchdog", daemon=True).start()
        return call

    def _forget(self, key: int) -> None:
        with self._lock:
            self._calls.pop(key, None)

    def _run(self) -> None:
        while True:
            time.sleep(_PERIOD_S)
            with self._lock:
                if not self._calls:
                    self._running = False
                    return
                now = time.monotonic()
                overdue = [call for until_s, call in self._calls.values() if until_s < now]
            for call in overdue:
                call.cancel()
                self._forget(id(call))
            if overdue:
                self._stalled()
