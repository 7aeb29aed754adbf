"""A live topic, read again and again by event time: batch borders and crashes change nothing.

Reading, evaluation by Spark and tiling are the product's; a real broker holds the log.
"""

import json
import random
from collections.abc import Iterator
from copy import deepcopy
from itertools import count
from typing import NamedTuple

import pytest
from confluent_kafka import Producer
from declarations import group_by, windows
from fragile import ENOUGH, Cut, Fragile
from kafka_broker import KafkaBroker
from live_reader import LiveReader, Reached
from replayed_log import FAR_MS, Checkpoint, Crash, Worker
from waiting import eventually

from chronon_beam.api import Aggregation, EventSource, Operation, Query, Source, select
from chronon_beam.api.dialect import DAY_MS, HOUR_MS
from chronon_beam.api.records import MIN_MS
from chronon_beam.io.kafka import read, session
from chronon_beam.io.kafka.progress import VectorCoder
from chronon_beam.io.kafka.promises import AHEAD_MS
from chronon_beam.io.live import LiveSettings
from chronon_beam.pipeline.job import Job
from chronon_beam.transforms.evaluate import plan_of, sql_query
from chronon_beam.transforms.spark.compiled_query import compile_query
from chronon_beam.transforms.spark.session import parse_ddl
from chronon_beam.transforms.tiling.settings import Late, Tiling

HOUR = windows("1h")
QUERY = Query(select(k="explode(ks)", d="d"), wheres=["ok"], time_column="t")
GROUP_BY = group_by(
    "t.replays",
    ["k"],
    [Aggregation("d", Operation.COUNT, HOUR), Aggregation("d", Operation.SUM, HOUR)],
    sources=Source(EventSource(query=QUERY)),
)
DDL = "ks ARRAY<STRING>, d DOUBLE, t BIGINT, ok BOOLEAN"
BEGIN_MS = 1_700_000_100_000
TILE_MS = 300_000
DISORDER_MS = 60_000
YEAR_2099_MS = 4_070_908_800_000
ANY_TIME = {"message.timestamp.after.max.ms": str((1 << 63) - 1)}
NEVER_IDLE = LiveSettings(disorder_ms=DISORDER_MS, idle_ms=1 << 40)

Tiles = dict[tuple[bytes, int], tuple[int, float]]

_numbers = count()


class Event(NamedTuple):
    """A record of one partition."""

    keys: str
    at_ms: int
    record_ms: int
    amount: float = 1.0
    ok: bool = True
    damaged: bool = False

    @property
    def payload(self) -> bytes:
        event = {"ks": [*self.keys], "d": self.amount, "t": self.at_ms, "ok": self.ok}
        text = json.dumps(event).encode()
        return text[:-1] if self.damaged else text

    @property
    def rows(self) -> list[str]:
        """The keys of its rows."""
        return [*self.keys] if self.ok and not self.damaged else []

    @property
    def tile_ms(self) -> int:
        return self.at_ms - self.at_ms % TILE_MS


def job_of() -> Job:
    query = sql_query(GROUP_BY, parse_ddl(DDL))
    plan = plan_of(GROUP_BY, compile_query(query), "tumbling").checked(tiled=True)
    return Job(plan, query, "null:", Tiling(shards=2))


@pytest.fixture(scope="module")
def job() -> Job:
    return job_of()


class Topic:
    """A topic of its own."""

    def __init__(self, broker: KafkaBroker, name: str, partitions: int) -> None:
        self.name = broker.create_topic(name, partitions, ANY_TIME)
        self.uri = f"kafka://{broker.bootstrap}/{self.name}?start=earliest"
        self._producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 2})

    def send(self, partition: int, events: list[Event]) -> None:
        for event in events:
            self._producer.produce(
                self.name, event.payload, partition=partition, timestamp=event.record_ms
            )
            self._producer.poll(0)
        assert self._producer.flush(60) == 0


def drawn(chance: random.Random, lag_ms: int, stop_ms: int) -> list[Event]:
    """A skewed day of one partition.

    Out of order, doubled, late, damaged, filtered out, exploded to no row or several; a stop in the
    middle; clocks that are wrong, of phones and of producers.
    """
    log: list[Event] = []
    now_ms = BEGIN_MS
    for at in range(400):
        now_ms += chance.choice([0, 500, 2_000, 20_000, 90_000]) + stop_ms * (at == 200)
        late_ms = chance.choice([0, 0, 10_000, 30_000, 400_000, 3 * HOUR_MS])
        event = Event(
            chance.choice(["a"] * 6 + ["b", "ab", "", "bcb"]),
            YEAR_2099_MS if at % 50 == 7 else now_ms - late_ms,
            YEAR_2099_MS if at % 100 == 7 else now_ms + lag_ms,
            at % 64 / 8,
            chance.random() > 0.1,
            chance.random() < 0.1,
        )
        log += [event] * chance.choice([1, 1, 1, 1, 2])
    return log


