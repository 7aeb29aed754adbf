import threading
from collections.abc import Callable

from chronon_beam.io.call_watchdog import CallWatchdog


class Call:
    """A call that ends only when it is cancelled, or when `end` is called."""

    def __init__(self) -> None:
        self.cancelled = False
        self._ended: Callable[[], None] | None = None

    def add_callback(self, callback: Callable[[], None]) -> bool:
        self._ended = callback
        return True

    def end(self) -> None:
        assert self._ended is not None
        self._ended()

    def cancel(self) -> None:
        self.cancelled = True


def test_call_that_hangs_is_cancelled_and_one_that_ended_is_not() -> None:
    stalled = threading.Event()
    watchdog = CallWatchdog(stalled.set)
    hanging, ended, long = Call(), Call(), Call()
    for call in (hanging, ended):
        assert watchdog.watch(call, -3.0) is call
    watchdog.watch(long, 600.0)
    ended.end()
    assert stalled.wait(10)
    assert (hanging.cancelled, ended.cancelled, long.cancelled) == (True, False, False)
    long.end()
