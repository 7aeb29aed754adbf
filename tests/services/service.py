"""What the services of the tests have in common: how each starts, fails and ends."""

import os
import signal
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from chronon_beam.pipeline.runners import guard

START_TIMEOUT_S = 180.0
"""How long a server may take to start: on a quiet machine it takes seconds."""


class Service(ABC):
    """A server as a process of its own, which does not outlive this one.

    Args:
        log: takes what the server prints.
    """

    def __init__(self, log: Path) -> None:
        self._log = log

    @abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments."""

    def environment(self) -> Mapping[str, str]:
        """Variables that are laid over this process's own."""
        return {}

    @abstractmethod
    def answers(self) -> bool:
        """Whether the server is ready."""

    def start(self) -> None:
        """Start the server, again after `kill`, and wait until it answers."""
        self._process = guard.start(self.command(), self._log, self.environment())
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.stop()
                raise TimeoutError(f"{type(self).__name__} does not start: see {self._log}")
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill -9, as a machine that fails would."""
        with suppress(ProcessLookupError):
            os.kill(guard.wait_for_child(self._process), signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End the server."""
        guard.stop(self._process)


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
