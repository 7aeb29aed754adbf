"""The job reads topics that other people's serializers wrote, each record exactly once."""

from pathlib import Path

import pytest
from kafka_broker import KafkaBroker
from sales import Topic, job_options, run_job
from schema_registry import SchemaRegistry
from written import COLUMNS, FORMATS, Place

from chronon_beam.api.serde import Format
from chronon_beam.io.kafka import read

SERDES = ("json", "avro_registered", "protobuf_registered", "thrift_compact", "debezium", "csv")
"""One of each serde, on a full topic; the others differ by what stands in front of a message."""

ON_FLINK = ("avro_registered", "protobuf_registered", "thrift_compact")
"""Serdes that connect to a registry or compile a schema in the worker."""

TOLD = ("json", "csv")
"""Formats whose columns the user tells."""


@pytest.mark.parametrize("name", FORMATS)
def test_every_record_counts_once(
    kafka_broker: KafkaBroker, schema_registry: SchemaRegistry, tmp_path: Path, name: str
) -> None:
    number = 200_000 if name in SERDES else 20_000
    topic = Topic(kafka_broker, f"sales-{name}")
    written = FORMATS[name](Place(tmp_path, schema_registry.url, topic.name))
    topic.produce(written, range(number), number)
    told = {"schema": COLUMNS} if name in TOLD else {}
    format_ = Format(written.format.name, {**written.format.parameters, **told})
    row = "after." if name == "debezium" else ""
    run_job(job_options(topic, format_, tmp_path, row)).assert_exact(topic)
    assert topic.letters == number // 1000


@pytest.mark.parametrize("name", ON_FLINK)
def test_every_record_counts_once_on_flink(
    kafka_broker: KafkaBroker, schema_registry: SchemaRegistry, tmp_path: Path, name: str
) -> None:
    topic = Topic(kafka_broker, f"sales-flink-{name}")
    written = FORMATS[name](Place(tmp_path, schema_registry.url, topic.name))
    topic.produce(written, range(200_000), 200_000)
    run_job(job_options(topic, written.format, tmp_path), "FlinkRunner").assert_exact(topic)


def test_tiles_are_open_until_all_is_read(
    kafka_broker: KafkaBroker,
    schema_registry: SchemaRegistry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Where bundles of a source with an end are cut at all, they are cut at each poll.
    monkeypatch.setattr(read, "_BOUNDED_BUNDLE_S", 0.0)
    topic = Topic(kafka_broker, "sales-in-bundles")
    written = FORMATS["json"](Place(tmp_path, schema_registry.url, topic.name))
    topic.produce(written, range(5_000), 5_000)
    format_ = Format("json", {"schema": COLUMNS})
    run_job(job_options(topic, format_, tmp_path)).assert_exact(topic)
