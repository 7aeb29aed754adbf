"""Dead letters in a topic of a real broker: whole, acknowledged, and the messages as they were."""

import json
import random
from contextlib import closing
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from confluent_kafka import Consumer, TopicPartition
from kafka_broker import PASSWORD, USER, KafkaBroker
from letters import BAD, ORIGIN, letter, run
from test_kafka_source import numbered, produce

from chronon_beam.api.records import Form
from chronon_beam.io.dead_letters.sinks import open_dead_letters, sink_failures
from chronon_beam.io.sources import open_source
from chronon_beam.transforms.decode import Decode, DecodedEvents
from chronon_beam.transforms.serdes.json import JsonSerDe
from chronon_beam.transforms.spark.session import parse_ddl


def test_letters_come_back_as_they_were_written(kafka_broker: KafkaBroker) -> None:
    topic = kafka_broker.create_topic("dead-whole", 3)
    headers = (("h", b"1"), ("h", None), ("raw", b"\xff\0"))
    failures = [
        BAD._replace(position=i, key=b"%d" % (i % 7), headers=headers, event_time_ms=i)
        for i in range(2500)
    ]
    sink = open_dead_letters(f"kafka://{kafka_broker.bootstrap}/{topic}")
    run(sink, failures)
    found = list(sink.read())
    assert sorted((each.failure for each in found), key=lambda each: each.position) == failures
    assert {each.origin for each in found} == {ORIGIN}


def test_record_of_a_letter_is_the_message_with_headers_beside_its_own(
    kafka_broker: KafkaBroker,
) -> None:
    topic = kafka_broker.create_topic("dead-record")
    uri = f"kafka://{kafka_broker.bootstrap}/{topic}"
    run(open_dead_letters(uri), [BAD._replace(key=b"ann", headers=[("trace", b"7")])])
    settings = {"bootstrap.servers": kafka_broker.bootstrap, "group.id": "reader"}
    with closing(Consumer(settings)) as consumer:
        consumer.assign([TopicPartition(topic, 0, 0)])
        record = consumer.poll(60)
    assert (record.key(), record.value()) == (b"ann", BAD.payload)
    found = dict(record.headers())
    rest = {"form": "message", "group_by": "t.g", "run": "run-1", "size": 13}
    assert json.loads(found.pop("__chronon.rest")) == rest
    assert found.pop("__chronon.time").endswith(b"Z")
    assert found == {
        "trace": b"7",
        "__chronon.step": b"Decode",
        "__chronon.error": b"DecodeError",
        "__chronon.reason": b"not JSON",
        "__chronon.source": b"a.jsonl",
        "__chronon.position": b"3",
    }


def test_letters_of_a_topics_messages_hold_key_headers_and_offset(
    kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    topic = kafka_broker.create_topic("dead-source", 2)
    produce(kafka_broker, topic, numbered(4))
    source = open_source(f"kafka://{kafka_broker.bootstrap}/{topic}?start=earliest&stop=end")
    sink = open_dead_letters(f"sqlite:{tmp_path}/dead.db")
    columns = parse_ddl("user STRING")
    with beam.Pipeline(runner=FnApiRunner()) as root:
        messages = root | source.transform(columns)
        decoded: DecodedEvents = messages | Decode(JsonSerDe(), columns)  # pyright: ignore
        sink_failures([decoded.failures], sink)
    found = [each.failure for each in sink.read()]
    assert sorted((each.source, each.position) for each in found) == [
        (f"{topic}/{partition}", offset) for partition in range(2) for offset in range(2)
    ]
    assert {(each.form, each.key) for each in found} == {(Form.MESSAGE, b"k")}
    assert sorted((each.headers, each.event_time_ms) for each in found) == [
        ((("h", b"%d" % at),), at) for at in range(1, 5)
    ]


def test_a_topic_that_is_missing_is_told_before_anything_runs(kafka_broker: KafkaBroker) -> None:
    kafka_broker.create_topic("dead-lettres")
    with pytest.raises(ValueError, match=r"'dead-letters' does not exist: .*dead-lettres"):
        open_dead_letters(f"kafka://{kafka_broker.bootstrap}/dead-letters").reach()


def test_an_account_comes_from_a_file_and_is_not_in_the_pipeline(
    kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    topic = kafka_broker.create_topic("dead-sasl")
    properties = tmp_path / "client.properties"
    properties.write_text(
        f"security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n"
        f"sasl.username={USER}\nsasl.password={PASSWORD}\n"
    )
    uri = f"kafka://{kafka_broker.sasl_bootstrap}/{topic}?properties={properties}"
    sink = open_dead_letters(uri)
    root = beam.Pipeline(runner=FnApiRunner())
    _ = root | beam.Create([BAD]) | sink
    assert PASSWORD not in str(root.to_runner_api())
    root.run().wait_until_finish()
    assert [each.failure for each in sink.read()] == [BAD]


def test_letters_that_a_broker_refuses_fail_the_bundle(kafka_broker: KafkaBroker) -> None:
    topic = kafka_broker.create_topic("dead-small", settings={"max.message.bytes": "2000"})
    writer = open_dead_letters(f"kafka://{kafka_broker.bootstrap}/{topic}").opener()()
    incompressible = random.Random(1).randbytes(5000)
    with closing(writer), pytest.raises(ConnectionError, match=rf"[12] of 2 .*{topic}: .*large"):
        writer.write([letter(), letter(BAD._replace(payload=incompressible))])
