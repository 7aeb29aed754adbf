"""The product's job over a generated day in Kafka, what it has stored and what it was to store."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import kafka_day
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult
from confluent_kafka import Consumer, TopicPartition
from drawing import DDL, alike
from kafka_broker import KafkaBroker
from kafka_day import END_MS, GROUP_BY, HOUR_MS, KEYS, START_MS, Day, Tile

from chronon_beam.api.group_by import GroupBy
from chronon_beam.api.records import StoredValue
from chronon_beam.fetcher.changes import save
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.fetcher.serving_info import ServingInfo
from chronon_beam.io.dead_letters.sinks import open_dead_letters
from chronon_beam.io.kv_store import KVStore, open_store
from chronon_beam.io.live import LiveSettings
from chronon_beam.io.sources import Source, open_source
from chronon_beam.pipeline.job import Job, build
from chronon_beam.pipeline.runners.choose import Chosen
from chronon_beam.pipeline.verification.verify import Verified, VerifyOptions, verify
from chronon_beam.transforms.evaluate import plan_of, sql_query
from chronon_beam.transforms.spark.compiled_query import compile_query
from chronon_beam.transforms.spark.session import parse_ddl
from chronon_beam.transforms.tiling.settings import Tiling

READER = "chronon-t.day"
IDLE_MS = 10_000

Place = tuple[bytes, int]
"""A key and the start of one of its tiles."""


def job_of(store_uri: str, group_by: GroupBy = GROUP_BY) -> Job:
    query = sql_query(group_by, parse_ddl(DDL))
    plan = plan_of(group_by, compile_query(query), "tumbling").checked(tiled=True)
    return Job(plan, query, store_uri, Tiling(shards=2))


@dataclass
class KafkaJob:
    """A job and its day.

    Attributes:
        broker: where the topic is.
        topic: its name.
        day: what is produced.
        folder: where the job keeps its dead letters and checkpoints.
        store_uri: where it keeps its tiles; by default in SQLite in that folder.
    """

    broker: KafkaBroker
    topic: str
    day: Day
    folder: Path
    store_uri: str = ""

    def __post_init__(self) -> None:
        self.checkpoints = self.folder / "checkpoints"
        self._job = job_of(self.store_uri or f"sqlite:{self.folder}/features.db")

    def start(self, chosen: Chosen) -> PipelineResult:
        root = beam.Pipeline(runner=chosen.runner, options=PipelineOptions(chosen.flags))
        uri = f"kafka://{self.broker.bootstrap}/{self.topic}?start=earliest&discover=2s"
        source = open_source(uri)
        source.live = LiveSettings(reader=READER, idle_ms=IDLE_MS)
        self.lay(root, source)
        return root.run()

    def lay(self, root: beam.Pipeline, source: Source) -> None:
        dead = open_dead_letters(f"file:{self.folder}/dead.jsonl")
        build(root, self._job, source, dead)

    def counted(self) -> int:
        """How many events of `KEYS` are in the store, as far as `i` counts them."""
        return sum(each["i_count_1d"] or 0 for each in self._features(END_MS))

    def has_closed(self, hour: int) -> bool:
        """Whether a tile of that hour of the day has been closed."""
        begin_ms = START_MS + hour * HOUR_MS
        return any(closed for (_, at_ms), closed in self._tiles().items() if at_ms == begin_ms)

    def is_exact(self) -> bool:
        """Whether the features of the day are what they must be, and each damaged one a letter."""
        moments = [START_MS + hour * HOUR_MS for hour in (6, 12, 18, 24)]
        return self._buried() == self.day.dead and all(
            alike(self._features(at_ms), self.day.features(at_ms)) for at_ms in moments
        )

    def has_all_tiles(self) -> bool:
        """Whether each stored tile holds what its events give, and no tile is missing or too many.

        With all of its tiles right, the store also equals the state that they were written from.
        """
        decode, keys = self._job.plan.tiles.decode, self._job.plan.keys
        found = {}
        for stored in self._scanned():
            total, most, _, number = decode(stored.value.value_bytes)[0]
            user = keys.decode(stored.key_bytes)[0]
            found[user, stored.value.ts_ms] = Tile(total, most, number)
        return found == self.day.tiles()

    def verified(
        self,
        declared: str = f"{kafka_day.__file__}:GROUP_BY",
        runner: str = "DirectRunner",
        flags: Sequence[str] = (),
    ) -> Verified:
        """What `chronon-beam verify` finds in the store; `declared` is the place of the GroupBy."""
        source = f"kafka://{self.broker.bootstrap}/{self.topic}?schema={DDL}"
        return verify(VerifyOptions(declared, source, self._job.store_uri), runner, flags)

    def note(self) -> None:
        """Write to the store what `chronon-beam run` notes there when it starts the job."""
        with self._store() as store:
            save(store, ServingInfo(self._job.plan, tiled=True, shards=2))

    def all_closed(self) -> bool:
        """Whether each of the day's tiles was closed, or repaired since then."""
        is_open = {tile for tile, closed in self._tiles().items() if not closed}
        return all(at_ms >= END_MS for _, at_ms in is_open - self.repaired())

    def repaired(self) -> set[Place]:
        """Tiles that late events were merged into after they had closed."""
        with self._store() as store:
            notes = list(store.scan(f"{GROUP_BY.streaming_dataset}_REPAIRS"))
        return {_place(note) for note in notes if note.value.value_bytes != b"null"}

    def committed(self, partitions: int) -> int:
        """How far the consumer group has been told that the job has come, in records."""
        consumer = Consumer({"bootstrap.servers": self.broker.bootstrap, "group.id": READER})
        asked = [TopicPartition(self.topic, each) for each in range(partitions)]
        found = consumer.committed(asked, timeout=60)
        consumer.close()
        return sum(max(each.offset, 0) for each in found)

    def _buried(self) -> int:
        """How many records have become letters, each counted once, all of `Decode`."""
        path = self.folder / "dead.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        letters = [json.loads(line) for line in lines]
        assert {letter["step"] for letter in letters} <= {"Decode"}
        return len({(letter["source"], letter["position"]) for letter in letters})

    def _features(self, at_ms: int) -> list[dict[str, Any]]:
        with self._store() as store:
            try:
                return Fetcher(self._job.plan, store).fetch(KEYS, at_ms)
            except FileNotFoundError:
                return []

    def _tiles(self) -> dict[Place, bool]:
        """Whether the last write of each stored tile was its closing one."""
        decode = self._job.plan.tiles.decode
        return {_place(each): bool(decode(each.value.value_bytes)[1]) for each in self._scanned()}

    def _scanned(self) -> list[StoredValue]:
        with self._store() as store:
            return list(store.scan(GROUP_BY.streaming_dataset))

    @contextmanager
    def _store(self) -> Iterator[KVStore]:
        store = open_store(self._job.store_uri)
        try:
            yield store
        finally:
            store.close()


def _place(stored: StoredValue) -> Place:
    return stored.key_bytes, stored.value.ts_ms
