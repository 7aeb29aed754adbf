"""Keeps Beam's and Java's stack traces off the screen: each failure is printed once, in one line.

Workers in the launcher's process (the embedded runner's, Flink's LOOPBACK) print and log each
failure several times, and a job server sends its Java trace to the log. `CHRONON_BEAM_LOG=ERROR`,
or any other level, shows all of it.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from apache_beam.runners.worker import sdk_worker

LEVEL = "CHRONON_BEAM_LOG"
HINT = f"({LEVEL}=ERROR shows the traces)"


@contextmanager
def quiet() -> Iterator[None]:
    """Hide traces until the end of the context, unless the user has set a level of logging."""
    if LEVEL in os.environ:
        yield
        return
    handlers = list(logging.getLogger().handlers)
    for handler in handlers:
        handler.addFilter(_is_ours)
    try:
        with (
            # Beam's worker prints a trace, and then logs the same trace.
            patch.object(sdk_worker, "print", _discard, create=True),
            # Threads that read from a runner end with an error when the runner closes the channel.
            patch.object(threading, "excepthook", _discard),
        ):
            yield
    finally:
        for handler in handlers:
            handler.removeFilter(_is_ours)


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether a record is none of Beam, gRPC and the job server, which logs by the root logger."""
    return record.name != "root" and record.name.partition(".")[0] not in ("apache_beam", "grpc")


def _discard(*_: object, **__: object) -> None:
    pass
