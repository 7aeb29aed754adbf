"""A schema registry (Apicurio, which speaks Confluent's API) as a process of its own.

`python tests/services/schema_registry.py` starts one and says its address; Ctrl-C ends it.
"""

import logging
import sys
import tarfile
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

if __name__ == "__main__":
    logging.basicConfig(level="ERROR")  # Beam warns of what is not needed here

from apache_beam.utils.subprocess_server import pick_port
from service import serve

from chronon_beam.pipeline.runners import maven
from chronon_beam.pipeline.runners.service import Service
from chronon_beam.transforms.spark.cache_directory import cache_directory
from chronon_beam.transforms.spark.java_runtime import java_environment

LOCK = Path(__file__).with_name("schema_registry.lock")

_JVM = ("-Xmx300m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")


class SchemaRegistry(Service):
    """Started by the constructor; schemas are kept in its memory, so `kill` loses them.

    Attributes:
        url: the root of Confluent's API.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "schema_registry.log")
        (self._port,) = pick_port(None)
        self._root = f"http://127.0.0.1:{self._port}"
        self.url = f"{self._root}/apis/ccompat/v7"
        (archive,) = maven.fetch(maven.read_lock(LOCK), cache_directory() / "jars")
        with tarfile.open(archive) as packed:
            packed.extractall(directory / "registry", filter="data")
        (self._jar,) = (directory / "registry").glob("**/*-runner.jar")
        self.start()

    def command(self) -> list[str]:
        return ["java", *_JVM, "-jar", str(self._jar)]

    def environment(self) -> Mapping[str, str]:
        return {
            **java_environment(),
            "QUARKUS_HTTP_HOST": "127.0.0.1",
            "QUARKUS_HTTP_PORT": str(self._port),
        }

    def answers(self) -> bool:
        with (
            suppress(OSError),
            urllib.request.urlopen(f"{self._root}/health/ready", timeout=2) as answer,
        ):
            return answer.status == 200
        return False


if __name__ == "__main__":
    sys.exit(serve(SchemaRegistry, lambda it: f"a schema registry answers at {it.url}"))
