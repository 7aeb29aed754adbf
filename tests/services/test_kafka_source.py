"""The kafka: source on a real broker, in bounded reads on the embedded runner."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from kafka_broker import PASSWORD, USER, KafkaBroker

from chronon_beam.api.records import Messages
from chronon_beam.io.kafka.attributes import COLUMNS
from chronon_beam.io.sources import open_source
from chronon_beam.transforms.decode import Decode
from chronon_beam.transforms.serdes import open_serde

NO_COLUMNS = pa.schema([])
Record = tuple[int, bytes | None]
"""Partition and value."""


def produce(broker: KafkaBroker, topic: str, records: Sequence[Record], **settings: str) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap, **settings})
    for at, (partition, value) in enumerate(records, start=1):
        producer.produce(
            topic, value, key=b"k", partition=partition, timestamp=at, headers={"h": b"%d" % at}
        )
        producer.poll(0)
    assert producer.flush(30) == 0


def numbered(count: int, partitions: int = 2) -> list[Record]:
    return [(i % partitions, b"%d" % i) for i in range(count)]


def flat(batches: Sequence[Messages]) -> Iterator[tuple[str, int, bytes, str | None]]:
    for each in batches:
        for position, payload in zip(each.positions, each.payloads, strict=True):
            yield each.source, position, payload, each.error


def read(uri: str, columns: pa.Schema = NO_COLUMNS) -> list[Messages]:
    """All that a bounded read gives."""
    source = open_source(uri)
    source.reach()
    found: list[Messages] = []
    with beam.Pipeline(runner=FnApiRunner()) as root:
        assert_that(root | source.transform(columns), Keep(found))
    return found


class Keep:
    """A matcher that hands over what a pipeline of this process has given."""

    kept: dict[int, list[Messages]] = {}

    def __init__(self, found: list[Messages]) -> None:
        self._key = id(found)
        self.kept[self._key] = found

    def __call__(self, actual: list[Messages]) -> None:
        self.kept[self._key].extend(actual)


def payloads(uri: str) -> list[bytes]:
    return sorted((each[2] for each in flat(read(uri))), key=lambda text: int(text))


def test_a_topic_is_read_to_its_end_in_the_order_of_each_partition(
    kafka_broker: KafkaBroker,
) -> None:
    topic = kafka_broker.create_topic("whole", 3)
    produce(kafka_broker, topic, numbered(10_000, 3))
    found = read(f"kafka://{kafka_broker.bootstrap}/{topic}?start=earliest&stop=end&readers=2")
    assert {each.source for each in found} == {f"{topic}/{i}" for i in range(3)}
    for partition in range(3):
        ours = [each for each in flat(found) if each[0] == f"{topic}/{partition}"]
        ours.sort(key=lambda each: each[1])
        assert [each[1] for each in ours] == list(range(len(ours)))
        assert [each[2] for each in ours] == [b"%d" % i for i in range(partition, 10_000, 3)]


@pytest.mark.parametrize(
    ("borders", "expected"),
    [
        ("start=earliest&stop=end", range(10)),
        ("start=latest&stop=end", range(0)),
        ("start=6&stop=end", range(5, 10)),
        ("start=earliest&stop=6", range(5)),
        ("start=99&stop=end", range(0)),
        ("start=0:2,1:4&stop=0:4,1:5", [4, 6, 9]),
        ("start=committed&stop=end&group=here", [4, 5, 6, 7, 8, 9]),
        ("start=committed&stop=end&group=nobody", []),
    ],
)
def test_where_reading_begins_and_ends(
    kafka_broker: KafkaBroker, ten: str, borders: str, expected: Sequence[int]
) -> None:
    found = payloads(f"kafka://{kafka_broker.bootstrap}/{ten}?{borders}")
    assert found == [b"%d" % i for i in expected]


@pytest.fixture(scope="module")
def ten(kafka_broker: KafkaBroker) -> str:
    """Ten records on two partitions, of which a group `here` has read the first four."""
    topic = kafka_broker.create_topic("ten", 2)
    produce(kafka_broker, topic, numbered(10))
    consumer = Consumer({"bootstrap.servers": kafka_broker.bootstrap, "group.id": "here"})
    offsets = [TopicPartition(topic, partition, 2) for partition in range(2)]
    consumer.commit(offsets=offsets, asynchronous=False)
    consumer.close()
    return topic


def test_patterns_and_several_topics(kafka_broker: KafkaBroker) -> None:
    for number, name in enumerate(["eu-orders", "us-orders", "us-clicks"]):
        topic = kafka_broker.create_topic(name)
        produce(kafka_broker, topic, [(0, b"%d" % number)])
    bounds = "start=earliest&stop=end"
    both = f"kafka://{kafka_broker.bootstrap}/^(eu|us)-orders?{bounds}"
    assert payloads(both) == [b"0", b"1"]
    assert payloads(f"kafka://{kafka_broker.bootstrap}/eu-orders,us-clicks?{bounds}") == [
        b"0",
        b"2",
    ]


def test_key_headers_and_timestamp_are_columns(kafka_broker: KafkaBroker, ten: str) -> None:
    uri = f"kafka://{kafka_broker.bootstrap}/{ten}?start=0:0,1:5&stop=0:1,1:5"
    (found,) = read(uri, pa.schema([*COLUMNS, ("other", pa.int64())]))
    assert found.attributes is not None
    assert found.attributes.to_pylist() == [
        {"__key": b"k", "__headers": [("h", b"1")], "__kafka_timestamp": 1}
    ]


def test_tombstones_are_passed_over(kafka_broker: KafkaBroker) -> None:
    topic = kafka_broker.create_topic("compacted", 1, {"cleanup.policy": "compact"})
    produce(kafka_broker, topic, [(0, b"1"), (0, None), (0, b"3")])
    found = read(f"kafka://{kafka_broker.bootstrap}/{topic}?start=earliest&stop=end")
    assert [each.positions for each in found] == [[0, 2]]


def test_what_a_transaction_did_not_commit_is_not_read(kafka_broker: KafkaBroker) -> None:
    topic = kafka_broker.create_topic("transactions")
    producer = Producer({"bootstrap.servers": kafka_broker.bootstrap, "transactional.id": "t"})
    producer.init_transactions(30)
    for value, keep in [(b"1", True), (b"2", False), (b"3", True), (b"4", False)]:
        producer.begin_transaction()
        producer.produce(topic, value)
        if keep:
            producer.commit_transaction(30)
        else:
            producer.flush(30)
            producer.abort_transaction(30)
    uri = f"kafka://{kafka_broker.bootstrap}/{topic}?start=earliest&stop=end"
    assert payloads(uri) == [b"1", b"3"]


def test_large_messages_pass(kafka_broker: KafkaBroker) -> None:
    topic = kafka_broker.create_topic("large")
    large = [b"%d" % i * 10_000_000 for i in range(5)]
    produce(kafka_broker, topic, [(0, each) for each in large], **{"message.max.bytes": "20000000"})
    found = read(f"kafka://{kafka_broker.bootstrap}/{topic}?start=earliest&stop=end")
    assert [each.payloads for each in found] == [[each] for each in large]


def test_records_that_are_gone_are_a_dead_letter(kafka_broker: KafkaBroker) -> None:
    topic = kafka_broker.create_topic("cut")
    produce(kafka_broker, topic, numbered(10, 1))
    admin = AdminClient({"bootstrap.servers": kafka_broker.bootstrap})
    for future in admin.delete_records([TopicPartition(topic, 0, 7)]).values():
        future.result(30)
    found = read(f"kafka://{kafka_broker.bootstrap}/{topic}?start=0:2&stop=end")
    lost, *rest = sorted(flat(found), key=lambda each: each[1])
    assert lost[:3] == (f"{topic}/0", 2, b"")
    assert (lost[3] or "").startswith(f"offsets 2 to 6 of {topic}/0 were deleted before they were")
    assert [each[2] for each in rest] == [b"7", b"8", b"9"]


def test_a_topic_that_does_not_exist_names_the_nearest(kafka_broker: KafkaBroker) -> None:
    kafka_broker.create_topic("payments")
    with pytest.raises(
        ValueError, match="topic 'paymnets' does not exist: the nearest are payments"
    ):
        open_source(f"kafka://{kafka_broker.bootstrap}/paymnets").reach()
    with pytest.raises(ValueError, match=r"no topic matches '\^paymnet': the nearest are paym"):
        open_source(f"kafka://{kafka_broker.bootstrap}/^paymnet").reach()


def properties(tmp_path: Path, password: str) -> str:
    file = tmp_path / "client.properties"
    file.write_text(
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n"
        f"sasl.username={USER}\nsasl.password={password}\n"
    )
    return str(file)


def test_an_account_is_read_from_a_file(
    kafka_broker: KafkaBroker, ten: str, tmp_path: Path
) -> None:
    uri = f"kafka://{kafka_broker.sasl_bootstrap}/{ten}?start=earliest&stop=end"
    assert len(payloads(f"{uri}&properties={properties(tmp_path, PASSWORD)}")) == 10


def test_a_wrong_password_is_told_at_once_and_not_shown(
    kafka_broker: KafkaBroker, ten: str, tmp_path: Path
) -> None:
    uri = f"kafka://{kafka_broker.sasl_bootstrap}/{ten}?properties={properties(tmp_path, 'wr0ng')}"
    with pytest.raises(ConnectionError, match="Authentication failed") as refused:
        open_source(uri).reach()
    assert "wr0ng" not in str(refused.value)


def test_a_broker_that_is_down_is_said() -> None:
    with pytest.raises(ConnectionError, match=r"no Kafka broker answers at localhost:1: .*refused"):
        open_source("kafka://localhost:1/orders").reach()


def test_decode_takes_what_the_source_gives(kafka_broker: KafkaBroker) -> None:
    topic = kafka_broker.create_topic("json")
    produce(kafka_broker, topic, [(0, b'{"i": 1}'), (0, b"{"), (0, b'{"i": 3}')])
    source = open_source(f"kafka://{kafka_broker.bootstrap}/{topic}?start=earliest&stop=end")
    columns = pa.schema([("i", pa.int64())])
    with beam.Pipeline(runner=FnApiRunner()) as root:
        messages = root | source.transform(columns)
        decoded = messages | "Decode" >> Decode(open_serde(source.format), columns)
        rows = decoded.events | beam.FlatMap(lambda events: events.batch["i"].to_pylist())
        assert_that(rows, equal_to([1, 3]), label="rows")
        dead = decoded.failures | beam.Map(lambda failure: (failure.source, failure.position))
        assert_that(dead, equal_to([(f"{topic}/0", 1)]), label="dead")
