"""What a job reads where no --source is given, and the columns of its records."""

import pytest
from declarations import events, group_by

from chronon_beam.api import Aggregation, Operation
from chronon_beam.api.group_by import GroupBy as GroupByRecord
from chronon_beam.io.kafka.source import KafkaSource
from chronon_beam.io.sources import open_source
from chronon_beam.pipeline.options import UsageError
from chronon_beam.pipeline.prepare import source_serde, source_uri

TOPIC = "kafka://orders/schema=customer STRING, ts BIGINT/group=shop"


def group_by_of(topic: str | None) -> GroupByRecord:
    counts = [Aggregation("customer", Operation.COUNT)]
    return group_by("t.orders", ["customer"], counts, sources=events(topic=topic))


def test_a_group_by_brings_its_topic() -> None:
    uri = source_uri(group_by_of(TOPIC), None, "broker:9092")
    source = open_source(uri)
    assert isinstance(source, KafkaSource)
    assert source.options.bootstrap == "broker:9092"
    assert source.options.topics == ("orders",)
    assert (source.ddl, source.options.group) == ("customer STRING, ts BIGINT", "shop")


def test_a_source_that_is_given_goes_first() -> None:
    assert source_uri(group_by_of(TOPIC), "file:a.jsonl", None) == "file:a.jsonl"


def test_without_source_and_topic_the_remedy_is_reported() -> None:
    with pytest.raises(UsageError, match=r"t\.orders has no topic: .* --source=file:"):
        source_uri(group_by_of(None), None, "broker:9092")


def test_what_kafka_knows_of_a_record_is_a_column_beside_those_of_its_value() -> None:
    uri = "kafka://broker:9092/orders?schema=ts BIGINT, __key STRING"
    _, schema = source_serde(open_source(uri), uri)
    assert schema.names == ["ts", "__key", "__headers", "__kafka_timestamp"]
    assert str(schema.field("__key").type) == "string"
