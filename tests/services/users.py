"""A job that counts the events of an hour and sums what they hold, by user; and what it stored."""

import json
from typing import Any

from drawing import DDL, group_by_of

from chronon_beam.api import Aggregation, Operation, Window
from chronon_beam.api.dialect import TimeUnit
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.io.kv_store import open_store
from chronon_beam.pipeline.job import Job
from chronon_beam.transforms.evaluate import plan_of, sql_query
from chronon_beam.transforms.spark.compiled_query import compile_query
from chronon_beam.transforms.spark.session import parse_ddl
from chronon_beam.transforms.tiling.settings import Tiling

USERS = 50
_HOUR = [Window(1, TimeUnit.HOURS)]
_HOUR_MS = 3_600_000


class UsersJob:
    """The job, and events for it.

    Attributes:
        job: what is to be built.
    """

    def __init__(self, store_uri: str, begin_ms: int) -> None:
        group_by = group_by_of(
            [Aggregation("d", Operation.SUM, _HOUR), Aggregation("i", Operation.COUNT, _HOUR)]
        )
        query = sql_query(group_by, parse_ddl(DDL))
        plan = plan_of(group_by, compile_query(query), "tumbling").checked(tiled=True)
        self.job = Job(plan, query, store_uri, Tiling(shards=2))
        self._begin_ms = begin_ms

    def time_ms(self, at: int) -> int:
        """When event number `at` was created; 8 ms after the one before."""
        return self._begin_ms + at * 8

    def event(self, at: int, padding: int = 0) -> bytes:
        """Event number `at`, with so much that no query reads."""
        fields = {"user": f"u{at % USERS}", "shop": 1, "d": at % 64, "i": 1}
        event = {**fields, "created": self.time_ms(at), "padding": "x" * padding}
        return json.dumps(event).encode()

    def features(self) -> list[dict[str, Any]]:
        """What is stored of each user."""
        store = open_store(self.job.store_uri)
        try:
            keys = [{"user": f"u{i}", "shop": 1} for i in range(USERS)]
            return Fetcher(self.job.plan, store).fetch(keys, self._begin_ms + _HOUR_MS // 2)
        except FileNotFoundError:
            return []
        finally:
            store.close()

    def counted(self) -> int:
        """How many events are stored."""
        return sum(each["i_count_1h"] or 0 for each in self.features())

    def features_of(self, number: int) -> list[dict[str, Any]]:
        """What must be stored of the first events."""
        numbers = [range(user, number, USERS) for user in range(USERS)]
        return [
            {"d_sum_1h": float(sum(at % 64 for at in each)), "i_count_1h": len(each)}
            for each in numbers
        ]
