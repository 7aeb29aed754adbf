"""A Kafka broker (KRaft, one node) as a process of its own, from Maven jars.

`python tests/services/kafka_broker.py` starts one and says how to use it; Ctrl-C ends it.
"""

import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

if __name__ == "__main__":
    logging.basicConfig(level="ERROR")  # Beam warns of what is not needed here

from apache_beam.utils.subprocess_server import pick_port
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic
from service import Service, serve

from chronon_beam.pipeline.runners import maven
from chronon_beam.transforms.spark.cache_directory import cache_directory
from chronon_beam.transforms.spark.java_runtime import java_environment

LOCK = Path(__file__).with_name("kafka_broker.lock")
USER, PASSWORD = "reader", "opens-sesame"
"""The only account that the listener with SASL lets in."""

_CLUSTER_ID = "4L6g3nShT-eMCtK--X86sw"
_JVM = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:MetaspaceSize=128m",
)
_JAAS = (
    f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
)
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{plain},SASL://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL://127.0.0.1:{sasl}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
listener.name.sasl.sasl.enabled.mechanisms=PLAIN
listener.name.sasl.plain.sasl.jaas.config={jaas}
log.dirs={data}
log.cleaner.enable=false
log.retention.ms=-1
auto.create.topics.enable=false
message.max.bytes=20000000
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
"""


class KafkaBroker(Service):
    """Started by the constructor; its topics outlive `kill` and `start`.

    Attributes:
        bootstrap: `host:port`, open to everybody.
        sasl_bootstrap: `host:port`, for `USER` with `PASSWORD` (SASL_PLAINTEXT, PLAIN).
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "kafka_broker.log")
        plain, sasl, controller = pick_port(None, None, None)
        self.bootstrap = f"127.0.0.1:{plain}"
        self.sasl_bootstrap = f"127.0.0.1:{sasl}"
        self._properties = directory / "server.properties"
        self._data = directory / "data"
        jars = maven.fetch(maven.read_lock(LOCK), cache_directory() / "jars")
        self._java = ["java", *_JVM, "-cp", ":".join(map(str, jars))]
        text = _PROPERTIES.format(
            plain=plain, sasl=sasl, controller=controller, jaas=_JAAS, data=self._data
        )
        self._properties.write_text(text, encoding="utf-8")
        self._format()
        self.start()

    def command(self) -> list[str]:
        return [*self._java, "kafka.Kafka", str(self._properties)]

    def environment(self) -> Mapping[str, str]:
        return java_environment()

    def answers(self) -> bool:
        with suppress(KafkaException):
            return bool(self._admin().list_topics(timeout=1).brokers)
        return False

    def create_topic(
        self, name: str, partitions: int = 1, settings: Mapping[str, str] | None = None
    ) -> str:
        """Make a topic with Kafka's `settings` of one; its name."""
        topic = NewTopic(name, partitions, 1, config=dict(settings or {}))
        self._admin().create_topics([topic])[name].result(30)
        return name

    def delete_topic(self, name: str) -> None:
        """Delete a topic with all its records."""
        self._admin().delete_topics([name])[name].result(30)

    def add_partitions(self, name: str, total: int) -> None:
        """Let the topic have `total` partitions."""
        self._admin().create_partitions([NewPartitions(name, total)])[name].result(30)

    def log_of(self, topic: str, partition: int) -> Path:
        """The only file that holds a partition's records."""
        (log,) = (self._data / f"{topic}-{partition}").glob("*.log")
        return log

    def _admin(self) -> AdminClient:
        if not hasattr(self, "_client"):
            # Kept: futures of a client that is collected fail.
            self._client = AdminClient({"bootstrap.servers": self.bootstrap}, logger=_SILENT)
        return self._client

    def _format(self) -> None:
        command = [*self._java, "kafka.tools.StorageTool", "format"]
        command += ["-t", _CLUSTER_ID, "-c", str(self._properties)]
        with self._log.open("ab") as log:
            environment = {**os.environ, **java_environment()}
            subprocess.run(command, stdout=log, stderr=log, check=True, env=environment)


_SILENT = logging.getLogger("kafka_broker.client")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


if __name__ == "__main__":
    sys.exit(serve(KafkaBroker, lambda it: f"a broker answers at {it.bootstrap}"))
