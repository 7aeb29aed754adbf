"""What a reader does when its topics change while it reads, on a real broker: see docs/kafka.md."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from kafka_broker import KafkaBroker
from waiting import eventually

from chronon_beam.io.kafka.changes import Readers
from chronon_beam.io.kafka.cluster import Cluster
from chronon_beam.io.kafka.options import parse_options
from chronon_beam.io.kafka.progress import VectorTracker
from chronon_beam.io.kafka.session import Session
from chronon_beam.io.live import LiveSettings

NO_COLUMNS = pa.schema([])
NOW_MS = 1_000_000


class Reader:
    """The only reader of a source, driven bundle by bundle as a runner would.

    Attributes:
        payloads: what it has read.
        letters: what it has said to be lost.
        counts: sums of what it has counted.
    """

    def __init__(self, broker: KafkaBroker, topics: str) -> None:
        options = parse_options(f"kafka://{broker.bootstrap}/{topics}?start=earliest&discover=1s")
        cluster = Cluster(options)
        self._vector = cluster.first_vector(cluster.partitions(), "changes")
        live = LiveSettings(idle_ms=1000)
        self.session = Session(options, live, "changes", Readers(0, 1), NO_COLUMNS)
        self.payloads: list[bytes] = []
        self.letters: list[str] = []
        self.counts: dict[str, int] = {}

    def read(self) -> None:
        """One bundle."""
        tracker = VectorTracker(self._vector)
        for step in self.session.read(self._vector, 0, 0.25, 0.25):
            assert tracker.try_claim(step.progress)
            for name, number in step.counts.items():
                self.counts[name] = self.counts.get(name, 0) + number
            for messages in step.outputs:
                if messages.error is None:
                    self.payloads += messages.payloads
                else:
                    self.letters.append(messages.error)
        self._vector = tracker.current_restriction()

    def until(self, reached: Callable[[], bool]) -> bool:
        """Whether a fact is so after as many bundles as it takes."""

        def after_one_more() -> bool:
            self.read()
            return reached()

        return eventually(after_one_more)


@contextmanager
def reading(broker: KafkaBroker, topics: str) -> Iterator[Reader]:
    reader = Reader(broker, topics)
    try:
        yield reader
    finally:
        reader.session.close()


def produce(broker: KafkaBroker, topic: str, texts: list[bytes | None], partition: int = 0) -> None:
    """Each record a batch of its own."""
    producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 2})
    for text in texts:
        producer.produce(topic, text, partition=partition, timestamp=NOW_MS)
        assert producer.flush(60) == 0


def numbers(*bounds: int) -> list[bytes | None]:
    return [b"%d" % number for number in range(*bounds)]


def test_what_retention_has_deleted_is_lost_and_said(kafka_broker: KafkaBroker) -> None:
    topic = kafka_broker.create_topic("retention")
    produce(kafka_broker, topic, numbers(10))
    with reading(kafka_broker, topic) as reader:
        admin = AdminClient({"bootstrap.servers": kafka_broker.bootstrap})
        for future in admin.delete_records([TopicPartition(topic, 0, 7)]).values():
            future.result(60)
        assert reader.until(lambda: len(reader.payloads) >= 3)
    assert reader.payloads == numbers(7, 10)
    assert reader.counts["lost"] == 1
    (letter,) = reader.letters
    assert letter.startswith(f"offsets 0 to 6 of {topic}/0 were deleted before they were read")


@pytest.mark.parametrize("number", [3, 8])
def test_a_topic_made_anew_is_read_from_its_first_record(
    kafka_broker: KafkaBroker, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    """With fewer partitions; with fewer records than have been read, or more."""
    topic = kafka_broker.create_topic(f"anew{number}", 2)
    produce(kafka_broker, topic, numbers(5))
    produce(kafka_broker, topic, numbers(5, 7), partition=1)
    with reading(kafka_broker, topic) as reader:
        assert reader.until(lambda: len(reader.payloads) == 7)
        kafka_broker.delete_topic(topic)
        assert reader.until(lambda: "has no partition" in caplog.text)
        kafka_broker.create_topic(topic, 1)
        anew = numbers(100, 100 + number)
        produce(kafka_broker, topic, anew)
        assert reader.until(lambda: bool(reader.letters) and set(anew) <= set(reader.payloads))
        # The partition that is gone is waited for, and holds nothing back.
        assert reader.until(lambda: reader.session.watermark_ms() > NOW_MS)
    assert reader.counts["lost"] == 1
    (letter,) = reader.letters
    # With the larger number, the new topic may have been read on from the old one's offset.
    assert letter.startswith(f"topic '{topic}' was deleted and made anew: what the old one held")
    assert letter.endswith("on was not read; the new one is read from 0")


def cut(log: Path, kept: int) -> None:
    """Shorten the log of a partition to so many batches, as a broker that lost its disk's cache."""
    data, at = log.read_bytes(), 0
    for _ in range(kept):
        at += 12 + int.from_bytes(data[at + 8 : at + 12], "big")
    log.write_bytes(data[:at])
    for index in (log.with_suffix(".index"), log.with_suffix(".timeindex")):
        index.unlink()


