"""The job reads topics that other people's serializers wrote, each record exactly once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from flink_cluster import FlinkCluster
from kafka_broker import KafkaBroker
from sales import Topic, job_options, run_job, run_jobs
from schema_registry import SchemaRegistry
from written import COLUMNS, FORMATS, Place, Written

from chronon_beam.api.serde import Format
from chronon_beam.io.kafka import read
from chronon_beam.pipeline.options import JobOptions

SERDES = ("json", "avro_registered", "protobuf_registered", "thrift_compact", "debezium", "csv")
"""One of each serde, on a full topic; the others differ by what stands in front of a message."""

TOLD = ("json", "csv")
"""Formats whose columns the user tells."""

CHECKPOINTS = ("--checkpointing_interval=1000",)
"""The command sees to it that the job ends: with checkpoints, Flink would wait for more."""


@pytest.fixture
def place(tmp_path: Path, schema_registry: SchemaRegistry) -> Callable[[str], Place]:
    """Where what writes a topic keeps its schemas."""
    return lambda topic: Place(tmp_path, schema_registry.url, topic)


def options_for(name: str, topic: Topic, written: Written, folder: Path) -> JobOptions:
    """The product's job over a topic in one of `FORMATS`."""
    told = {"schema": COLUMNS} if name in TOLD else {}
    format_ = Format(written.format.name, {**written.format.parameters, **told})
    return job_options(topic, format_, folder, "after." if name == "debezium" else "")


@pytest.mark.parametrize("name", FORMATS)
def test_every_record_counts_once(
    kafka_broker: KafkaBroker, place: Callable[[str], Place], tmp_path: Path, name: str
) -> None:
    number = 200_000 if name in SERDES else 20_000
    topic = Topic(kafka_broker, f"sales-{name}")
    written = FORMATS[name](place(topic.name))
    topic.produce(written, range(number), number)
    run_job(options_for(name, topic, written, tmp_path)).assert_exact(topic)
    assert topic.letters == number // 1000


def test_every_record_counts_once_on_a_cluster(
    kafka_broker: KafkaBroker,
    flink_cluster: FlinkCluster,
    place: Callable[[str], Place],
    tmp_path: Path,
) -> None:
    topics: list[Topic] = []
    asked: list[JobOptions] = []
    for name in SERDES[1:]:  # JSON's day on a cluster is test_kafka_on_cluster
        topic = Topic(kafka_broker, f"sales-cluster-{name}")
        written = FORMATS[name](place(topic.name))
        topic.produce(written, range(200_000), 200_000)
        folder = tmp_path / name
        folder.mkdir()
        options = options_for(name, topic, written, folder)
        kept = {"store": f"sqlite:{tmp_path}/all.db", "dead_letters": f"file:{tmp_path}/dead.jsonl"}
        topics.append(topic)
        asked.append(replace(options, **kept))
    flags = [f"--flink_master={flink_cluster.master}", *CHECKPOINTS]
    for topic, ran in zip(topics, run_jobs(asked, "FlinkRunner", flags), strict=True):
        ran.assert_exact(topic)


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
