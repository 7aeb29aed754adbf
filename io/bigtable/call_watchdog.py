"""Cancels gRPC calls that have not ended long after their deadline.

gRPC ends a call at its deadline by itself. But gRPC 1.85 was seen to leave a call waiting for ever,
after a server was stopped and started again on its port, and a job would hang with the call.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

_GRACE_S = 2.0
_PERIOD_S = 0.5

_log = logging.getLogger(__name__)


class StreamingCall(Protocol):
    """A gRPC call that streams its responses."""

    def __next__(self) -> Any:
        """The next response; raises StopIteration or grpc.RpcError."""
        ...

    def cancel(self) -> object:
        """End the call."""
        ...


class CallWatchdog:
    """Watches the calls of one connection, from a thread that ends when no call is awaited.

    Args:
        stalled: called from the watchdog's thread after it has cancelled a call.
    """

    def __init__(self, stalled: Callable[[], None]) -> None:
        self._stalled = stalled
        self._lock = threading.Lock()
        self._awaited: dict[int, tuple[float, StreamingCall]] = {}
        self._running = False

    def watch(self, call: StreamingCall, timeout_s: float) -> "WatchedCall":
        """The responses of the call; see `WatchedCall`."""
        return WatchedCall(self, call, time.monotonic() + timeout_s)

    def begin(self, call: StreamingCall, until_s: float) -> None:
        """Note that a thread begins to wait for a response, which is due at `until_s`."""
        with self._lock:
            self._awaited[id(call)] = until_s + _GRACE_S, call
            begins = not self._running
            self._running = True
        if begins:
            threading.Thread(target=self._run, name="bigtable-watchdog", daemon=True).start()

    def end(self, call: StreamingCall) -> None:
        """Note that the response has come, or the call has ended."""
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
                self._report_stall()

    def _report_stall(self) -> None:
        try:
            self._stalled()
        except Exception:  # without this thread the next call would hang
            _log.exception("a call has hung, and its connection could not be made anew")


class WatchedCall:
    """The responses of a call that is under way.

    The watchdog looks only at calls for whose responses a thread waits: a call whose responses have
    come and were not fetched yet is not cancelled, however late it is.
    """

    def __init__(self, watchdog: CallWatchdog, call: StreamingCall, until_s: float) -> None:
        self._watchdog, self._call, self._until_s = watchdog, call, until_s

    def __iter__(self) -> "WatchedCall":
        return self

    def __next__(self) -> Any:
        self._watchdog.begin(self._call, max(self._until_s, time.monotonic()))
        try:
            return next(self._call)
        finally:
            self._watchdog.end(self._call)

    def cancel(self) -> None:
        """End the call, if it has not ended."""
        self._call.cancel()
