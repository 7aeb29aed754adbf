"""The product's Kafka broker with what tests need besides: an account, and hands on its topics.

`python tests/services/kafka_broker.py` starts one and says how to use it; Ctrl-C ends it.
"""

import logging
import sys
from pathlib import Path

if __name__ == "__main__":
    logging.basicConfig(level="ERROR")  # Beam warns of what is not needed here

from apache_beam.utils.subprocess_server import pick_port
from confluent_kafka.admin import NewPartitions
from service import serve

from chronon_beam.pipeline.demo import kafka_broker

USER, PASSWORD = "reader", "opens-sesame"
"""The only account that the listener with SASL lets in."""

_JAAS = (
    f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
)
_SASL = {
    "listener.name.sasl_plaintext.sasl.enabled.mechanisms": "PLAIN",
    "listener.name.sasl_plaintext.plain.sasl.jaas.config": _JAAS,
}


class KafkaBroker(kafka_broker.KafkaBroker):
    """Started by the constructor; its topics outlive `kill` and `start`.

    Attributes:
        sasl_bootstrap: `host:port`, for `USER` with `PASSWORD` (SASL_PLAINTEXT, PLAIN).
    """

    def __init__(self, directory: Path) -> None:
        (sasl,) = pick_port(None)
        self.sasl_bootstrap = f"127.0.0.1:{sasl}"
        super().__init__(directory, listeners={"SASL_PLAINTEXT": sasl}, settings=_SASL)

    def delete_topic(self, name: str) -> None:
        """Delete a topic with all its records."""
        self.admin().delete_topics([name])[name].result(30)

    def add_partitions(self, name: str, total: int) -> None:
        """Let the topic have `total` partitions."""
        self.admin().create_partitions([NewPartitions(name, total)])[name].result(30)

    def log_of(self, topic: str, partition: int) -> Path:
        """The only file that holds a partition's records."""
        (log,) = (self._data / f"{topic}-{partition}").glob("*.log")
        return log


if __name__ == "__main__":
    sys.exit(serve(KafkaBroker, lambda it: f"a broker answers at {it.bootstrap}"))
