"""Calls that take too long are cancelled."""

import threading
from collections.abc import Iterator
from typing import Any

from chronon_beam.io.bigtable.call_watchdog import CallWatchdog


class Call:
    """A call whose answer comes when it is cancelled, or when `end` is called."""

    def __init__(self) -> None:
        self.cancelled = False
        self._over = threading.Event()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> str:
        assert self._over.wait(30)
        return "cancelled" if self.cancelled else "answer"

    def end(self) -> None:
        self._over.set()

    def cancel(self) -> None:
        self.cancelled = True
        self._over.set()


def awaited(watched: Any) -> tuple[threading.Thread, list[str]]:
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(next(watched)))
    thread.start()
    return thread, answers


def test_call_that_hangs_is_cancelled_and_one_that_ended_is_not() -> None:
    stalled = threading.Event()
    watchdog = CallWatchdog(stalled.set)
    hanging, ended, long = Call(), Call(), Call()
    ended.end()
    assert next(watchdog.watch(ended, -30.0)) == "answer"
    waiting = [awaited(watchdog.watch(call, time_s)) for call, time_s in ((hanging, 0), (long, 60))]
    assert stalled.wait(10)
    assert (hanging.cancelled, ended.cancelled, long.cancelled) == (True, False, False)
    long.end()
    for thread, _ in waiting:
        thread.join(10)
    assert [answers for _, answers in waiting] == [["cancelled"], ["answer"]]


def test_late_call_that_nobody_waits_for_is_left_alone() -> None:
    """Its answers may be here since long; the thread that wants them is busy with another call."""
    stalled = threading.Event()
    watchdog = CallWatchdog(stalled.set)
    unread, hanging = Call(), Call()
    watched = watchdog.watch(unread, -30.0)
    thread, _ = awaited(watchdog.watch(hanging, 0))
    assert stalled.wait(10)
    thread.join(10)
    assert not unread.cancelled
    unread.end()
    assert next(watched) == "answer"


def test_watchdog_outlives_a_connection_that_cannot_be_made_anew() -> None:
    stalled = [threading.Event(), threading.Event()]
    left = iter(stalled)

    def connect() -> None:
        next(left).set()
        raise RuntimeError("no credentials any more")

    watchdog = CallWatchdog(connect)
    for event in stalled:
        thread, answers = awaited(watchdog.watch(Call(), 0))
        assert event.wait(10)
        thread.join(10)
        assert answers == ["cancelled"]
