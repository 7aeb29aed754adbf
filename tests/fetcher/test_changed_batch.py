"""Batch values that were uploaded before a GroupBy changed, beside tiles of the changed one."""

from typing import Any

import declarations
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.aggregator.batch_fold import BatchFold, pack
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import Aggregation, Operation
from chronon_beam.api.data_types import LONG, STRING
from chronon_beam.api.dialect import DAY_MS, HOUR_MS
from chronon_beam.api.records import PutRequest
from chronon_beam.fetcher.batch_info import BatchInfo, batch_request, begin_upload, save_batch
from chronon_beam.fetcher.changes import save
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.fetcher.serving_info import ServingInfo, load
from chronon_beam.io.kv_store import MemoryStore

TYPES = {"user": STRING, "n": LONG, "ts": LONG}
END_MS = 100 * DAY_MS
DAYS, BOTH, HOURS = (declarations.windows(*each) for each in (["7d"], ["7d", "3d"], ["15h"]))
WAS = [Aggregation("n", Operation.SUM, DAYS), Aggregation("n", Operation.MIN, DAYS)]
NOW = [
    Aggregation("n", Operation.COUNT, DAYS),
    Aggregation("n", Operation.SUM, [*BOTH, *HOURS]),
]


def plan_of(aggregations: list[Any]) -> Plan:
    declared = declarations.group_by("t.changed_batch", ["user"], aggregations)
    return Plan(declared, TYPES)


def put_tiles(store: MemoryStore, plan: Plan, rows: list[tuple[int, int]]) -> None:
    """Each row into the tile of its hour."""
    tiles: dict[int, Any] = {}
    for ts_ms, number in rows:
        tile = tiles.setdefault(ts_ms // HOUR_MS * HOUR_MS, plan.aggregator.zero())
        plan.aggregator.update(tile, [number], ts_ms)
    key, dataset = plan.keys.encode(["Ann"]), plan.group_by.streaming_dataset
    for start_ms, tile in tiles.items():
        value = plan.tiles.encode(tile)
        store.multi_put([PutRequest(key, value, dataset, start_ms, start_ms, HOUR_MS)])


def upload(store: MemoryStore, plan: Plan, rows: list[tuple[int, int]]) -> None:
    info = begin_upload(store, BatchInfo(plan, END_MS))
    fold, partial = BatchFold(plan, END_MS), {}
    for ts_ms, number in rows:
        fold.add(partial, [number], ts_ms)
    value = fold.value([pack(partial, plan.tiles)])
    if value is not None:
        store.multi_put([batch_request(info, plan.keys.encode(["Ann"]), value)])
    save_batch(store, info)


ROWS = st.lists(
    st.tuples(st.integers(END_MS - 9 * DAY_MS, END_MS + DAY_MS), st.integers(-9, 9)), max_size=20
)


@given(ROWS, st.integers(0, 60))
def test_each_feature_is_merged_with_the_batch_if_the_batch_has_it(
    rows: list[tuple[int, int]], began_days: int
) -> None:
    """What was streamed before the change is in the batch alone; tiles have what came since."""
    MemoryStore.forget("changed_batch")
    store, was = MemoryStore("changed_batch"), plan_of(WAS)
    began_ms = END_MS - began_days * DAY_MS // 10
    upload(store, was, [row for row in rows if row[0] < END_MS])
    save(store, ServingInfo(was, tiled=True))
    put_tiles(store, was, [row for row in rows if row[0] < began_ms])
    now = save(store, ServingInfo(plan_of(NOW), tiled=True)).plan
    both = [row for row in rows if row[0] // HOUR_MS == began_ms // HOUR_MS and row[0] < began_ms]
    put_tiles(store, now, both + [row for row in rows if row[0] >= began_ms])

    at_ms = END_MS + DAY_MS + 1
    (found,) = Fetcher.of(load(store, now.group_by), store).fetch([{"user": "Ann"}], at_ms)
    assert found["n_sum_7d"] == total(rows, at_ms - 7 * DAY_MS)
    assert found["n_sum_3d"] == total(rows, at_ms - 3 * DAY_MS)
    assert found["n_sum_15h"] == total(rows, at_ms - 15 * HOUR_MS)
    since = [row for row in rows if row in both or row[0] >= began_ms]
    counted = [n for ts_ms, n in since if ts_ms >= tail(at_ms - 7 * DAY_MS)]
    assert found["n_count_7d"] == (len(counted) or None)


def total(rows: list[tuple[int, int]], since_ms: int) -> int | None:
    numbers = [number for ts_ms, number in rows if ts_ms >= tail(since_ms)]
    return sum(numbers) if numbers else None


def tail(ms: int) -> int:
    return ms // HOUR_MS * HOUR_MS


@pytest.mark.parametrize("aggregations", [WAS[::-1], WAS[:1]])
def test_batch_values_alone_are_read_in_any_order(aggregations: list[Any]) -> None:
    MemoryStore.forget("changed_batch")
    store = MemoryStore("changed_batch")
    upload(store, plan_of(WAS), [(END_MS - 3, 4), (END_MS - 2, 5)])
    declared = plan_of(aggregations).group_by
    (found,) = Fetcher.of(load(store, declared), store).fetch([{"user": "Ann"}], END_MS)
    assert found == {name: found[name] for name in ("n_sum_7d", "n_min_7d") if name in found}
    assert {"n_sum_7d": 9, "n_min_7d": 4} | found == {"n_sum_7d": 9, "n_min_7d": 4}
