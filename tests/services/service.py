"""How a service of the tests runs for a user at a terminal."""

import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from chronon_beam.pipeline.runners.service import Service

Kind = TypeVar("Kind", bound=Service)


def serve(open_service: Callable[[Path], Kind], says: Callable[[Kind], str]) -> int:
    """Run a service until Ctrl-C or SIGTERM, for a user at a terminal; gives the exit code.

    Args:
        open_service: starts the service, with a directory for its files.
        says: what the user is told of it.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as directory:
        service = open_service(Path(directory))
        print(says(service), flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            service.stop()
    return 0
