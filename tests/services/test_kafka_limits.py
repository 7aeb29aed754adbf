"""What holds back the source, how large a record may be, and what is not read but counted."""

import os
import threading
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from confluent_kafka import Producer
from drawing import BEGIN_MS
from kafka_broker import KafkaBroker
from test_kafka_source import NO_COLUMNS, Record, produce
from users import UsersJob
from waiting import eventually

from chronon_beam.api.records import PutRequest
from chronon_beam.io.dead_letters.sinks import open_dead_letters
from chronon_beam.io.kafka.log_reader import LogReader, Polled
from chronon_beam.io.live import LiveSettings
from chronon_beam.io.sources import open_source
from chronon_beam.io.sqlite import SqliteStore
from chronon_beam.pipeline.job import build
from chronon_beam.pipeline.runners.choose import runner_of

RECORDS = 100_000
PADDING = 4_000
"""400 MB in all, which is more than a worker may hold."""

LARGE = 10_000_000
BOUND = 250_000_000
"""Of memory, while the store stands still: 32 MiB in the consumer, a bundle, and what Beam and the
allocator keep of it."""


class Gate:
    """A store that stands still until it is opened; and what the source has read meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self._opened = threading.Event(), threading.Event()
        self.polled = 0
        put, sort = SqliteStore.multi_put, LogReader._sort

        def multi_put(store: SqliteStore, requests: list[PutRequest]) -> list[str | None]:
            self.reached.set()
            self._opened.wait()
            return put(store, requests)

        def sorted_records(reader: LogReader, messages: list[Any]) -> Polled:
            self.polled += len(messages)
            return sort(reader, messages)

        monkeypatch.setattr(SqliteStore, "multi_put", multi_put)
        monkeypatch.setattr(LogReader, "_sort", sorted_records)

    def open(self) -> None:
        """Let it go on."""
        self._opened.set()

    def source_stands_still(self) -> bool:
        """Whether nothing is read in between many looks."""
        seen: list[int] = []

        def same_for_long() -> bool:
            seen.append(self.polled)
            return len(seen) > 20 and len(set(seen[-20:])) == 1

        return eventually(same_for_long)


def memory() -> int:
    """Bytes that this process holds, which is the job's worker too."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def produced(broker: KafkaBroker, topic: str, users: UsersJob) -> None:
    """Many records, then large ones: ten events, and two that are damaged."""
    producer = Producer({"bootstrap.servers": broker.bootstrap, "message.max.bytes": "20000000"})
    for at in range(RECORDS):
        while True:
            try:
                producer.produce(topic, users.event(at, PADDING), timestamp=users.time_ms(at))
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(120) == 0
    for at in range(10):
        large, time_ms = users.event(RECORDS + at, LARGE), users.time_ms(RECORDS + at)
        producer.produce(topic, large, timestamp=time_ms)
        if at % 5 == 4:
            producer.produce(topic, large[:-1], timestamp=time_ms)
        assert producer.flush(60) == 0


def test_a_store_that_stands_still_holds_back_the_source(
    kafka_broker: KafkaBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = kafka_broker.create_topic("held-back")
    users, dead = UsersJob(f"sqlite:{tmp_path}/features.db", BEGIN_MS), tmp_path / "dead.jsonl"
    produced(kafka_broker, topic, users)
    gate = Gate(monkeypatch)
    source = open_source(f"kafka://{kafka_broker.bootstrap}/{topic}?start=earliest")
    source.live = LiveSettings(reader="chronon-t.held-back")
    with runner_of("FlinkRunner", False, [], live=True) as chosen:
        root = beam.Pipeline(runner=chosen.runner, options=PipelineOptions(chosen.flags))
        build(root, users.job, source, open_dead_letters(f"file:{dead}"))
        result = root.run()
        try:
            assert gate.reached.wait(300)
            before = memory()
            assert gate.source_stands_still()
            assert gate.polled < RECORDS // 2
            assert memory() - before < BOUND
            gate.open()
            assert eventually(lambda: users.counted() == RECORDS + 10), users.counted()
            assert eventually(lambda: dead.exists() and dead.read_bytes().count(b"\n") == 2)
        finally:
            gate.open()
            result.cancel()


@pytest.mark.parametrize(("start", "tombstones"), [("earliest", 3), ("0:2", 1)])
def test_tombstones_are_counted(kafka_broker: KafkaBroker, start: str, tombstones: int) -> None:
    topic = f"removed-{tombstones}"
    kafka_broker.create_topic(topic, 1, {"cleanup.policy": "compact"})
    records: list[Record] = [(0, None), (0, None), (0, b"1"), (0, None), (0, b"2")]
    produce(kafka_broker, topic, records)
    uri = f"kafka://{kafka_broker.bootstrap}/{topic}?start={start}&stop=end"
    root = beam.Pipeline(runner=FnApiRunner())
    _ = root | open_source(uri).transform(NO_COLUMNS)
    result = root.run()
    counters = result.metrics().query()["counters"]
    counts = {each.key.metric.name: each.committed for each in counters}
    assert counts["tombstones"] == tombstones
