"""Topics of sales that other people's serializers wrote, the job over them, and what must come."""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from confluent_kafka import Producer
from kafka_broker import KafkaBroker
from written import BEGIN_MS, SPAN_MS, USERS, Sale, Written, sale

from chronon_beam.api.counts import Metric
from chronon_beam.api.load import load_group_by
from chronon_beam.api.serde import Format
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.fetcher.serving_info import load
from chronon_beam.io.kv_store import open_store
from chronon_beam.pipeline.options import JobOptions
from chronon_beam.pipeline.run import run_together
from chronon_beam.pipeline.summary import Totals

PARTITIONS = 2
DAMAGED_EVERY = 1000
FILTERED_EVERY = 10
AT_MS = BEGIN_MS + SPAN_MS
GROUP_BY = """
from chronon_beam.api import *
HOUR = [Window(1, TimeUnit.HOURS)]
sales = GroupBy(
    name="t.{name}", keys=["user"],
    sources=Source(EventSource(query=Query(
        select(user="{row}user", id="{row}id", square="{row}id * {row}id", price="{row}price"),
        wheres=["{row}id % {filtered} != 3"], time_column="{row}at"))),
    aggregations=[
        Aggregation("id", Operation.COUNT, HOUR), Aggregation("id", Operation.SUM, HOUR),
        Aggregation("square", Operation.SUM, HOUR), Aggregation("price", Operation.SUM, HOUR)])
"""
_NAMES = ("id_count_1h", "id_sum_1h", "square_sum_1h", "price_sum_1h")


@dataclass
class Topic:
    """A topic, and what a fold over its sales gives.

    Attributes:
        sums: by user: how many, and the sums of ids, of their squares, and of prices. Whatever is
            lost or counts twice changes some of them.
        letters: how many records are damaged.
        filtered: how many sales a where lets go.
        made: how many records there are.
    """

    broker: KafkaBroker
    name: str
    sums: dict[str, list[float]] = field(default_factory=dict)
    letters: int = 0
    filtered: int = 0
    made: int = 0

    def __post_init__(self) -> None:
        self.broker.create_topic(self.name, PARTITIONS)
        self._producer = Producer({"bootstrap.servers": self.broker.bootstrap, "linger.ms": 50})

    def produce(self, written: Written, numbers: Sequence[int], of: int) -> None:
        """The sales of these numbers, one in a thousand damaged."""
        for number in numbers:
            each = sale(number, of)
            payload = written.write(each)
            if number % DAMAGED_EVERY == DAMAGED_EVERY // 2:
                cut = number % (2 * DAMAGED_EVERY) < DAMAGED_EVERY
                self.send_letter(written.cut(payload) if cut else b"\xff" + payload)
            else:
                self.send(payload)
                self._fold(each)
        self.flush()

    def send_letter(self, payload: bytes) -> None:
        """A record that must become a dead letter."""
        self.send(payload)
        self.letters += 1

    def send(self, payload: bytes) -> None:
        self._producer.produce(self.name, payload, partition=self.made % PARTITIONS)
        self.made += 1
        if self.made % 10_000 == 0:
            self.flush()

    def flush(self) -> None:
        assert self._producer.flush(120) == 0

    def _fold(self, each: Sale) -> None:
        if each["id"] % FILTERED_EVERY == 3:
            self.filtered += 1
            return
        sums = self.sums.setdefault(each["user"], [0, 0, 0, 0.0])
        for at, value in enumerate((1, each["id"], each["id"] ** 2, each["price"])):
            sums[at] += value


@dataclass(frozen=True)
class Ran:
    """A job that has read a topic to its end.

    Attributes:
        totals: its counts.
        features: of each user.
        dead: its dead letters, as they stand in their file.
    """

    totals: Totals
    features: dict[str, list[float]]
    dead: list[dict[str, Any]]

    def assert_exact(self, topic: Topic) -> None:
        """Every record of the topic counts once: as a row, filtered, or as a dead letter."""
        assert self.features == topic.sums
        assert len(self.dead) == self.totals.dead == topic.letters
        assert self.totals[Metric.FILTERED] == topic.filtered
        assert self.totals[Metric.MESSAGES] == topic.made
        assert self.totals.missing == 0
        assert self.totals[Metric.LATE] == 0  # reading has an end
        places = Counter((each["source"], each["position"]) for each in self.dead)
        assert set(places.values()) <= {1}


def job_options(
    topic: Topic, format_: Format, folder: Path, row: str = "", stop: str = "end"
) -> JobOptions:
    """The product's job from the topic's beginning.

    Args:
        topic: what is read.
        format_: the serde, and its parameters.
        folder: for the GroupBy, the store and the dead letters.
        row: what stands before the name of a column in the query, for example `after.`.
        stop: where it ends.
    """
    group_by = folder / "sales.py"
    name = topic.name.replace("-", "_")
    group_by.write_text(GROUP_BY.format(name=name, row=row, filtered=FILTERED_EVERY))
    parameters = {"start": "earliest", "stop": stop, "format": format_.name, **format_.parameters}
    query = "&".join(f"{name}={quote(value)}" for name, value in parameters.items())
    return JobOptions(
        group_by=str(group_by),
        source=f"kafka://{topic.broker.bootstrap}/{topic.name}?{query}",
        store=f"sqlite:{folder}/features.db",
        dead_letters=f"file:{folder}/dead.jsonl",
    )


def run_job(options: JobOptions, runner: str = "DirectRunner", flags: Sequence[str] = ()) -> Ran:
    """Run a job to its end; `flags` are the runner's."""
    (ran,) = run_jobs([options], runner, flags)
    return ran


def run_jobs(options: Sequence[JobOptions], runner: str, flags: Sequence[str]) -> list[Ran]:
    """Run one job that reads several topics, each for a GroupBy of its own, to its end."""
    done = run_together(options, runner, flags)
    path = Path((options[0].dead_letters or "").removeprefix("file:"))
    dead = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Ran(
            Totals(each.counts),
            stored(asked),
            [letter for letter in dead if letter["group_by"] == each.group_by.name],
        )
        for asked, each in zip(options, done, strict=True)
    ]


def stored(options: JobOptions) -> dict[str, list[float]]:
    """The features of each user that has some."""
    users = [f"user{number}" for number in range(USERS)]
    with closing(open_store(options.store)) as store:
        fetcher = Fetcher.of(load(store, load_group_by(options.group_by)), store)
        found = fetcher.fetch([{"user": user} for user in users], AT_MS)
    return {
        user: [each[name] for name in _NAMES]
        for user, each in zip(users, found, strict=True)
        if each[_NAMES[0]] is not None
    }