def late_offsets(log: list[Event]) -> set[int]:
    """Which events are late, by the rule alone."""
    late, newest_ms = set(), MIN_MS
    for offset, event in enumerate(log):
        if not event.rows:
            continue
        if newest_ms - DISORDER_MS - 1 >= event.tile_ms + TILE_MS - 1:
            late.add(offset)
        if event.at_ms <= event.record_ms + AHEAD_MS and event.at_ms != YEAR_2099_MS:
            newest_ms = max(newest_ms, event.at_ms)
    return late


class Replay:
    """Reads the partitions of a topic to their end, with crashes.

    Attributes:
        late: (partition, offset) of the dead letters of Tile.
        ahead: how many records were counted as ahead, by the attempts that count.
        reached_ms: the watermark at the end of the log.
    """

    def __init__(self, topic: Topic, job: Job, late: Late, chance: random.Random) -> None:
        self._topic, self._job = topic, job
        self._tiling = Tiling(late=late, shards=2)
        self._chance = chance
        self.store_uri = f"fragile:{topic.name}-{late.value}-{next(_numbers)}"
        self.late: set[tuple[int, int]] = set()
        self.reached_ms = MIN_MS

    def run(self, total: int, crashes: list[Crash], monkeypatch: pytest.MonkeyPatch) -> "Replay":
        monkeypatch.setattr(read, "BUNDLE_S", 0.0)
        self._reader = LiveReader(self._topic.uri, self._job, NEVER_IDLE)
        ahead, done = list(crashes), [(self._reader.beginning(), Checkpoint(), 0)]
        while done[-1][1].watermark_ms < FAR_MS:
            worker = Worker(self._job.plan, self._tiling, self.store_uri)
            Fragile.cells_left = ahead[0].writes if ahead else ENOUGH
            try:
                while done[-1][1].watermark_ms < FAR_MS:
                    monkeypatch.setattr(session, "ROWS", self._chance.randrange(2, 60))
                    done.append(self._step(worker, *deepcopy(done[-1]), total))
            except Cut:
                self._restart()
                back = ahead.pop(0).back
                del done[max(1, len(done) - back) :]
        Fragile.cells_left = ENOUGH
        self._reader.close()
        self.ahead = done[-1][2]
        return self

    def _restart(self) -> None:
        """Half of the crashes are those of the whole process."""
        if self._chance.random() < 0.5:
            self._reader.close()
            self._reader = LiveReader(self._topic.uri, self._job, NEVER_IDLE)

    def _step(
        self, worker: Worker, reached: Reached, after: Checkpoint, ahead: int, total: int
    ) -> tuple[Reached, Checkpoint, int]:
        if offsets(reached) == total:
            self.reached_ms = self._reader.bundle(reached).reached.watermark_ms
            worker.bundle(None, FAR_MS, after)
            return reached, after, ahead
        bundle = self._reader.bundle(reached, self._chance)
        for rows in bundle.rows:
            partition = int(rows.source.rpartition("/")[2])
            dead = worker.bundle(rows, after.watermark_ms, after)
            self.late |= {(partition, offset) for offset in dead}
        worker.bundle(None, bundle.reached.watermark_ms, after)
        return bundle.reached, after, ahead + bundle.counts.get("ahead", 0)

    def stored(self) -> Tiles:
        found = {}
        plan = self._job.plan
        for key, _, value in Fragile(self.store_uri).scan(plan.group_by.streaming_dataset):
            tile, _ = plan.tiles.decode(value.value_bytes)
            found[key, value.ts_ms] = (tile[0], tile[1])
        return found


def offsets(reached: Reached) -> int:
    return sum(each.next_offset for each in VectorCoder().decode(reached.restriction).partitions)


def brute_force(job: Job, logs: list[list[Event]], without: set[tuple[int, int]]) -> Tiles:
    found: Tiles = {}
    for partition, log in enumerate(logs):
        for offset, event in enumerate(log):
            for key in event.rows if (partition, offset) not in without else []:
                place = job.plan.keys.encode((key,)), event.tile_ms
                number, amount = found.get(place, (0, 0.0))
                found[place] = number + 1, amount + event.amount
    return found


