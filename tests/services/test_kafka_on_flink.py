"""The product's job on Flink reads a real topic exactly, whatever happens to brokers.

One job, since Spark and Flink take long to start: records come before it starts, while a broker is
killed and started again, and on a partition that is added later. One partition is silent from the
beginning, and tiles close nevertheless.
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult
from checkpoints import newest_complete
from confluent_kafka import Consumer, Producer, TopicPartition
from drawing import BEGIN_MS, DDL, group_by_of
from kafka_broker import KafkaBroker
from test_survival import eventually

from chronon_beam.api import Aggregation, Operation, Window
from chronon_beam.api.dialect import TimeUnit
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.io.dead_letters import open_dead_letters
from chronon_beam.io.kv_store import open_store
from chronon_beam.io.live import Live
from chronon_beam.io.sources import open_source
from chronon_beam.pipeline.job import Job, build
from chronon_beam.pipeline.runners.choose import Chosen, runner_of
from chronon_beam.transforms.evaluate import plan_of, sql_query
from chronon_beam.transforms.spark.compiled_query import compile_query
from chronon_beam.transforms.spark.session import parse_ddl
from chronon_beam.transforms.tiling.settings import Tiling

HOUR = [Window(1, TimeUnit.HOURS)]
GROUP_BY = group_by_of(
    [Aggregation("d", Operation.SUM, HOUR), Aggregation("i", Operation.COUNT, HOUR)]
)
USERS = 50
TOTAL = 200_000
AT_MS = BEGIN_MS + 1_800_000
SILENT = 2


@dataclass
class Topic:
    """A topic, and what a fold over its records gives."""

    broker: KafkaBroker
    name: str
    made: int = 0

    def __post_init__(self) -> None:
        self._sums: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()

    def produce_until(self, number: int, partitions: list[int]) -> None:
        """Up to `number` records in all, one in a thousand damaged, in the order of their times."""
        # A new one knows all partitions.
        producer = Producer({"bootstrap.servers": self.broker.bootstrap, "log_level": 2})
        while self.made < number:
            at = self.made
            user, created = f"u{at * 7 % USERS}", BEGIN_MS + at * 8
            value = json.dumps({"user": user, "shop": 1, "d": at % 64, "i": 1, "created": created})
            if at % 1000 == 999:
                value = value[:-1]
            else:
                self._sums[user] += at % 64
                self._counts[user] += 1
            partition = partitions[at % len(partitions)]
            producer.produce(self.name, value, partition=partition, timestamp=created)
            producer.poll(0)
            self.made += 1
            if at % 10_000 == 0:
                producer.flush(60)
        assert producer.flush(60) == 0

    def features(self) -> list[dict[str, Any]]:
        """What must be read back."""
        return [
            {"d_sum_1h": float(self._sums[f"u{i}"]), "i_count_1h": self._counts[f"u{i}"]}
            for i in range(USERS)
        ]


class Stored:
    """What the job has stored."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def features(self) -> list[dict[str, Any]]:
        store = open_store(self._job.store_uri)
        try:
            keys = [{"user": f"u{i}", "shop": 1} for i in range(USERS)]
            return Fetcher(self._job.plan, store).fetch(keys, AT_MS)
        except FileNotFoundError:
            return []
        finally:
            store.close()

    def counted(self) -> int:
        return sum(each["i_count_1h"] or 0 for each in self.features())

    def all_complete(self) -> bool:
        """Whether the last write of every tile is its closing one."""
        store = open_store(self._job.store_uri)
        try:
            found = list(store.scan(GROUP_BY.streaming_dataset))
            return all(self._job.plan.tiles.decode(each.value.value_bytes)[1] for each in found)
        finally:
            store.close()


def job_of(store_uri: str) -> Job:
    query = sql_query(GROUP_BY, parse_ddl(DDL))
    plan = plan_of(GROUP_BY, compile_query(query), "tumbling").checked(tiled=True)
    return Job(plan, query, store_uri, Tiling(shards=2))


def committed(broker: KafkaBroker, topic: str, partitions: int) -> int:
    """How far the consumer group has been told that the job has come, in records."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "chronon-t.kafka"})
    asked = [TopicPartition(topic, each) for each in range(partitions)]
    found = consumer.committed(asked, timeout=30)
    consumer.close()
    return sum(max(each.offset, 0) for each in found)


def residuals(checkpoints: Path) -> frozenset[bytes]:
    """Names under which the newest checkpoint keeps what the source has left to read."""
    newest = newest_complete(checkpoints)
    return newest.residuals if newest else frozenset()


@dataclass
class Running:
    """The job on local Flink, and what it has stored."""

    topic: Topic
    folder: Path

    def __post_init__(self) -> None:
        self.job = job_of(f"sqlite:{self.folder}/features.db")
        self.stored = Stored(self.job)
        self.checkpoints = self.folder / "checkpoints"
        brokers = self.topic.broker.bootstrap
        self.source = open_source(f"kafka://{brokers}/{self.topic.name}?start=earliest&discover=2s")
        self.source.live = Live(reader="chronon-t.kafka", idle_ms=15_000)

    def flags(self) -> list[str]:
        storage = f"--state_backend_storage_path={self.checkpoints.as_uri()}"
        return ["--checkpointing_interval=1000", "--state_backend=filesystem", storage]

    def start(self, chosen: Chosen) -> PipelineResult:
        root = beam.Pipeline(runner=chosen.runner, options=PipelineOptions(chosen.flags))
        dead = open_dead_letters(f"file:{self.folder}/dead.jsonl")
        build(root, self.job, self.source.transform(self.job.columns), dead)
        return root.run()

    def is_exact(self) -> bool:
        return self.stored.features() == self.topic.features()


def test_every_record_counts_once(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    topic = Topic(kafka_broker, kafka_broker.create_topic("flink", 3))
    topic.produce_until(TOTAL // 2, [0, 1])
    running = Running(topic, tmp_path)
    with runner_of("FlinkRunner", False, running.flags(), live=True) as chosen:
        result = running.start(chosen)
        try:
            assert eventually(lambda: running.stored.counted() > 0)
            kafka_broker.kill()
            kafka_broker.start()
            topic.produce_until(TOTAL * 3 // 4, [0, 1])
            kafka_broker.add_partitions(topic.name, 4)
            topic.produce_until(TOTAL, [0, 1, 3])
            assert eventually(running.is_exact), running.stored.counted()
            assert eventually(running.stored.all_complete)
            assert eventually(lambda: committed(kafka_broker, topic.name, 4) == TOTAL)
            # A job server that leaks has one more name for each bundle.
            assert eventually(lambda: bool(residuals(running.checkpoints)))
            assert eventually(lambda: residuals(running.checkpoints) == {b"sdf_checkpoint::0"})
        finally:
            result.cancel()
    assert running.is_exact()
