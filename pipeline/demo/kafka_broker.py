"""A Kafka broker (KRaft, one node) as a process of its own, from Maven's jars, without Docker."""

import logging
import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from apache_beam.utils.subprocess_server import pick_port
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from chronon_beam.pipeline.runners import maven
from chronon_beam.pipeline.runners.service import Service
from chronon_beam.transforms.spark.cache_directory import cache_directory
from chronon_beam.transforms.spark.java_runtime import java_environment

LOCK = Path(__file__).with_name("kafka_broker.lock")

SILENT = logging.getLogger("kafka_broker.client")
"""The logger of clients, which would otherwise log that the broker is gone when the demo ends."""

SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False

HOST = "127.0.0.1"
_CLUSTER_ID = "4L6g3nShT-eMCtK--X86sw"
_JVM = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:MetaspaceSize=128m",
)
_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,"
    "SASL_PLAINTEXT:SASL_PLAINTEXT",
    "log.cleaner.enable": "false",
    "log.retention.ms": "-1",
    "auto.create.topics.enable": "false",
    "message.max.bytes": "20000000",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
}


def broker_jars(say: maven.Say | None = None) -> list[Path]:
    """The broker's jars, downloaded where they are not in the cache; errors are `maven.fetch`'s."""
    return maven.fetch(maven.read_lock(LOCK), cache_directory() / "jars", say)


class KafkaBroker(Service):
    """Started by the constructor; its topics outlive `kill` and `start`.

    Args:
        directory: for its records, its settings and its log.
        port: where it listens; a free one by default.
        listeners: more listeners: their ports by the names of their security protocols.
        settings: Kafka's, beside its own.

    Attributes:
        bootstrap: `host:port`; every process of this machine may use it.

    Raises:
        FetchError: one of its jars cannot be had.
        RuntimeError, TimeoutError: it does not start; the message names its log.
    """

    def __init__(
        self,
        directory: Path,
        port: int | None = None,
        listeners: Mapping[str, int] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(directory / "kafka_broker.log")
        plain, controller = pick_port(port, None)
        self.bootstrap = f"{HOST}:{plain}"
        self._properties = directory / "server.properties"
        self._data = directory / "data"
        jars = ":".join(map(str, broker_jars()))
        self._java = ["java", *_JVM, f"-Djava.io.tmpdir={directory}", "-cp", jars]
        open_to_clients = {"PLAINTEXT": plain, **(listeners or {})}
        lines = {
            **_SETTINGS,
            "log.dirs": str(self._data),
            "controller.quorum.voters": f"1@{HOST}:{controller}",
            "listeners": _addresses({**open_to_clients, "CONTROLLER": controller}),
            "advertised.listeners": _addresses(open_to_clients),
            **(settings or {}),
        }
        text = "".join(f"{name}={value}\n" for name, value in lines.items())
        self._properties.write_text(text, encoding="utf-8")
        self._format()
        self.start()

    def command(self) -> list[str]:
        """See `Service`."""
        return [*self._java, "kafka.Kafka", str(self._properties)]

    def environment(self) -> Mapping[str, str]:
        """See `Service`."""
        return java_environment()

    def answers(self) -> bool:
        """Whether it lists its topics."""
        with suppress(KafkaException):
            return bool(self.admin().list_topics(timeout=1).brokers)
        return False

    def create_topic(
        self, name: str, partitions: int = 1, settings: Mapping[str, str] | None = None
    ) -> str:
        """Make a topic with Kafka's `settings` for topics; gives its name."""
        topic = NewTopic(name, partitions, 1, config=dict(settings or {}))
        self.admin().create_topics([topic])[name].result(30)
        return name

    def admin(self) -> AdminClient:
        """The client that makes and lists topics; the same one at each call."""
        if not hasattr(self, "_client"):
            # Kept, because futures of a client that was garbage-collected fail.
            self._client = AdminClient({"bootstrap.servers": self.bootstrap}, logger=SILENT)
        return self._client

    def _format(self) -> None:
        command = [*self._java, "kafka.tools.StorageTool", "format"]
        command += ["-t", _CLUSTER_ID, "-c", str(self._properties)]
        with self.log.open("ab") as log:
            environment = {**os.environ, **java_environment()}
            done = subprocess.run(command, stdout=log, stderr=log, env=environment, check=False)
        if done.returncode:
            raise RuntimeError(f"Kafka cannot make its folder {self._data}: see {self.log}")


def _addresses(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://{HOST}:{port}" for name, port in ports.items())
