"""Produces events of the light workload, stamped with the time at which each is produced.

    python benchmarks/kafka_load.py BOOTSTRAP TOPIC PARTITIONS

Each line on stdin is `RATE SECONDS AGE_S` (RATE 0: NUMBER events at once), where the age is how
long ago the events claim to have been created; the answer is how many.
"""

import random
import sys
import time

from confluent_kafka import Producer
from workload import FLAVORS

CHANCE = random.Random(1)
_PAUSE_S = 0.002


def event(age_s: float) -> bytes:
    """One event of so many seconds ago."""
    user, flavor = CHANCE.randrange(10_000), CHANCE.choice(FLAVORS)
    text = '{"customer_id":"user%06d","ice_cream_flavor":"%s","created":%d}'
    return (text % (user, flavor, int((time.time() - age_s) * 1000))).encode()


class Load:
    """A producer that sends each event at once."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "linger.ms": 0, "acks": 1, "log_level": 2}
        )
        self._topic = topic
        self._partitions = partitions
        self._sent = 0
        self.age_s = 0.0

    def send(self) -> None:
        """One event, to the next partition."""
        try:
            partition = self._sent % self._partitions
            self._producer.produce(self._topic, event(self.age_s), partition=partition)
        except BufferError:
            self._producer.poll(0.1)
            return
        self._sent += 1

    def at_rate(self, rate: float, seconds: float) -> int:
        """Events at a steady rate; how many."""
        began, before = time.time(), self._sent
        while (elapsed := time.time() - began) < seconds:
            while self._sent - before < elapsed * rate:
                self.send()
            self._producer.poll(0)
            time.sleep(_PAUSE_S)
        self._producer.flush()
        return self._sent - before

    def at_once(self, number: int) -> int:
        """As many events as fast as they go."""
        wanted = self._sent + number
        while self._sent < wanted:
            self.send()
            if self._sent % 1000 == 0:
                self._producer.poll(0)
        self._producer.flush()
        return number


def main() -> None:
    """See the module."""
    load = Load(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    for line in sys.stdin:
        rate, amount, load.age_s = map(float, line.split())
        print(load.at_rate(rate, amount) if rate else load.at_once(int(amount)), flush=True)


if __name__ == "__main__":
    main()
