"""Google's Bigtable emulator as a process of its own, from a Maven jar that holds its binary.

`python tests/services/bigtable_emulator.py` starts one and says how to use it; Ctrl-C ends it.
"""

import logging
import os
import platform
import signal
import socket
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if __name__ == "__main__":
    logging.basicConfig(level="ERROR")  # Beam warns of what is not needed here

from apache_beam.utils.subprocess_server import pick_port
from service import serve

from chronon_beam.pipeline.runners import guard, maven
from chronon_beam.pipeline.runners.service import Service
from chronon_beam.transforms.spark.cache_directory import cache_directory

LOCK = Path(__file__).with_name("bigtable_emulator.lock")

_SYSTEMS = {"Linux": "linux", "Darwin": "darwin"}
_MACHINES = {"x86_64": "x86_64", "AMD64": "x86_64", "aarch64": "arm", "arm64": "arm"}


def emulator_binary() -> Path:
    """The emulator's executable for this machine: fetched once, and kept in the cache."""
    (jar,) = maven.read_lock(LOCK)
    folder = cache_directory()
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


class BigtableEmulator(Service):
    """Started by the constructor; its tables are in its memory, so `kill` loses them.

    Attributes:
        host: `localhost:port`, for $BIGTABLE_EMULATOR_HOST.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "bigtable_emulator.log")
        self._binary = emulator_binary()
        (self._port,) = pick_port(None)
        self.host = f"localhost:{self._port}"
        self.start()

    def command(self) -> list[str]:
        return [str(self._binary), "-host=127.0.0.1", f"-port={self._port}"]

    def answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
            return True
        return False

    @contextmanager
    def halted(self) -> Iterator[None]:
        """Within the context the emulator answers no call, and its connections stay open."""
        emulator = guard.wait_for_child(self._process)
        os.kill(emulator, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(emulator, signal.SIGCONT)


if __name__ == "__main__":
    sys.exit(serve(BigtableEmulator, lambda it: f"export BIGTABLE_EMULATOR_HOST={it.host}"))
