"""Runs the feature server in several processes: a worker that dies is replaced.

Workers that cannot start end the command instead, with the reason of the first one: what has
stopped one worker would stop the next one too.
"""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from socket import socket
from typing import TYPE_CHECKING

from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.supervisors import Multiprocess

if TYPE_CHECKING:
    from chronon_beam.fetcher.server.front import App

_MOST_DEATHS = 3
"""After so many deaths in a row, with no worker ready in between, none is started any more."""


class WorkersFailed(RuntimeError):
    """Workers cannot start; the message is the reason, for the user."""


@dataclass(frozen=True)
class WorkerApp:
    """Makes the application of a worker, in the worker's process.

    Attributes:
        make: makes the application.
        reasons: takes the reason why there is none, for the command; uvicorn would lose it.
    """

    make: "Callable[[], App]"
    reasons: SimpleQueue[str]

    def __call__(self) -> "App":
        """The application; ends the process if there is none."""
        try:
            return self.make()
        except Exception as error:
            self.reasons.put(str(error) or type(error).__name__)
            sys.exit(STARTUP_FAILURE)


def serve_in_several(
    make: "Callable[[], App]", configured: Callable[[WorkerApp], Config], sockets: Sequence[socket]
) -> None:
    """Serve in processes that share sockets, until this process gets SIGTERM or Ctrl-C.

    Args:
        make: makes the application of one process.
        configured: gives uvicorn's settings for a worker's application.
        sockets: where clients connect.

    Raises:
        WorkersFailed: a worker could not start, or died again and again while it started.
    """
    reasons: SimpleQueue[str] = get_context("spawn").SimpleQueue()
    workers = _Workers(configured(WorkerApp(make, reasons)), list(sockets))
    workers.run()
    if workers.refused:
        raise WorkersFailed(
            "a worker cannot start, see above" if reasons.empty() else reasons.get()
        )
    if workers.is_dying:
        raise WorkersFailed(f"workers die before they are ready, {workers.last_end}")


class _Workers(Multiprocess):
    """uvicorn's supervisor, which also gives up where workers die again and again as they start.

    uvicorn's own gives up where a worker says, by its exit code, that it cannot start.

    Attributes:
        last_end: how the last worker ended that has died.
    """

    def __init__(self, config: Config, sockets: list[socket]) -> None:
        super().__init__(config, sockets)
        self.last_end = ""
        self._deaths = Counter[int]()
        """By a worker's index: the deaths since one with that index was ready."""

    @property
    def refused(self) -> bool:
        """Whether a worker could not start."""
        return any(worker.exitcode == STARTUP_FAILURE for worker in self.processes)

    @property
    def is_dying(self) -> bool:
        """Whether a worker has died too often."""
        return max(self._deaths.values(), default=0) >= _MOST_DEATHS

    def keep_subprocess_alive(self) -> None:
        """Replace workers that have died; uvicorn calls this twice per second."""
        for worker in self.processes:
            # A worker's end of the pipe must be its own alone. Otherwise a worker that dies while
            # it is asked for a sign of life is waited for as long as one that is busy.
            worker.child_conn.close()
        before = list(self.processes)
        super().keep_subprocess_alive()
        for index, (old, new) in enumerate(zip(before, self.processes, strict=True)):
            if new is not old:
                self._deaths[index] += 1
                self.last_end = f"the last one with exit code {old.exitcode}"
            elif self._deaths[index] and new.is_ready():
                del self._deaths[index]
        if self.is_dying:
            self.should_exit.set()
