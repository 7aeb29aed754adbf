"""Ctrl-C, at any moment, ends a command with the message "stopped" and exit code 130.

SIGTERM (`kill`, a container that is stopped) and SIGHUP (a terminal that is closed) do the same.

Only modules that Python itself has loaded are imported here, so that signals are handled before any
other module is imported.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

STOPPED = 130
"""The exit code of a process that was stopped by Ctrl-C or one of the other signals."""

MESSAGE = "chronon-beam: stopped"

_STOPPING = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if os.name == "posix" else []))
_IMPORTING = "<frozen importlib._bootstrap>"

Handler = Callable[[int, FrameType | None], None]

_come = False


def has_come() -> bool:
    """Whether there was a Ctrl-C: an error that comes after it may be its consequence."""
    return _come


def on_interrupt(handler: Handler | signal.Handlers) -> None:
    """Set what Ctrl-C does, unless the process was started to ignore it, as by `nohup`."""
    for number in _STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


@contextmanager
def undisturbed_exits() -> Iterator[ExitStack]:
    """A stack of contexts; a second Ctrl-C does not keep them from exiting.

    Only for the main thread.
    """
    with ExitStack() as opened:
        for number in _STOPPING:
            opened.callback(signal.signal, number, signal.getsignal(number))
        try:
            yield opened
        finally:
            for number in _STOPPING:
                signal.signal(number, signal.SIG_IGN)


def leave(*_: object) -> None:
    """End the process at once: for moments when there is nothing to clean up."""
    os.write(2, f"{MESSAGE}\n".encode())
    os._exit(STOPPED)


def interrupt(_: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt; but a process that is importing a module ends at once.

    Modules turn an exception in the middle of an import into one of theirs, or print it and go on.

    Raises:
        KeyboardInterrupt: in the main thread, as Python itself does.
    """
    global _come
    _come = True
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            leave()
        frame = frame.f_back
    raise KeyboardInterrupt
