"""Google's Bigtable emulator as a process of its own, from a Maven jar that holds its binary.

`python tests/services/bigtable_emulator.py` starts one and says how to use it; Ctrl-C ends it.
"""

import logging
import os
import platform
import signal
import socket
import sys
import tempfile
import time
import zipfile
from contextlib import suppress
from pathlib import Path

if __name__ == "__main__":
    logging.basicConfig(level="ERROR")  # Beam warns of what is not needed here

from apache_beam.utils.subprocess_server import pick_port

from chronon_beam.pipeline.runners import guard, maven

LOCK = Path(__file__).with_name("bigtable_emulator.lock")
START_TIMEOUT_S = 30.0

_SYSTEMS = {"Linux": "linux", "Darwin": "darwin"}
_MACHINES = {"x86_64": "x86_64", "AMD64": "x86_64", "aarch64": "arm", "arm64": "arm"}


def emulator_binary() -> Path:
    """The emulator's executable for this machine: fetched once, and kept in the cache."""
    (jar,) = maven.read_lock(LOCK)
    folder = maven.cache_directory()
    binary = folder / f"cbtemulator-{jar.version}"
    if not binary.exists():
        (archive,) = maven.fetch([jar], folder / "jars")
        system = f"{_SYSTEMS[platform.system()]}-{_MACHINES[platform.machine()]}"
        name = f"gcloud/bigtable-{system}/platform/bigtable-emulator/cbtemulator"
        new = folder / f"{binary.name}.{os.getpid()}"
        new.write_bytes(zipfile.ZipFile(archive).read(name))
        new.chmod(0o755)
        new.replace(binary)
    return binary


class BigtableEmulator:
    """Started by the constructor; keeps all in memory.

    Attributes:
        host: `localhost:port`, for $BIGTABLE_EMULATOR_HOST.
    """

    def __init__(self, directory: Path) -> None:
        self._log = directory / "bigtable_emulator.log"
        self._binary = emulator_binary()
        (self._port,) = pick_port(None)
        self.host = f"localhost:{self._port}"
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [str(self._binary), "-host=127.0.0.1", f"-port={self._port}"]
        self._process = guard.start(command, self._log, {})
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.stop()
                raise TimeoutError(f"the Bigtable emulator does not start: see {self._log}")
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill -9: its tables are gone with it."""
        with suppress(ProcessLookupError):
            os.kill(guard.wait_for_child(self._process), signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End it."""
        guard.stop(self._process)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
            return True
        return False


def main() -> int:
    """Run one until it is interrupted."""
    with tempfile.TemporaryDirectory() as directory:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        emulator = BigtableEmulator(Path(directory))
        print(f"export BIGTABLE_EMULATOR_HOST={emulator.host}", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            emulator.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