@pytest.fixture(scope="module")
def day(kafka_broker: KafkaBroker) -> tuple[Topic, list[list[Event]]]:
    """A day on two partitions: one of now, and one that is a backfill of a month ago."""
    topic, chance = Topic(kafka_broker, "replays", 2), random.Random(3)
    logs = [drawn(chance, 300, 5 * HOUR_MS), drawn(chance, 30 * DAY_MS, 0)]
    for partition, log in enumerate(logs):
        topic.send(partition, log)
    return topic, logs


@pytest.mark.parametrize("late", list(Late))
def test_ten_replays_of_a_day_decide_alike(
    day: tuple[Topic, list[list[Event]]],
    job: Job,
    late: Late,
    chance: random.Random,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    topic, logs = day
    expected = {(at, offset) for at, log in enumerate(logs) for offset in late_offsets(log)}
    assert 100 < len(expected) < 400
    dead = expected if late is Late.DEAD_LETTER else set()
    ahead = sum(event.at_ms == YEAR_2099_MS and bool(event.rows) for log in logs for event in log)
    total = sum(map(len, logs))
    for _ in range(10):
        crashes = [Crash(chance.randrange(150), chance.randrange(4)) for _ in range(4)]
        replay = Replay(topic, job, late, chance).run(total, crashes, monkeypatch)
        assert replay.late == dead
        assert replay.stored() == brute_force(job, logs, dead)
        assert replay.ahead == ahead


def test_a_backfill_closes_its_tiles_and_none_of_its_events_is_late(
    kafka_broker: KafkaBroker, job: Job, chance: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = Topic(kafka_broker, "backfill", 1)
    log = [
        Event("ab"[at % 2], BEGIN_MS + at * 10_000, BEGIN_MS + 30 * DAY_MS + at)
        for at in range(300)
    ]
    log.insert(150, Event("a", YEAR_2099_MS, BEGIN_MS + 30 * DAY_MS))
    topic.send(0, log)
    replay = Replay(topic, job, Late.DEAD_LETTER, chance).run(len(log), [], monkeypatch)
    assert (replay.late, replay.ahead) == (set(), 1)
    assert replay.stored() == brute_force(job, [log], set())
    assert replay.reached_ms == log[-1].at_ms - DISORDER_MS - 1


class Following:
    """A reader of two partitions that are idle soon, from bundle to bundle.

    Attributes:
        promised_ms: what was promised before the rows so far, by their key.
    """

    def __init__(self, topic: Topic, job: Job) -> None:
        self.topic = topic
        self.reader = LiveReader(
            topic.uri, job, LiveSettings(disorder_ms=DISORDER_MS, idle_ms=2_000)
        )
        self.reached = self.reader.beginning()
        self.promised_ms: dict[str, int] = {}

    def go_on(self) -> int:
        """One bundle further; the watermark after it."""
        bundle = self.reader.bundle(self.reached)
        self.reached = bundle.reached
        for rows in bundle.rows:
            assert rows.promised_ms is not None
            keys, promised = rows.batch["k"].to_pylist(), rows.promised_ms.to_pylist()
            self.promised_ms.update(zip(keys, promised, strict=True))
        return self.reached.watermark_ms


@pytest.fixture
def following(kafka_broker: KafkaBroker, job: Job) -> Iterator[Following]:
    found = Following(Topic(kafka_broker, "idle", 2), job)
    yield found
    found.reader.close()


def test_a_partition_without_rows_is_passed_over_and_then_measured_by_the_watermark(
    following: Following,
) -> None:
    times = count(BEGIN_MS, 1000)

    def passed_over() -> bool:
        """Rows on one partition; on the other records that a where lets go, or of a wrong clock."""
        at_ms = next(times)
        following.topic.send(0, [Event("a", at_ms, at_ms)])
        unfit = [Event("b", BEGIN_MS, BEGIN_MS, ok=False), Event("b", YEAR_2099_MS, BEGIN_MS)]
        following.topic.send(1, unfit)
        return following.go_on() > MIN_MS

    assert eventually(passed_over)
    given_ms = following.reached.watermark_ms
    following.topic.send(1, [Event("c", BEGIN_MS - HOUR_MS, BEGIN_MS)])
    assert eventually(lambda: following.go_on() > MIN_MS and "c" in following.promised_ms)
    assert following.promised_ms["c"] >= given_ms
