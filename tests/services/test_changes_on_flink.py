"""A job on a Flink cluster stops with a savepoint and goes on, changed, at another parallelism.

Another GroupBy shares its reading, by a time column of its own, and goes on unchanged.
"""

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from drawing import alike, brute_force
from flink_cluster import FlinkCluster
from kafka_broker import KafkaBroker
from kafka_day import END_MS, GROUP_BY, HOUR_MS, KEYS, Day
from kafka_job import KafkaJob, job_of
from test_kafka_on_cluster import flags, started
from waiting import eventually

from chronon_beam.api.dialect import Operation
from chronon_beam.api.group_by import Aggregation, GroupBy, GroupByError
from chronon_beam.fetcher.changes import FormerRuns, save
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.fetcher.serving_info import ServingInfo, load
from chronon_beam.io.dead_letters.sinks import open_dead_letters
from chronon_beam.io.kv_store import open_store
from chronon_beam.io.sources import Source
from chronon_beam.pipeline.job import StoreGroupBy, build_shared
from chronon_beam.pipeline.runners.choose import runner_of
from chronon_beam.pipeline.verification.compare import YOUNG
from chronon_beam.transforms.evaluate import columns_of_all

EVENTS = 6_000
SUM, MAX, *REST = GROUP_BY.aggregations
NEW = (
    Aggregation("i", Operation.SUM, SUM.windows),
    Aggregation("d", Operation.BOTTOM_K, SUM.windows, arguments=(("k", "2"),)),
)
CHANGED = replace(GROUP_BY, aggregations=(NEW[0], *REST, NEW[1], SUM))
"""MAX is removed, two are added, and the others stand elsewhere."""


QUERY = GROUP_BY.source.query
HOUR_EARLIER = replace(QUERY, time_column=f"{QUERY.time_column} - {HOUR_MS}")
BESIDE = replace(GROUP_BY, name="t.beside", sources=(replace(GROUP_BY.source, query=HOUR_EARLIER),))


class ChangingKafkaJob(KafkaJob):
    """A job of two GroupBys; the one writes what it is to the store, as `chronon-beam run` does."""

    def lay(self, root: beam.Pipeline, source: Source) -> None:
        """By one reading."""
        beside = job_of(f"sqlite:{self.folder}/features.db", BESIDE)
        stores = [
            StoreGroupBy(job, open_dead_letters(f"file:{self.folder}/{number}.jsonl"))
            for number, job in enumerate((self._job, beside))
        ]
        columns = columns_of_all([self._job.query, beside.query])
        build_shared(root, stores, source, columns)

    def is_exact_beside(self, seen: dict[str, list[dict[str, Any]]]) -> bool:
        """Whether the other GroupBy has the features of all of these events, an hour earlier."""
        beside = job_of(f"sqlite:{self.folder}/features.db", BESIDE)
        with closing(open_store(beside.store_uri)) as store:
            fetcher = Fetcher(beside.plan, store)
            found = [fetcher.fetch(KEYS, at_ms - HOUR_MS) for at_ms in MOMENTS]
        return are_alike(GROUP_BY, found, seen)

    def change(self, group_by: GroupBy) -> None:
        """Be started with another GroupBy; raises GroupByError if that is refused."""
        job = job_of(f"sqlite:{self.folder}/features.db", group_by)
        info = ServingInfo(job.plan, tiled=True, shards=2)
        with closing(open_store(job.store_uri)) as store:
            known = save(store, info, FormerRuns(state=True, query=True))
        self._job = replace(job, plan=known.plan)

    def are(self, group_by: GroupBy, seen: dict[str, list[dict[str, Any]]]) -> bool:
        """Whether the features of a GroupBy are those of these events."""
        with closing(open_store(self._job.store_uri)) as store:
            fetcher = Fetcher.of(load(store, group_by), store)
            found = [fetcher.fetch(KEYS, at_ms) for at_ms in MOMENTS]
        return are_alike(group_by, found, seen)


def are_alike(
    group_by: GroupBy, found: list[list[dict[str, Any]]], seen: dict[str, list[dict[str, Any]]]
) -> bool:
    """Whether features of all keys, at each of `MOMENTS`, are those of these events."""
    return all(
        alike(features, brute_force(group_by, seen.get(key["user"], []), key, at_ms))
        for at_ms, each in zip(MOMENTS, found, strict=True)
        for key, features in zip(KEYS, each, strict=True)
    )


MOMENTS = [END_MS - 6 * HOUR_MS, END_MS]
KEPT = replace(GROUP_BY, aggregations=(SUM, *REST))
ADDED = replace(GROUP_BY, aggregations=NEW)


def check_store(job: ChangingKafkaJob, cluster: FlinkCluster) -> None:
    """`chronon-beam verify`, on the cluster, finds the tiles of both versions right."""
    on_cluster = [f"--flink_master={cluster.master}", "--parallelism=2"]
    found = job.verified(f"{__file__}:CHANGED", "FlinkRunner", on_cluster)
    assert found.sound, found
    assert found.counts[YOUNG] > 0


@pytest.mark.usefixtures("modules_on_workers")
def test_a_changed_group_by_goes_on_from_a_savepoint_at_another_parallelism(
    kafka_broker: KafkaBroker, flink_cluster: FlinkCluster, tmp_path: Path
) -> None:
    topic = kafka_broker.create_topic("changed", 2)
    day = Day(kafka_broker, topic, EVENTS, seed=15)
    job = ChangingKafkaJob(kafka_broker, topic, day, tmp_path)
    job.change(GROUP_BY)
    day.produce_until(16, [0, 1])
    with runner_of("FlinkRunner", False, flags(flink_cluster, 2), live=True) as chosen:
        job_id = started(job, flink_cluster, chosen)
        assert eventually(lambda: job.are(GROUP_BY, day.sound()))
        savepoint = flink_cluster.stop_with_savepoint(job_id)
    before = day.sound()

    renamed = replace(GROUP_BY, aggregations=(replace(SUM, input_column="i"), MAX), keys=("user",))
    with pytest.raises(GroupByError, match="keys user string, shop int, this job would write user"):
        job.change(renamed)
    job.change(CHANGED)
    more = [*flags(flink_cluster, 4), f"--savepoint_path={savepoint}"]
    with runner_of("FlinkRunner", False, more, live=True) as chosen:
        job_id = started(job, flink_cluster, chosen)
        day.produce_until(24, [0, 1])
        assert eventually(lambda: job.are(KEPT, day.sound()))
        since = {user: all_[len(before.get(user, [])) :] for user, all_ in day.sound().items()}
        assert eventually(lambda: job.are(ADDED, since))
        assert eventually(lambda: job.is_exact_beside(day.sound()))
        flink_cluster.cancel(job_id)
    check_store(job, flink_cluster)
