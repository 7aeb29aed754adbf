"""Entities: rows that are taken back leave what can forget them, tiled and untiled."""

import random
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from drawing import BEGIN_MS, alike
from hypothesis import given, settings
from hypothesis import strategies as st
from jobs import batches_of, job_of, run_batches
from test_upload import uploaded

from chronon_beam.api import (
    Aggregation,
    EntitySource,
    GroupBy,
    GroupByError,
    Operation,
    Query,
    Source,
    TimeUnit,
    Window,
    select,
)
from chronon_beam.api.counts import Metric
from chronon_beam.api.dialect import DAY_MS
from chronon_beam.fetcher.changes import save
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.fetcher.serving_info import ServingInfo, load
from chronon_beam.transforms.spark.session import parse_ddl

DDL = "user STRING, d DOUBLE, s STRING, created BIGINT, changed BIGINT, op STRING"
WINDOWS = [Window(1, TimeUnit.HOURS), Window(2, TimeUnit.DAYS)]
DELETABLE = [
    Aggregation("d", Operation.COUNT, WINDOWS),
    Aggregation("d", Operation.SUM, WINDOWS, ["s"]),
    Aggregation("d", Operation.AVERAGE, WINDOWS),
    Aggregation("s", Operation.HISTOGRAM, WINDOWS),
]


