"""Orders of ice cream in a topic, and what a job has made of them."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from confluent_kafka import Producer
from kafka_broker import KafkaBroker

from chronon_beam.pipeline.cli import main

ICE_CREAM = Path(__file__).parents[2] / "examples" / "ice_cream"
GROUP_BY = "ice_cream.group_by.ice_cream_group_by"
SCHEMA = "schema=customer_id STRING, ice_cream_flavor STRING, created BIGINT"
DECLARED = f"--group_by={ICE_CREAM / 'group_by.py'}"


class Orders:
    """A topic of orders, and where a job keeps what it makes of them.

    Attributes:
        source: the URI of the topic, read from its beginning.
        kept: the flags that say where tiles and dead letters go.
    """

    def __init__(self, broker: KafkaBroker, folder: Path, name: str) -> None:
        self._topic = broker.create_topic(name, 2)
        self._producer = Producer({"bootstrap.servers": broker.bootstrap})
        self._store = f"--store=sqlite:{folder}/features.db"
        self.source = f"kafka://{broker.bootstrap}/{self._topic}?start=earliest"
        self.kept = [self._store, f"--dead_letters=file:{folder}/dead.jsonl"]

    def place(self, flavors: Sequence[str]) -> None:
        """One order of Alice for each flavor, a millisecond apart."""
        now_ms = int(time.time() * 1000)
        for at, flavor in enumerate(flavors):
            order = {"customer_id": "Alice", "ice_cream_flavor": flavor, "created": now_ms + at}
            self._producer.produce(self._topic, json.dumps(order).encode(), partition=0)
        assert self._producer.flush(60) == 0

    def are(self, number: int, flavor: str, capsys: pytest.CaptureFixture[str]) -> bool:
        """Whether so many are counted, the last one of that flavor."""
        capsys.readouterr()
        code = main(["fetch", DECLARED, "--key=customer_id=Alice", self._store])
        out = capsys.readouterr().out
        expected = {"customer_id_count_6h": number, "flavor_last_6h": flavor}
        return code == 0 and json.loads(out) == expected
