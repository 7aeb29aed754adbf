"""The shop: a thread that writes ice cream orders to a Kafka topic, at a steady rate."""

import json
import random
import time
from threading import Event, Thread

from confluent_kafka import Producer

from chronon_beam.pipeline.demo.freshness import Freshness
from chronon_beam.pipeline.demo.kafka_broker import SILENT

CUSTOMERS = ("Alice", "Bob", "Carol", "Dave", "Erin", "Frank", "Grace", "Heidi", "Ivan", "Judy")
FLAVORS = ("chocolate", "hazelnut", "lemon", "mango", "olive oil", "pistachio", "strawberry")
DDL = "customer_id STRING, flavor STRING, created BIGINT"
"""The schema of an order; `created` is in milliseconds."""

DAMAGED_EVERY = 500
"""One order of that many is cut short on its way, as bad data comes in every stream."""

_TICK_S = 0.02
_FLUSH_S = 5.0


class Shop:
    """Sends orders while this context manager is entered.

    Args:
        bootstrap: the broker.
        topic: where orders go; those of a customer to one partition.
        rate: orders per second.
        freshness: notes each order that is not damaged.
    """

    def __init__(self, bootstrap: str, topic: str, rate: float, freshness: Freshness) -> None:
        settings = {"bootstrap.servers": bootstrap, "linger.ms": 5}
        self._producer = Producer(settings, logger=SILENT)
        self._topic = topic
        self._rate = rate
        self._freshness = freshness
        self._last_ms = dict.fromkeys(CUSTOMERS, 0)
        self._random = random.Random(1)
        self._closed = Event()
        self._thread = Thread(target=self._serve, name="shop", daemon=True)

    def __enter__(self) -> "Shop":
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._closed.set()
        self._thread.join()
        self._producer.purge()
        self._producer.flush(_FLUSH_S)

    def _serve(self) -> None:
        began, sent = time.monotonic(), 0
        while not self._closed.wait(_TICK_S):
            due = int((time.monotonic() - began) * self._rate)
            while sent < due and not self._closed.is_set():
                sent += 1
                self._send(is_damaged=sent % DAMAGED_EVERY == 0)
            self._producer.poll(0)

    def _send(self, is_damaged: bool) -> None:
        customer, flavor = self._random.choice(CUSTOMERS), self._random.choice(FLAVORS)
        # No two orders of a customer have one time: see `Freshness`.
        created_ms = max(int(time.time() * 1000), self._last_ms[customer] + 1)
        self._last_ms[customer] = created_ms
        order = {"customer_id": customer, "flavor": flavor, "created": created_ms}
        value = json.dumps(order).encode()
        if is_damaged:
            value = value[: len(value) // 2]
        else:
            self._freshness.send(customer, created_ms)
        self._produce(customer.encode(), value)

    def _produce(self, key: bytes, value: bytes) -> None:
        """Hand a record to the client; while its queue is full, wait until it has room."""
        while not self._closed.is_set():
            try:
                return self._producer.produce(self._topic, value, key)
            except BufferError:
                self._producer.poll(_TICK_S)
        return None
