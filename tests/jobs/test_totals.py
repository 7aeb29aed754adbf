"""Counts add up: what comes in is a row, filtered out or a dead letter, and never two of them."""

from typing import Any

from declarations import events, group_by, windows
from drawing import BEGIN_MS
from hypothesis import given, settings
from hypothesis import strategies as st
from jobs import batches_of, job_of, run_batches
from test_entities import accounts
from test_upload import uploaded

from chronon_beam.api import (
    Aggregation,
    Operation,
)
from chronon_beam.api.counts import Metric
from chronon_beam.api.dialect import DAY_MS
from chronon_beam.api.records import Messages
from chronon_beam.pipeline.summary import Totals
from chronon_beam.transforms.spark.session import parse_ddl

WINDOWS = windows("1h", "2h")
BASKETS = group_by(
    "t.baskets",
    ["user"],
    [
        # Lists of two lengths do not add up, and a list with a null inside is not Avro's.
        Aggregation("sizes", Operation.SUM, WINDOWS, element_wise=True),
        Aggregation("item", Operation.COUNT, WINDOWS),
    ],
    sources=events("user", "sizes", item="explode(items)", wheres=["ok"], time_column="t"),
)
DDL = "user STRING, sizes ARRAY<BIGINT>, items ARRAY<STRING>, ok BOOLEAN, t BIGINT"
BASKET = st.fixed_dictionaries(
    {
        "user": st.sampled_from(["ann", "bob"]),
        "sizes": st.sampled_from([None, [1, 2], [3, 4], [5]]),
        "items": st.sampled_from([None, [], ["a"], ["a", "b", "c"]]),
        "ok": st.sampled_from([True, True, True, False, None]),
        "t": st.sampled_from([BEGIN_MS, BEGIN_MS + 1, BEGIN_MS + 4_000_000, None]),
    }
)
LINES = st.lists(BASKET | st.sampled_from([b"{", b"[]", b'{"t": "now"}']), max_size=30)


def rows_of(event: Any) -> int:
    """How many rows the query makes of an event; -1 for a message that is not an event."""
    if isinstance(event, bytes):
        return -1
    return len(event["items"] or []) if event["ok"] else 0


def check(totals: Totals, drawn: list[Any]) -> None:
    rows = [rows_of(event) for event in drawn]
    timeless = [e for e in drawn if rows_of(e) > 0 and e["t"] is None]
    assert totals["messages"] == len(drawn)
    assert totals[Metric.DEAD_DECODE] == rows.count(-1)
    assert totals["filtered"] == rows.count(0)
    assert totals[Metric.DEAD_EVALUATE] == len(timeless)
    assert totals["rows"] == sum(n for n in rows if n > 0) - sum(map(rows_of, timeless))
    assert totals.missing == 0


@settings(max_examples=6)
@given(LINES, st.sampled_from([1, 3, 1000]))
def test_what_comes_in_is_a_row_or_filtered_out_or_dead(drawn: list[Any], size: int) -> None:
    batches = batches_of(drawn, size)
    for tiled, layout in ((True, "tumbling"), (True, "sliding"), (False, "tumbling")):
        job = job_of(BASKETS, parse_ddl(DDL), tiled=tiled, layout=layout)
        outcome = run_batches(job, batches)
        check(outcome.totals, drawn)
        repeated = outcome.counts.get("dead_repeated", 0)
        assert repeated == 0 or layout == "sliding"
        assert outcome.totals.dead + repeated == len(outcome.dead)
        if layout == "tumbling":
            features = outcome.features(USERS, AFTER_MS)
            counted = sum(each["item_count_2h"] or 0 for each in features)
            assert outcome.totals.rows == (counted if tiled else len(outcome.writes))
    end_ms = (BEGIN_MS // DAY_MS + 1) * DAY_MS
    totals = Totals(uploaded(job_of(BASKETS, parse_ddl(DDL)), end_ms, batches))
    check(totals, drawn)


USERS = [{"user": "ann"}, {"user": "bob"}]
AFTER_MS = BEGIN_MS + 5_000_000
ENVELOPE = (
    "before STRUCT<user STRING, d DOUBLE, s STRING, created BIGINT>, "
    "after STRUCT<user STRING, d DOUBLE, s STRING, created BIGINT>, changed BIGINT"
)
ROW = st.none() | st.fixed_dictionaries(
    {
        "user": st.just("ann"),
        "d": st.just(1.0),
        "s": st.sampled_from(["x", None]),
        "created": st.sampled_from([BEGIN_MS, None]),
    }
)


@settings(max_examples=6)
@given(st.lists(st.tuples(ROW, ROW), max_size=12))
def test_changes_with_two_rows_one_or_none_add_up(drawn: list[Any]) -> None:
    made = [Aggregation("d", Operation.MIN, WINDOWS)]
    group_by = accounts(made, reversal_column=None)
    changes = [{"before": before, "after": after, "changed": 5} for before, after in drawn]
    outcome = run_batches(job_of(group_by, parse_ddl(ENVELOPE)), batches_of(changes))
    totals = outcome.totals
    assert totals["messages"] == len(drawn)
    assert totals.missing == 0
    assert totals["filtered"] == drawn.count((None, None))
    # MIN cannot forget: such a row is reported, but it is a row all the same.
    assert totals.dead + totals["dead_delete"] == len(outcome.dead)


def test_what_could_not_be_read_is_told_apart_from_events() -> None:
    broken = Messages("here.gz", [], [], error="the file ends in the middle")
    event = {"user": "ann", "sizes": [1], "items": ["a"], "ok": True, "t": BEGIN_MS}
    outcome = run_batches(job_of(BASKETS, parse_ddl(DDL)), [*batches_of([event]), broken])
    assert (outcome.totals["messages"], outcome.totals["dead_read"]) == (1, 1)
    assert (outcome.totals.dead, outcome.totals.missing) == (0, 0)
    assert [failure.step for failure in outcome.dead] == ["Read"]
