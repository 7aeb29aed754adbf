"""A ZooKeeper as a process of its own, from the job server's jar: for Flink's high availability."""

import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from apache_beam.utils.subprocess_server import pick_port

from chronon_beam.pipeline.runners.service import Service
from chronon_beam.transforms.spark.java_runtime import java_environment

_SERVER = "org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.server.ZooKeeperServerMain"
_JVM = ("-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")


class ZooKeeper(Service):
    """Started by the constructor; it has one node, and keeps its data in `directory`.

    Attributes:
        quorum: `host:port`, for `high-availability.zookeeper.quorum`.
    """

    def __init__(self, jar: str, directory: Path) -> None:
        super().__init__(directory / "zookeeper.log")
        self._jar = jar
        (self._port,) = pick_port(None)
        self.quorum = f"127.0.0.1:{self._port}"
        self._configuration = directory / "zoo.cfg"
        lines = {
            "tickTime": 2000,
            "dataDir": directory / "zookeeper",
            "clientPort": self._port,
            "clientPortAddress": "127.0.0.1",
            "admin.enableServer": "false",
        }
        text = "".join(f"{name}={value}\n" for name, value in lines.items())
        self._configuration.write_text(text, encoding="utf-8")
        self.start()

    def command(self) -> list[str]:
        return ["java", *_JVM, "-cp", self._jar, _SERVER, str(self._configuration)]

    def environment(self) -> Mapping[str, str]:
        return java_environment()

    def answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
            return True
        return False
