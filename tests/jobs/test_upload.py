"""Uploads on the embedded runner: batch and stream together give what all events give."""

import random
from dataclasses import replace
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from drawing import BEGIN_MS, DDL, aggregations, alike, brute_force, events, group_by_of
from hypothesis import given, settings
from hypothesis import strategies as st
from jobs import CollectDead, batches_of, job_of, run_batches

from chronon_beam.aggregator.batch_fold import BatchFold
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import Accuracy, Aggregation, Operation, TimeUnit, Window
from chronon_beam.api.counts import Metric
from chronon_beam.api.data_types import LONG, STRING, list_of
from chronon_beam.api.dialect import DAY_MS
from chronon_beam.api.records import Messages
from chronon_beam.fetcher.batch_info import BatchInfo, begin_upload, save_batch
from chronon_beam.fetcher.changes import save
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.fetcher.serving_info import ServingInfo, load
from chronon_beam.io.kv_store import open_store
from chronon_beam.pipeline.job import Job
from chronon_beam.pipeline.metrics import JobCounts
from chronon_beam.pipeline.upload import Upload, build_upload
from chronon_beam.transforms.fold import Folder
from chronon_beam.transforms.rows import Rows
from chronon_beam.transforms.spark.session import parse_ddl

KEYS = [{"user": user, "shop": shop} for user in ("ann", "böb", None) for shop in (1, 2, None)]


def uploaded(job: Job, end_ms: int, batches: list[Messages]) -> dict[str, int]:
    """Upload what `job` is of into its store; the counts."""
    store = open_store(job.store_uri)
    info = begin_upload(store, BatchInfo(job.plan, end_ms))
    name = job.plan.group_by.name
    counts = JobCounts([(name,)])
    with beam.Pipeline(runner=FnApiRunner()) as root:
        source = beam.Create(batches, reshuffle=False)
        upload = Upload(info, job.query, job.store_uri)
        build_upload(root, upload, source, CollectDead(f"{job.store_uri}/upload"))
    save_batch(store, info)
    return counts.now()[name]


