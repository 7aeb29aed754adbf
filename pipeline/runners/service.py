"""A server as a process: started by a command or a test, it ends with the command or the test."""

import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from chronon_beam.pipeline.runners import guard

START_TIMEOUT_S = 180.0
"""How long a server may take to start: on a quiet machine it takes seconds."""


class Service(ABC):
    """A server as a process of its own, which does not outlive this one.

    Attributes:
        log: takes what the server prints.
    """

    def __init__(self, log: Path) -> None:
        self.log = log

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
        """Start the server, again after `kill`, and wait until it answers.

        Raises:
            TimeoutError: the server has ended, or does not answer after some minutes.
        """
        self._process = guard.start(self.command(), self.log, self.environment())
        deadline = time.monotonic() + START_TIMEOUT_S
        try:
            while not self.answers():
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise TimeoutError(f"{type(self).__name__} does not start: see {self.log}")
                time.sleep(0.05)
        except BaseException:
            self.stop()
            raise

    def kill(self) -> None:
        """Kill -9, as a machine that fails would."""
        with suppress(ProcessLookupError):
            os.kill(guard.wait_for_child(self._process), signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End the server."""
        guard.stop(self._process)
