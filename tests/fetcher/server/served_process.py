"""The command `chronon-beam serve` as a process."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import httpx

WAIT_S = 600.0


class ServedProcess:
    """A server, and a client of it.

    Attributes:
        client: asks it over one connection at a time.
        said: the lines that it has written to standard error.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process, self.said = process, list[str]()
        assert process.stderr is not None
        for line in process.stderr:
            self.said.append(line)
            if found := re.search(r"serving at (http://\S+)", line):
                break
        else:
            raise AssertionError(f"it does not serve: {self.said}")
        self._reader = Thread(target=self.said.extend, args=(process.stderr,))
        self._reader.start()
        self.client = httpx.Client(base_url=found[1], timeout=WAIT_S)

    def stop(self) -> int:
        """Tell it to stop; gives its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        return code


@contextmanager
def served(store: str, *flags: str, **variables: str) -> Iterator[ServedProcess]:
    """`chronon-beam serve` on a free port."""
    command = (sys.executable, "-m", "chronon_beam.pipeline", "serve")
    words = (*command, f"--store={store}", "--port=0", *flags)
    process = subprocess.Popen(
        words,
        env=os.environ | variables,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        yield ServedProcess(process)
    finally:
        process.kill()
        process.wait(WAIT_S)
