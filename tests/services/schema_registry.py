"""A schema registry (Apicurio, which speaks Confluent's API) as a process of its own.

`python tests/services/schema_registry.py` starts one and says its address; Ctrl-C ends it.
"""

import logging
import os
import signal
import sys
import tarfile
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

if __name__ == "__main__":
    logging.basicConfig(level="ERROR")  # Beam warns of what is not needed here

from apache_beam.utils.subprocess_server import pick_port

from chronon_beam.pipeline.runners import guard, maven
from chronon_beam.transforms.spark.java_runtime import java_environment

LOCK = Path(__file__).with_name("schema_registry.lock")
START_TIMEOUT_S = 120.0

_JVM = ("-Xmx300m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")


class SchemaRegistry:
    """Started by the constructor; schemas are kept in its memory, so `kill` loses them.

    Attributes:
        url: the root of Confluent's API.
    """

    def __init__(self, directory: Path) -> None:
        (self._port,) = pick_port(None)
        self._root = f"http://127.0.0.1:{self._port}"
        self.url = f"{self._root}/apis/ccompat/v7"
        self._log = directory / "schema_registry.log"
        (archive,) = maven.fetch(maven.read_lock(LOCK), maven.cache_directory() / "jars")
        with tarfile.open(archive) as packed:
            packed.extractall(directory / "registry", filter="data")
        (self._jar,) = (directory / "registry").glob("**/*-runner.jar")
        self.start()

    def start(self) -> None:
        """Start it, without schemas, and wait until it answers."""
        environment = {
            **java_environment(),
            "QUARKUS_HTTP_HOST": "127.0.0.1",
            "QUARKUS_HTTP_PORT": str(self._port),
        }
        command = ["java", *_JVM, "-jar", str(self._jar)]
        self._process = guard.start(command, self._log, environment)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.stop()
                raise TimeoutError(f"the schema registry does not start: see {self._log}")
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill -9, as a machine that fails would."""
        with suppress(ProcessLookupError):
            os.kill(guard.wait_for_child(self._process), signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End it."""
        guard.stop(self._process)

    def _answers(self) -> bool:
        with (
            suppress(OSError),
            urllib.request.urlopen(f"{self._root}/health/ready", timeout=2) as answer,
        ):
            return answer.status == 200
        return False


def main() -> int:
    """Run one until it is interrupted."""
    with tempfile.TemporaryDirectory() as directory:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        registry = SchemaRegistry(Path(directory))
        print(f"a schema registry answers at {registry.url}", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            registry.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