def test_a_log_that_has_lost_records_is_read_on_at_its_end(kafka_broker: KafkaBroker) -> None:
    topic = kafka_broker.create_topic("shorter")
    produce(kafka_broker, topic, numbers(10))
    with reading(kafka_broker, topic) as reader:
        assert reader.until(lambda: len(reader.payloads) == 10)
        kafka_broker.kill()
        cut(kafka_broker.log_of(topic, 0), kept=6)
        kafka_broker.start()
        assert reader.until(lambda: bool(reader.letters))
        produce(kafka_broker, topic, numbers(100, 103))
        assert reader.until(lambda: len(reader.payloads) >= 13)
    assert reader.payloads == [*numbers(10), *numbers(100, 103)]
    assert reader.counts["lost"] == 1
    (letter,) = reader.letters
    assert letter.startswith(f"the log of {topic}/0 ends at offset 6, before 10: the brokers")


def test_new_topics_of_a_pattern_are_read_whole(kafka_broker: KafkaBroker) -> None:
    produce(kafka_broker, kafka_broker.create_topic("grow-a"), numbers(2))
    with reading(kafka_broker, "^grow-") as reader:
        assert reader.until(lambda: len(reader.payloads) == 2)
        produce(kafka_broker, kafka_broker.create_topic("grow-b", 2), numbers(2, 4), partition=1)
        assert reader.until(lambda: len(reader.payloads) >= 4)
    assert reader.payloads == numbers(4)
    assert not reader.letters


def test_tombstones_are_counted(kafka_broker: KafkaBroker) -> None:
    topic = kafka_broker.create_topic("tombstones", 1, {"cleanup.policy": "compact"})
    producer = Producer({"bootstrap.servers": kafka_broker.bootstrap})
    for value in (b"1", None, b"3"):
        producer.produce(topic, value, key=b"k")
    assert producer.flush(60) == 0
    with reading(kafka_broker, topic) as reader:
        assert reader.until(lambda: len(reader.payloads) == 2)
    assert reader.counts["tombstones"] == 1


def test_a_broker_that_is_away_is_waited_for_and_holds_the_watermark(
    kafka_broker: KafkaBroker, caplog: pytest.LogCaptureFixture
) -> None:
    topic = kafka_broker.create_topic("away")
    produce(kafka_broker, topic, numbers(3))
    caplog.set_level(logging.WARNING)
    with reading(kafka_broker, topic) as reader:
        assert reader.until(lambda: len(reader.payloads) == 3)
        kafka_broker.kill()
        assert reader.until(lambda: "waiting for one" in caplog.text)
        promised_ms = reader.session.watermark_ms()
        kafka_broker.start()
        produce(kafka_broker, topic, numbers(3, 5))
        assert reader.until(lambda: len(reader.payloads) >= 5)
    assert promised_ms < NOW_MS
    assert reader.payloads == numbers(5)
    assert "Kafka answers again" in caplog.text
