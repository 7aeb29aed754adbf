"""A log of events out of order, damaged and late, and what must come of it."""

import json
import random
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from drawing import BEGIN_MS, DDL, brute_force, group_by_of

from chronon_beam.api import Aggregation, Operation, Window
from chronon_beam.api.dialect import TimeUnit
from chronon_beam.api.records import Messages
from chronon_beam.pipeline.job import Job
from chronon_beam.transforms.evaluate import plan_of, sql_query
from chronon_beam.transforms.spark.compiled_query import compile_query
from chronon_beam.transforms.spark.session import parse_ddl
from chronon_beam.transforms.tiling.settings import Tiling

HOUR = [Window(1, TimeUnit.HOURS)]
GROUP_BY = group_by_of(
    [
        Aggregation("d", Operation.SUM, HOUR),
        Aggregation("s", Operation.LAST, HOUR),
        Aggregation("i", Operation.COUNT, HOUR, buckets=["s"]),
        Aggregation("d", Operation.TOP_K(2), HOUR),
    ]
)
KEYS = [{"user": user, "shop": shop} for user in ("ann", "böb", None) for shop in (1, 2, None)]
AT_MS = BEGIN_MS + 1_800_000
AFTER_ALL_MS = BEGIN_MS + 7_200_000
"""A promise that every tile of the log has its end behind it."""


@dataclass(frozen=True)
class Log:
    """What a source is to give, and what must come of it.

    Attributes:
        batches: the messages.
        expected: the features of `KEYS` at `AT_MS`, by brute force.
        dead: positions of the damaged ones.
        filtered: how many a where lets go.
    """

    batches: list[Messages]
    expected: list[dict[str, Any]]
    dead: set[int]
    filtered: int


def drawn(number: int, seed: int = 5, batch: int = 1000) -> Log:
    """Events up to two minutes out of order.

    A tenth is damaged; one in a hundred is ten minutes old, when its tile has closed.
    """
    chance = random.Random(seed)
    lines, sound, dead, filtered, promised = [], [], set(), 0, []
    for i in range(number):
        now_ms = BEGIN_MS + i * 1_700_000 // number
        event = _event(chance, now_ms)
        promised.append(now_ms - 120_001)
        lines.append(json.dumps(event).encode())
        if chance.random() < 0.1:
            lines[-1] = lines[-1][:-7]
            dead.add(i + 1)
        elif event["user"] is None and event["shop"] is None:
            filtered += 1
        else:
            sound.append(event)
    batches = [
        Messages(
            "log",
            list(range(a + 1, a + batch + 1)),
            lines[a : a + batch],
            promised_ms=pa.array(promised[a : a + batch]),
        )
        for a in range(0, number, batch)
    ]
    expected = [brute_force(GROUP_BY, sound, key, AT_MS) for key in KEYS]
    return Log(batches, [without_ties(features) for features in expected], dead, filtered)


def _event(chance: random.Random, now_ms: int) -> dict[str, Any]:
    old_ms = 600_000 if chance.random() < 0.01 else chance.randrange(120_000)
    return {
        "user": chance.choice(["ann", "böb", None]),
        "shop": chance.choice([1, 2, None]),
        "d": chance.randrange(1000) / 8,
        "i": chance.choice([None, 3]),
        "s": chance.choice(["x", "y", None]),
        "created": now_ms - old_ms,
    }


def without_ties(features: dict[str, Any]) -> dict[str, Any]:
    """Without LAST, where several events share the latest time."""
    return {name: value for name, value in features.items() if name != "s_last_1h"}


def job_of(store_uri: str) -> Job:
    """The product's job over such a log."""
    query = sql_query(GROUP_BY, parse_ddl(DDL))
    plan = plan_of(GROUP_BY, compile_query(query), "tumbling").checked(tiled=True)
    return Job(plan, query, store_uri, Tiling(shards=2))
