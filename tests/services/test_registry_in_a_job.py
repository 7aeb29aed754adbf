"""A job reads on while the schema of its topic changes and while the registry is away."""

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from gateway import Gateway
from kafka_broker import KafkaBroker
from sales import PARTITIONS, Topic, job_options, run_job
from schema_registry import SchemaRegistry
from waiting import WITHIN_S, eventually
from written import Sale, Written

from chronon_beam.api.counts import Metric
from chronon_beam.api.serde import Format
from chronon_beam.io.metrics import measured
from chronon_beam.transforms.schemas import registry as product

PART = 4_000
UNKNOWN = 10
NUMBER = 3 * PART + UNKNOWN


def record(*fields: dict[str, Any]) -> str:
    return json.dumps({"type": "record", "name": "shop.Sale", "fields": fields})


USER = {"name": "user", "type": "string"}
AT = {"name": "at", "type": "long"}
NOTE = {"name": "note", "type": "string", "default": "none"}
SHOP = {"name": "shop", "type": ["null", "long"], "default": None}
FIRST = record(USER, {"name": "id", "type": "int"}, AT, {"name": "amount", "type": "float"})
SECOND = record(
    {"name": "price", "type": "double", "aliases": ["amount"]},
    USER,
    {"name": "id", "type": "long"},
    AT,
    NOTE,
)
THIRD = record(USER, {"name": "id", "type": "int"}, AT, {"name": "price", "type": "float"}, SHOP)
"""Without the note, which has a default in the second."""


class Sales:
    """What producers of three versions of a schema write."""

    def __init__(self, registry: SchemaRegistry, topic: str) -> None:
        self._url = registry.url
        self._client = SchemaRegistryClient({"url": registry.url})
        self._context = SerializationContext(topic, MessageField.VALUE)
        self._subject = f"{topic}-value"

    def register(self, *schemas: str) -> list[int]:
        """The ids of schemas; a client remembers those that it has registered, so it is new."""
        client = SchemaRegistryClient({"url": self._url})
        return [client.register_schema(self._subject, Schema(s, "AVRO")) for s in schemas]

    def written(self, schema: str) -> Written:
        """Confluent's serializer with one of the schemas."""
        serializer = AvroSerializer(self._client, schema)
        names = [field["name"] for field in json.loads(schema)["fields"]]

        def write(each: Sale) -> bytes:
            values = {**each, "amount": each["price"], "shop": 7, "note": "new"}
            return serializer({name: values[name] for name in names}, self._context)

        return Written(Format("avro"), write)


class Operator(threading.Thread):
    """Does its work beside a job; fills the topic at the end, so that the job ends in any case."""

    def __init__(self, work: Callable[[], None], topic: Topic) -> None:
        super().__init__()
        self._work = work
        self._topic = topic
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.error = error
        finally:
            while self._topic.made < NUMBER:
                self._topic.send_letter(b"\xff")
            self._topic.flush()


def _messages() -> int:
    """How many messages this process has read."""
    return sum(each.numbers.get(Metric.MESSAGES, 0) for each in list(measured.values()))


class Outage:
    """The registry is killed while the job runs, and is back with what it had.

    Args:
        registry: a registry that only this job uses.
        topic: is written on meanwhile, by the third version of the schema.
        said: what has been logged.

    Attributes:
        gateway: what the job knows the registry by.
    """

    def __init__(self, registry: SchemaRegistry, topic: Topic, said: Callable[[], str]) -> None:
        self._registry = registry
        self.gateway = Gateway(registry.url)
        self._topic = topic
        self._counted = _messages()
        self._said = said
        self._sales = Sales(registry, topic.name)
        self._ids = self._sales.register(FIRST, SECOND)

    def before(self) -> None:
        """Write the sales that are there when the job starts."""
        self._topic.produce(self._sales.written(FIRST), range(PART), NUMBER)
        self._topic.produce(self._sales.written(SECOND), range(PART, 2 * PART), NUMBER)

    def meanwhile(self) -> None:
        """Write on, kill the registry, and start it again once the job waits for it."""
        assert eventually(lambda: _messages() - self._counted >= 2 * PART, WITHIN_S)
        ids = self._ids + self._sales.register(THIRD)
        third = self._sales.written(THIRD)
        third.write({"user": "", "id": 0, "at": 0, "price": 0.0})
        self._registry.kill()
        self.gateway.open = False
        self._topic.produce(third, range(2 * PART, 3 * PART), NUMBER)
        for _ in range(UNKNOWN):
            self._topic.send_letter(b"\0" + (999_999).to_bytes(4, "big") + b"\0")
        self._topic.flush()
        assert eventually(lambda: "does not answer" in self._said(), WITHIN_S)
        self._registry.start()
        assert self._sales.register(FIRST, SECOND, THIRD) == ids
        self.gateway.open = True


def test_job_outlives_its_registry_and_follows_the_schema(
    kafka_broker: KafkaBroker,
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry = SchemaRegistry(tmp_path_factory.mktemp("registry"))
    topic = Topic(kafka_broker, "versions")
    # No subject: it is that of the topic. The offsets to stop at are not there yet.
    outage = Outage(registry, topic, lambda: caplog.text)
    outage.before()
    format_, share = Format("avro", {"registry": outage.gateway.url}), NUMBER // PARTITIONS
    options = job_options(topic, format_, tmp_path, stop=f"0:{share},1:{share}")
    operator = Operator(outage.meanwhile, topic)
    operator.start()
    with caplog.at_level(logging.WARNING, product.__name__):
        try:
            ran = run_job(options)
        finally:
            operator.join()
            outage.gateway.stop()
            registry.stop()
    assert operator.error is None, operator.error
    ran.assert_exact(topic)
    reasons = [each["reason"] for each in ran.dead]
    assert sum("has no schema 999999" in each for each in reasons) == UNKNOWN
    assert "answers again" in caplog.text
