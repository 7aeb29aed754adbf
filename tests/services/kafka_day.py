"""A day of events in a Kafka topic, with bad ones of all kinds, and the features that must result.

Keys are skewed, events up to two minutes out of order; some come twice, some hours late, some are
damaged or filtered out, and some clocks are wrong: of a client that stamps records, of a device
that stamps events. A partition can be held back for hours.
"""

import json
import math
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from confluent_kafka import Producer
from drawing import BEGIN_MS, brute_force, group_by_of
from kafka_broker import KafkaBroker

from chronon_beam.api import Aggregation, Operation, Window
from chronon_beam.api.dialect import TimeUnit

_DAY = [Window(1, TimeUnit.DAYS)]
GROUP_BY = group_by_of(
    [
        Aggregation("d", Operation.SUM, _DAY),
        Aggregation("d", Operation.MAX, _DAY),
        Aggregation("d", Operation.AVERAGE, _DAY),
        Aggregation("i", Operation.COUNT, _DAY),
    ]
)
HOUR_MS = 3_600_000
START_MS = BEGIN_MS // HOUR_MS * HOUR_MS
END_MS = START_MS + 24 * HOUR_MS
FAR_MS = 4_070_908_800_000
"""The year 2099."""

_PAUSE_S = 0.02

USERS = 50
KEYS = [{"user": f"u{number}", "shop": 1} for number in range(USERS)]


class Tile(NamedTuple):
    """What a tile holds of its events: the sum and the maximum of `d`, and the number of `i`."""

    total: float
    most: float
    number: int | None


def _folded(events: Sequence[dict[str, Any]]) -> Tile:
    amounts = [event["d"] for event in events]
    return Tile(sum(amounts), max(amounts), sum(e["i"] is not None for e in events) or None)


class Day:
    """Produces the day's events in the order of the day, and folds them.

    Args:
        broker: where to.
        topic: its name.
        events: how many the whole day has, without those that come twice.
        seed: of all that is drawn.

    Attributes:
        sent: how many records have been produced.
        dead: how many of them are damaged.
        filtered: how many of them a where lets go.
        producing: whether events are being produced, in another thread for example.
    """

    def __init__(self, broker: KafkaBroker, topic: str, events: int, seed: int) -> None:
        self.sent = self.dead = self.filtered = 0
        self.producing = False
        self._broker = broker
        self._topic = topic
        self._chance = random.Random(seed)
        self._step_ms = (END_MS - START_MS) / events
        self._made = 0
        self._held: list[bytes] = []
        self._features: dict[int, list[dict[str, Any]]] = {}
        self._sound: dict[str, list[dict[str, Any]]] = defaultdict(list)

    @property
    def now_ms(self) -> int:
        """The time of the day that its events have come to."""
        return START_MS + int(self._made * self._step_ms)

    def produce_until(
        self, hour: float, partitions: Sequence[int], held: int = -1, per_s: float = math.inf
    ) -> None:
        """The events up to an hour of the day; those of the partition `held` come later.

        With `per_s`, so many events are produced a second.
        """
        self.producing = True
        try:
            self._produce_until(START_MS + hour * HOUR_MS, partitions, held, per_s)
        finally:
            self.producing = False

    def _produce_until(
        self, until_ms: float, partitions: Sequence[int], held: int, per_s: float
    ) -> None:
        producer = self._producer()
        begun_s, made = time.monotonic(), self._made
        while self.now_ms < until_ms:
            ahead_s = (self._made - made) / per_s - (time.monotonic() - begun_s)
            if ahead_s > _PAUSE_S:
                producer.poll(0)
                time.sleep(ahead_s)
            now_ms, partition = self.now_ms, partitions[self._made % len(partitions)]
            self._made += 1
            for value in self._drawn(now_ms):
                if partition == held:
                    self._held.append(value)
                else:
                    self._send(producer, value, partition, now_ms)
        assert producer.flush(120) == 0

    def release(self, partition: int) -> None:
        """What was held back; hours late, and stamped by its client with the time of now."""
        producer = self._producer()
        for value in self._held:
            self._send(producer, value, partition, self.now_ms)
        self._held.clear()
        assert producer.flush(120) == 0

    def features(self, at_ms: int) -> list[dict[str, Any]]:
        """Those of `KEYS` at a full hour, by brute force."""
        if at_ms not in self._features:
            self._features[at_ms] = [
                brute_force(GROUP_BY, self._sound[key["user"]], key, at_ms) for key in KEYS
            ]
        return self._features[at_ms]

    def tiles(self) -> dict[tuple[str, int], Tile]:
        """What each tile of the day must hold, by user and start of its hour."""
        found: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
        for user, events in self._sound.items():
            for event in events:
                found[user, event["created"] // HOUR_MS * HOUR_MS].append(event)
        return {place: _folded(events) for place, events in found.items()}

    def sound(self) -> dict[str, list[dict[str, Any]]]:
        """The events that count so far, by user."""
        return {user: list(events) for user, events in self._sound.items()}

    def trickle(self, partition: int) -> None:
        """One event of this moment that is filtered out: no tile takes it."""
        producer = self._producer()
        value = json.dumps({"user": None, "shop": None, "created": END_MS})
        now_ms = int(time.time() * 1000)
        producer.produce(self._topic, value, partition=partition, timestamp=now_ms)
        self.sent += 1
        self.filtered += 1
        assert producer.flush(120) == 0

    def _producer(self) -> Producer:
        """A new one knows all partitions; it repeats no record when the broker is killed."""
        self._features.clear()
        return Producer(
            {
                "bootstrap.servers": self._broker.bootstrap,
                "enable.idempotence": True,
                "log_level": 2,
            }
        )

    def _send(self, producer: Producer, value: bytes, partition: int, now_ms: int) -> None:
        if self._chance.random() < 0.001:
            now_ms = FAR_MS
        producer.produce(self._topic, value, partition=partition, timestamp=now_ms)
        producer.poll(0)
        self.sent += 1
        if self.sent % 10_000 == 0:
            producer.flush(60)

    def _drawn(self, now_ms: int) -> Iterator[bytes]:
        """One event, or the same twice."""
        chance = self._chance
        event = self._event(now_ms)
        for _ in range(2 if chance.random() < 0.02 else 1):
            value = json.dumps(event).encode()
            if chance.random() < 0.001:
                value = value[:-1]
                self.dead += 1
            elif event["user"] is None:
                self.filtered += 1
            else:
                self._sound[event["user"]].append(event)
            yield value

    def _event(self, now_ms: int) -> dict[str, Any]:
        chance = self._chance
        late = chance.random() < 0.01
        old_ms = chance.randrange(5 * HOUR_MS if late else 120_000)
        event: dict[str, Any] = {
            "user": f"u{int(chance.paretovariate(0.8) - 1) % USERS}",
            "shop": 1,
            "d": chance.randrange(4096) / 8,
            "i": chance.choice([None, 1, 2]),
            "created": max(now_ms - old_ms, START_MS),
        }
        if chance.random() < 0.01:
            event |= {"user": None, "shop": None}
        elif chance.random() < 0.0005:
            event |= {"user": "ahead", "created": FAR_MS}
        return event
