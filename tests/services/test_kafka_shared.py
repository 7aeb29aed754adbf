"""A live topic that GroupBys share: each has the promises that it would have alone.

They have time columns of their own, so their times lie apart; reading and evaluation are the
product's, and a real broker holds the log.
"""

import json
import random
from itertools import count
from typing import NamedTuple

import pytest
from confluent_kafka import Producer
from declarations import group_by, windows
from kafka_broker import KafkaBroker
from live_reader import LiveReader, Reached
from waiting import eventually

from chronon_beam.api import Aggregation, EventSource, Operation, Query, Source, select
from chronon_beam.api.records import MIN_MS
from chronon_beam.io.kafka.progress import VectorCoder
from chronon_beam.io.live import LiveSettings
from chronon_beam.pipeline.job import Job
from chronon_beam.transforms.evaluate import plan_of, sql_query
from chronon_beam.transforms.rows import Rows
from chronon_beam.transforms.shared_evaluation import failures_of, rows_of
from chronon_beam.transforms.spark.compiled_query import compile_query
from chronon_beam.transforms.spark.session import parse_ddl
from chronon_beam.transforms.tiling.settings import Tiling

DDL = "k STRING, d DOUBLE, t BIGINT, s BIGINT"
BEGIN_MS = 1_700_000_000_000
DISORDER_MS = 60_000
EVENTS = 300
NEVER_IDLE = LiveSettings(disorder_ms=DISORDER_MS, idle_ms=1 << 40)
_numbers = count()


def job_of(name: str, query: Query) -> Job:
    sums = [Aggregation("d", Operation.SUM, windows("1h"))]
    declared = group_by(f"t.{name}", ["k"], sums, sources=Source(EventSource(query=query)))
    sql = sql_query(declared, parse_ddl(DDL))
    plan = plan_of(declared, compile_query(sql), "tumbling").checked(tiled=True)
    return Job(plan, sql, "null:", Tiling(shards=2))


@pytest.fixture(scope="module")
def jobs() -> tuple[Job, Job]:
    """By the time when something was ordered, and by that when a few of these were sent."""
    ordered = Query(select("k", "d"), time_column="t")
    sent = Query(select("k", "d"), wheres=["d > 4"], time_column="s")
    return job_of("ordered", ordered), job_of("sent", sent)


class Topic:
    """A topic of its own with two partitions."""

    def __init__(self, broker: KafkaBroker) -> None:
        self._name = broker.create_topic(f"shared-{next(_numbers)}", 2)
        self.uri = f"kafka://{broker.bootstrap}/{self._name}?start=earliest"
        self._producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 2})

    def send(self, partition: int, event: dict[str, object], at_ms: int) -> None:
        self._producer.produce(
            self._name, json.dumps(event).encode(), partition=partition, timestamp=at_ms
        )
        self._producer.poll(0)

    def flush(self) -> None:
        assert self._producer.flush(60) == 0

    def fill(self, chance: random.Random) -> None:
        """Orders out of order, sent up to a day later; some are damaged for one of the two."""
        for at in range(EVENTS):
            t_ms = BEGIN_MS + at * 20_000 - chance.choice([0, 0, 30_000, 400_000])
            event = {"k": "a", "d": at % 8, "t": t_ms, "s": t_ms + chance.randrange(86_400_000)}
            if chance.random() < 0.05:
                event[chance.choice("dts")] = [1]
            self.send(chance.randrange(2), event, event["s"] if event["s"] != [1] else t_ms)
        self.flush()


class Row(NamedTuple):
    """Where a row comes from, its time, and what was promised before it."""

    source: str
    position: int
    time_ms: int
    promised_ms: int


def rows_in(batches: list[Rows]) -> list[Row]:
    return [
        Row(batch.source, *row)
        for batch in batches
        for row in zip(
            batch.positions,
            batch.batch.column("ts").to_pylist(),
            batch.promised_ms.to_pylist(),
            strict=True,
        )
    ]


def has_read(reached: Reached) -> bool:
    partitions = VectorCoder().decode(reached.restriction).partitions
    return sum(each.next_offset for each in partitions) == EVENTS


class Read(NamedTuple):
    """All that was read: rows and positions of failures of each GroupBy, and the watermark."""

    rows: list[list[Row]]
    failures: list[list[tuple[str, int]]]
    watermark_ms: int


def read(topic: Topic, jobs: tuple[Job, ...], chance: random.Random | None = None) -> Read:
    """Bundle by bundle, from what the bundle before has left to a runner."""
    reader = LiveReader(topic.uri, jobs[0], NEVER_IDLE, *jobs[1:])
    reached, bundles = reader.beginning(), []
    try:
        while not has_read(reached):
            bundles.append(reader.bundle(reached, chance))
            reached = bundles[-1].reached
        reached = reader.bundle(reached).reached
    finally:
        reader.close()
    rows, failures = [], []
    for sharer in range(len(jobs)):
        mine = [each.shared[rows_of(sharer)] if len(jobs) > 1 else each.rows for each in bundles]
        dead = [
            each.shared[failures_of(sharer)] if len(jobs) > 1 else each.failures for each in bundles
        ]
        rows.append(sorted(row for batches in mine for row in rows_in(batches)))
        failures.append(sorted((each.source, each.position) for found in dead for each in found))
    return Read(rows, failures, reached.watermark_ms)


def test_promises_are_those_of_separate_jobs_wherever_a_bundle_ends(
    kafka_broker: KafkaBroker, jobs: tuple[Job, Job], chance: random.Random
) -> None:
    topic = Topic(kafka_broker)
    topic.fill(chance)
    shared = read(topic, jobs, chance)
    alone = [read(topic, (job,)) for job in jobs]
    assert shared.rows == [each.rows[0] for each in alone]
    assert shared.failures == [each.failures[0] for each in alone]
    assert shared.watermark_ms == min(each.watermark_ms for each in alone) > MIN_MS
    late = [[row for row in rows if row.time_ms <= row.promised_ms] for rows in shared.rows]
    assert all(late)


def test_a_group_by_without_rows_does_not_hold_back_the_others(
    kafka_broker: KafkaBroker, jobs: tuple[Job, Job]
) -> None:
    """Its where lets nothing pass: after a while without a row, it waits for none."""
    topic = Topic(kafka_broker)
    for partition in (0, 1):
        topic.send(partition, {"k": "a", "d": 1.0, "t": BEGIN_MS, "s": BEGIN_MS}, BEGIN_MS)
    topic.flush()
    never_idle, soon_idle = NEVER_IDLE, LiveSettings(disorder_ms=DISORDER_MS, idle_ms=100)
    reader = LiveReader(topic.uri, jobs[0], never_idle, jobs[1])
    reached = reader.beginning()
    for _ in range(4):
        reached = reader.bundle(reached).reached
    reader.close()
    assert reached.watermark_ms == MIN_MS
    reader = LiveReader(topic.uri, jobs[0], soon_idle, jobs[1])

    def moves() -> bool:
        nonlocal reached
        reached = reader.bundle(reached).reached
        return reached.watermark_ms > MIN_MS

    assert eventually(moves)
    reader.close()
