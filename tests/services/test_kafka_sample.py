"""Columns of a topic of JSON objects of which nothing is said: inferred from its newest records."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from command_line import run as run_command
from confluent_kafka import Producer
from kafka_broker import KafkaBroker

from chronon_beam.io.kafka.sample import SAMPLE
from chronon_beam.io.sources import Source, open_source

GROUP_BY = """
from chronon_beam.api import *
own = GroupBy(
    name="t.sampled", keys=["user"],
    sources=Source(EventSource(query=Query(select("user", "price"), time_column="at"))),
    aggregations=[Aggregation("price", Operation.SUM, [Window(1, TimeUnit.HOURS)])])
"""


def source_of(
    broker: KafkaBroker, topic: str, records: list[bytes | None], rest: str = ""
) -> Source:
    """A new topic with the records, on two partitions."""
    broker.create_topic(topic, 2)
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for at, value in enumerate(records):
        producer.produce(topic, value, partition=at % 2)
    assert producer.flush(60) == 0
    return open_source(f"kafka://{broker.bootstrap}/{topic}{rest}")


def objects(number: int) -> list[bytes | None]:
    """The newer half has one more field, and some are damaged."""
    half = number // 2
    old = [json.dumps({"user": "Ann", "at": at}).encode() for at in range(half)]
    new = [json.dumps({"user": "Bo", "at": at, "price": at / 2}).encode() for at in range(half)]
    return [*old, b"{", None, *new]


def test_columns_are_those_of_the_newest_records(kafka_broker: KafkaBroker) -> None:
    source = source_of(kafka_broker, "sampled", objects(4 * SAMPLE))
    assert source.schema() == pa.schema(
        [("user", pa.string()), ("at", pa.int64()), ("price", pa.float64())]
    )
    assert source.inferred is not None
    assert "newest 1,000 records: user STRING, at BIGINT, price DOUBLE" in source.inferred


def test_all_records_of_a_small_topic_are_looked_at(kafka_broker: KafkaBroker) -> None:
    source = source_of(kafka_broker, "sampled-small", [b"{", None, b'{"a": 1}', b'{"b": true}'])
    assert source.schema() == pa.schema([("a", pa.int64()), ("b", pa.bool_())])


@pytest.mark.parametrize(
    ("topic", "records", "said"),
    [
        ("sampled-empty", [], "has no record, so the columns .* give the columns, as in .schema="),
        ("sampled-tombstones", [None], "has no record"),
        ("sampled-binary", [b"\0\1", b"[1]"], "none of the newest 2 records .* JSON.*format="),
    ],
)
def test_nothing_to_infer_from_is_refused_with_a_remedy(
    kafka_broker: KafkaBroker, topic: str, records: list[bytes | None], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        source_of(kafka_broker, topic, records).schema()


def test_what_another_tells_is_not_inferred(kafka_broker: KafkaBroker) -> None:
    rest = "?registry=http://127.0.0.1:1"
    assert source_of(kafka_broker, "sampled-told", [], rest).schema() is None


def test_plan_says_what_was_inferred(
    kafka_broker: KafkaBroker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source_of(kafka_broker, "sampled-plan", objects(10))
    group_by = tmp_path / "own.py"
    group_by.write_text(GROUP_BY)
    uri = f"kafka://{kafka_broker.bootstrap}/sampled-plan"
    ran = run_command(capsys, ("plan", "--json", f"--group_by={group_by}", f"--source={uri}"))
    assert ran.code == 0, ran.err
    (said,) = [each for each in ran.objects[0]["warnings"] if "inferred" in each]
    assert "columns of sampled-plan are inferred from its newest 11 records" in said