def known(drawn: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [e for e in drawn if e["user"] is not None or e["shop"] is not None]


@settings(max_examples=4)
@given(aggregations(), events(most=25), st.randoms(use_true_random=True))
def test_upload_and_stream_give_the_same_features_as_brute_force(
    made: list[Any], drawn: list[dict[str, Any]], chance: random.Random
) -> None:
    at_ms = max((e["created"] for e in drawn), default=BEGIN_MS) + chance.choice([1, 3_600_000])
    end_ms = at_ms // DAY_MS * DAY_MS
    # Chronon leaves out of a batch what happened exactly at a window's tail.
    drawn = [e for e in drawn if (end_ms - e["created"]) % 3_600_000]
    group_by = group_by_of(made)
    expected = [brute_force(group_by, known(drawn), key, at_ms) for key in KEYS]
    batches = batches_of(drawn, size=chance.choice([1, 7, 1000]))
    tiled = chance.choice([True, False])
    job = job_of(group_by, parse_ddl(DDL), tiled=tiled)
    counts = uploaded(job, end_ms, batches)
    outcome = run_batches(job, batches)
    save(outcome.store, ServingInfo(job.plan, tiled))
    fetcher = Fetcher.of(load(outcome.store, group_by), outcome.store)
    assert alike(fetcher.fetch(KEYS, at_ms), expected)
    assert counts.get(Metric.WRITTEN, 0) == counts.get("values", 0)
    assert not fetcher.counts["degraded"]


def test_batch_alone_is_served_and_counts_what_is_outside() -> None:
    windows = [Window(1, TimeUnit.DAYS)]
    group_by = group_by_of([Aggregation("i", Operation.SUM, windows)])
    end_ms = BEGIN_MS // DAY_MS * DAY_MS
    times = [end_ms - 2 * DAY_MS, end_ms - 1, end_ms, None, end_ms - 5]
    drawn = [{"user": "ann", "shop": 1, "i": 2**n, "created": t} for n, t in enumerate(times)]
    job = job_of(group_by, parse_ddl(DDL))
    counts = uploaded(job, end_ms, batches_of(drawn))
    store = open_store(job.store_uri)
    fetcher = Fetcher.of(load(store, group_by), store)
    assert fetcher.fetch(KEYS[:1], end_ms) == [{"i_sum_1d": 2 + 16}]
    expected = {"messages": 5, "rows": 4, "outside": 2, Metric.DEAD_EVALUATE: 1, Metric.WRITTEN: 1}
    assert {name: counts[name] for name in expected} == expected


def test_snapshot_features_stay_as_they_were_at_the_batchs_end() -> None:
    made = [Aggregation("d", Operation.AVERAGE, [Window(1, TimeUnit.DAYS)], ["s"])]
    end_ms = BEGIN_MS // DAY_MS * DAY_MS
    group_by = replace(group_by_of(made), accuracy=Accuracy.SNAPSHOT)
    base = {"user": "ann", "shop": 1}
    drawn = [
        {**base, "d": float(n), "s": s, "created": end_ms - 1 - n} for n, s in enumerate("xxy")
    ]
    job = job_of(group_by, parse_ddl(DDL))
    uploaded(job, end_ms, batches_of(drawn))
    store = open_store(job.store_uri)
    fetcher = Fetcher.of(load(store, group_by), store)
    expected = {"d_average_1d_by_s": {"x": 0.5, "y": 2.0}}
    assert fetcher.fetch(KEYS[:2], end_ms + 9 * DAY_MS) == [expected, {"d_average_1d_by_s": None}]


def test_a_bundle_that_is_full_is_flushed_and_nothing_is_counted_twice() -> None:
    group_by = group_by_of([Aggregation("i", Operation.COUNT, [Window(14, TimeUnit.DAYS)])])
    types = {"user": STRING, "shop": LONG, "i": LONG}
    plan, end_ms = Plan(group_by, types), BEGIN_MS // DAY_MS * DAY_MS
    folder = Folder(plan, end_ms, most=4)
    packed: dict[bytes, list[bytes]] = {}
    for batch in range(50):
        times = [end_ms - 1 - (batch * 7 + n) * 3_600_000 for n in range(4)]
        columns = {"user": ["ann", "bob"] * 2, "shop": [1] * 4, "i": [5] * 4, "ts": times}
        folder.add(Rows(pa.RecordBatch.from_pydict(columns), "test", [1, 2, 3, 4]))
        if folder.full or batch == 49:
            for key, partial in folder.drain():
                packed.setdefault(key, []).append(partial)
            assert not folder.full
    assert all(len(partials) > 1 for partials in packed.values())
    values = {key: BatchFold(plan, end_ms).value(partials) for key, partials in packed.items()}
    decoded = {key: plan.batch_irs.decode(value) for key, value in values.items() if value}
    hops = [sum(h.accumulator[0] for h in ir.tail_hops[0]) for ir in decoded.values()]
    collapsed = [ir.collapsed[0] for ir in decoded.values()]
    ages_ms = [1 + (batch * 7 + n) * 3_600_000 for batch in range(50) for n in range(4)]
    inside = sum(age_ms < 14 * DAY_MS for age_ms in ages_ms)
    assert sum(hops) + sum(collapsed) == inside
    assert min(hops) > 0


def test_rows_that_cannot_be_added_are_dead_lettered_alone() -> None:
    made = [Aggregation("tags", Operation.SUM, [Window(1, TimeUnit.DAYS)], element_wise=True)]
    types = {"user": STRING, "shop": LONG, "tags": list_of(LONG)}
    plan, end_ms = Plan(group_by_of(made), types), BEGIN_MS // DAY_MS * DAY_MS
    tags = pa.array([[1, 2], [3], [4, 5]], pa.list_(pa.int64()))
    columns = [["ann"] * 3, [1] * 3, tags, [end_ms - 5] * 3]
    batch = pa.RecordBatch.from_arrays(list(map(pa.array, columns)), ["user", "shop", "tags", "ts"])
    folder = Folder(plan, end_ms)
    _, failures, counts = folder.add(Rows(batch, "test", [1, 2, 3]))
    assert counts["outside"] == 0
    assert [(f.step, f.position) for f in failures] == [("Fold", 2)]
    ((_, partial),) = folder.drain()
    value = BatchFold(plan, end_ms).value([partial])
    assert value is not None
    (hop,) = plan.batch_irs.decode(value).tail_hops[1]
    assert hop.accumulator == [[5, 7]]