def accounts(aggregations: list[Any], dialect: str = "airbnb", **query: Any) -> Any:
    columns = {"time_column": "created", "reversal_column": "op = 'D'"}
    wanted = {**columns, "mutation_time_column": "changed", **query}
    source = EntitySource(
        query=Query(select("user", "d", "s"), **wanted), snapshotTable="data.a", mutationTopic="a"
    )
    return GroupBy(name="t.accounts", sources=Source(entities=source), keys=["user"],
                   aggregations=aggregations, dialect=dialect)  # fmt: skip


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows that are put in, and some of them taken back later; each change at its own time."""
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["ann", "bob"]),
                st.none() | st.integers(-64, 64).map(lambda n: n / 8),
                st.none() | st.sampled_from("xy"),
                st.integers(0, 3 * 3_600_000),
                st.booleans(),
            ),
            max_size=25,
        )
    )
    changes: list[dict[str, Any]] = []
    for user, d, s, ahead, back in drawn:
        row = {"user": user, "d": d, "s": s, "created": BEGIN_MS + ahead}
        changes.append({**row, "changed": row["created"], "op": "I"})
        if back:
            changes.append({**row, "changed": row["created"] + 777, "op": "D"})
    return sorted(changes, key=lambda change: change["changed"])


def expected(group_by: Any, changes: list[dict[str, Any]], user: str, at_ms: int) -> dict[str, Any]:
    features = {}
    for feature in group_by.features:
        part, window = feature.part, feature.part.window
        tail_ms = (at_ms - window.millis) // window.hop_ms * window.hop_ms
        seen = [
            c for c in changes
            if c["user"] == user and tail_ms <= c["created"] < at_ms
            and c[part.input_column] is not None
            and (part.bucket is None or c[part.bucket] is not None)
        ]  # fmt: skip
        features[feature.name] = value(part, seen)
    return features


def value(part: Any, seen: list[dict[str, Any]]) -> Any:
    """What was put in, less what was taken back."""
    if not seen:
        return None
    if part.bucket is not None:
        whole = replace(part, bucket=None)
        groups = dict.fromkeys(c[part.bucket] for c in seen)
        return {g: value(whole, [c for c in seen if c[part.bucket] == g]) for g in groups}
    left = [(c[part.input_column], 1 if c["op"] == "I" else -1) for c in seen]
    if part.operation is Operation.HISTOGRAM:
        counts = {item: sum(n for it, n in left if it == item) for item, _ in left}
        return {item: n for item, n in counts.items() if n}
    count, total = sum(n for _, n in left), sum(item * n for item, n in left if part)
    if part.operation is Operation.AVERAGE:
        return total / count if count else None
    return count if part.operation is Operation.COUNT else total


@settings(max_examples=3)
@given(histories(), st.sampled_from(["airbnb", "zipline"]), st.randoms(use_true_random=True))
def test_rows_that_are_taken_back_do_not_count_any_more(
    changes: list[dict[str, Any]], dialect: str, chance: random.Random
) -> None:
    group_by = accounts(DELETABLE, dialect)
    at_ms = BEGIN_MS + 4 * 3_600_000
    wanted = [expected(group_by, changes, user, at_ms) for user in ("ann", "bob")]
    batches = batches_of(changes, size=chance.choice([1, 5, 1000]))
    for kind in ({"tiled": True}, {"tiled": False}):
        outcome = run_batches(job_of(group_by, parse_ddl(DDL), **kind), batches)
        found = outcome.features([{"user": "ann"}, {"user": "bob"}], at_ms)
        assert alike(found, wanted)
        assert not outcome.dead


BASE = {"user": "ann", "d": 5.0, "s": "x", "created": BEGIN_MS, "changed": BEGIN_MS}


@pytest.mark.parametrize("tiled", [True, False])
def test_a_delete_that_is_not_possible_is_a_dead_letter_and_the_rest_follows(tiled: bool) -> None:
    group_by = accounts(
        [
            Aggregation("d", Operation.SUM, WINDOWS[:1]),
            Aggregation("d", Operation.MAX, WINDOWS[:1]),
            Aggregation("s", Operation.LAST, WINDOWS[:1]),
        ]
    )
    changes = [
        {**BASE, "op": "I"},
        {**BASE, "d": 2.0, "s": "y", "changed": BEGIN_MS + 1, "op": "I"},
        {**BASE, "s": None, "changed": BEGIN_MS + 2, "op": "D"},
        {**BASE, "d": None, "s": None, "changed": BEGIN_MS + 3, "op": "D"},
        {**BASE, "changed": None, "op": "I"},
    ]
    outcome = run_batches(job_of(group_by, parse_ddl(DDL), tiled=tiled), batches_of(changes))
    found = outcome.features([{"user": "ann"}], BEGIN_MS + 10)
    assert found == [{"d_sum_1h": 2.0, "d_max_1h": 5.0, "s_last_1h": "x"}]
    assert [(f.step, f.position, f.reason) for f in outcome.dead] == [
        ("Delete", 3, "the row is taken back, but d_max cannot forget")
    ]
    assert outcome.counts["filtered"] == 1


def test_untiled_mutations_reach_rows_of_the_batch() -> None:
    group_by = accounts([Aggregation("d", Operation.SUM, WINDOWS)])
    end_ms = BEGIN_MS // DAY_MS * DAY_MS + DAY_MS
    snapshot = [{**BASE, "d": d, "created": end_ms - 1800_000} for d in (1.0, 20.0)]
    changes = [
        {**snapshot[0], "changed": end_ms - 1, "op": "D"},  # the snapshot has seen it
        {**snapshot[1], "changed": end_ms + 1, "op": "D"},
        {**BASE, "d": 300.0, "created": end_ms + 5, "changed": end_ms + 6, "op": "I"},
        {**BASE, "d": 4000.0, "created": end_ms + 5, "changed": end_ms + 60_000, "op": "I"},
    ]
    job = job_of(group_by, parse_ddl(DDL), tiled=False)
    outcome = run_batches(job, batches_of(changes))
    snapshot_job = job_of(group_by, parse_ddl(DDL), mutations=False)
    uploaded(replace(snapshot_job, store_uri=job.store_uri), end_ms, batches_of(snapshot))
    save(outcome.store, ServingInfo(job.plan, tiled=False))
    fetcher = Fetcher.of(load(outcome.store, group_by), outcome.store)
    found = fetcher.fetch([{"user": "ann"}], end_ms + 10)
    assert found == [{"d_sum_1h": 301.0, "d_sum_2d": 301.0}]


def test_columns_of_mutations_have_their_types() -> None:
    made = [Aggregation("d", Operation.SUM, WINDOWS)]
    with pytest.raises(GroupByError, match="reversal column 'op' is of type string: a boolean"):
        job_of(accounts(made, reversal_column="op"), parse_ddl(DDL))
    with pytest.raises(GroupByError, match="mutation time column 'op' is of type string"):
        job_of(accounts(made, mutation_time_column="op"), parse_ddl(DDL))


CHANGES = "before STRUCT<user: STRING, d: DOUBLE, s: STRING, created: BIGINT>, "
CHANGES += CHANGES.replace("before", "after") + "changed BIGINT"


@pytest.mark.parametrize("tiled", [True, False])
def test_changes_with_before_and_after_are_two_rows_also_when_late(tiled: bool) -> None:
    made = [Aggregation("d", Operation.SUM, WINDOWS[:1])]
    group_by = accounts(made, reversal_column="is_before")
    old = {"user": "ann", "d": 5.0, "s": "x", "created": BEGIN_MS}
    new, moved = {**old, "d": 7.0}, {**old, "d": 7.0, "user": "bob"}
    changes = [
        {"before": None, "after": old, "changed": BEGIN_MS},
        {"before": old, "after": new, "changed": BEGIN_MS + 1},
        {"before": new, "after": moved, "changed": BEGIN_MS + 2},
        {"before": None, "after": None, "changed": BEGIN_MS + 3},
        {"before": moved, "after": {**moved, "d": 1.0}, "changed": BEGIN_MS + 4},
        {"before": None, "after": {**old, "d": 0.5}, "changed": None},
    ]
    job = job_of(group_by, parse_ddl(CHANGES), tiled=tiled)
    promised_ms = pa.array([BEGIN_MS + 10**7])
    late = [m._replace(promised_ms=promised_ms) for m in batches_of(changes, size=1)]
    outcome = run_batches(job, late)
    found = outcome.features([{"user": "ann"}, {"user": "bob"}], BEGIN_MS + 10)
    assert found == [{"d_sum_1h": 0.0}, {"d_sum_1h": 1.0}]
    assert outcome.counts["rows"] == 7
    assert (outcome.counts.get(Metric.LATE, 0) > 0) == tiled
    assert not outcome.dead
