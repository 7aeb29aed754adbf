"""All stages between Spark and the store without a runner, with workers that fail."""

import itertools
import random
from typing import Any

import pyarrow as pa
from beam_state import State
from drawing import BEGIN_MS, aggregations, alike, brute_force, events, group_by_of
from hypothesis import given, settings
from hypothesis import strategies as st

from chronon_beam.aggregator.layout import floor_to
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.formats.arrow_types import from_arrow
from chronon_beam.api.records import GetRequest, PutRequest, TimedValue
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.transforms.convert import row_requests, tile_puts
from chronon_beam.transforms.keyed_rows import INPUTS_FROM
from chronon_beam.transforms.rows import Rows
from chronon_beam.transforms.tiling.life import Life
from chronon_beam.transforms.tiling.shards import ShardBatch, Splitter
from chronon_beam.transforms.tiling.window_tiles import WindowTiles

SCHEMA = pa.schema(
    {
        "user": pa.string(),
        "shop": pa.int32(),
        "d": pa.float64(),
        "i": pa.int32(),
        "s": pa.string(),
        "tags": pa.list_(pa.string()),
        "ts": pa.int64(),
    }
)
TYPES = {field.name: from_arrow(field.name, field.type) for field in SCHEMA}


class Store:
    """The KV contract in a dict."""

    def __init__(self) -> None:
        self.values: dict[tuple[bytes, int, int, str], bytes] = {}

    def put(self, requests: list[PutRequest]) -> None:
        for r in requests:
            self.values[r.key_bytes, r.tile_size_ms, r.tile_start_ms, r.position] = r.value_bytes

    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        return [
            [
                TimedValue(value, start_ms)
                for (key, size_ms, start_ms, _), value in sorted(self.values.items())
                if key == r.key_bytes
                and size_ms == r.tile_size_ms
                and r.start_ms <= start_ms < r.end_ms
            ]
            for r in requests
        ]


class TiledJob:
    """One state per (shard, window), and workers that fail and forget."""

    def __init__(self, plan: Plan, chance: random.Random) -> None:
        self._plan, self._chance = plan, chance
        self._rows = {spec: plan.row_aggregator(spec, INPUTS_FROM) for spec in plan.specs}
        self._states: dict[Any, State] = {}
        self._caches: dict[Any, WindowTiles] = {}
        self.store = Store()

    def take(self, rows: Rows) -> None:
        plan = self._plan
        for spec in plan.specs:
            splitter = Splitter(
                list(plan.group_by.keys), list(plan.inputs), plan.keys, 3, spec, 0, None
            )
            assert list(splitter.add(rows)) == []
            for pane, batch in splitter.drain():
                for back in range(spec.tiles_per_event):
                    start_ms = pane.start_ms - back * spec.period_ms
                    self._receive(spec, (spec.size_ms, pane.shard, start_ms), batch.pack())

    def _receive(self, spec: Any, place: tuple[int, int, int], blob: bytes) -> None:
        failing = self._chance.random() < 0.2
        for attempt in range(2):
            state = self._states.setdefault(place, State())
            if self._chance.random() < 0.2:
                self._caches.pop(place, None)
            if place not in self._caches:
                size_ms, _, start_ms = place
                life = Life(start_ms, start_ms + size_ms, 0)
                self._caches[place] = WindowTiles(self._rows[spec], self._plan.tiles, life)
            step = self._caches[place].receive(
                ShardBatch.unpack(blob), state.cell.read(), state.log.read
            )
            # A write may be repeated, and must then change nothing.
            (tiles,) = step.tiles
            self.store.put(tile_puts(tiles, "X"))
            if attempt == 0 and failing:
                continue
            state.take(step.change)
            return


def batches(drawn: list[dict[str, Any]], chance: random.Random) -> list[Rows]:
    """Rows in batches with random borders."""
    rows = [{**{n: e[n] for n in SCHEMA.names if n != "ts"}, "ts": e["created"]} for e in drawn]
    borders = sorted(chance.randrange(len(rows) + 1) for _ in range(chance.randrange(4)))
    parts = itertools.pairwise([0, *borders, len(rows)])
    return [
        Rows(pa.RecordBatch.from_pylist(rows[a:b], schema=SCHEMA), "test", list(range(a, b)))
        for a, b in parts
        if b > a
    ]


@settings(max_examples=1000)
@given(aggregations(), events(), st.randoms(use_true_random=True))
def test_tumbling_sliding_and_rows_give_the_same_features_as_brute_force(
    made: list[Any], drawn: list[dict[str, Any]], chance: random.Random
) -> None:
    group_by = group_by_of(made)
    parts = batches(drawn, chance)
    latest_ms = max((e["created"] for e in drawn), default=BEGIN_MS)
    at_ms = latest_ms + chance.choice([1, 60_000, 1_800_000, floor_to(latest_ms, 300_000)])
    at_ms = min(at_ms, latest_ms + 30 * 86_400_000)
    keys = [{"user": user, "shop": shop} for user in ("ann", "böb", None) for shop in (1, 2, None)]
    expected = [brute_force(group_by, drawn, key, at_ms) for key in keys]

    for layout in ("tumbling", "sliding"):
        plan = Plan(group_by, TYPES, layout)
        job = TiledJob(plan, chance)
        for part in parts:
            job.take(part)
        found = Fetcher(plan, job.store).fetch(keys, at_ms)
        assert alike(found, expected), layout

    plan, store = Plan(group_by, TYPES), Store()
    for part in parts:
        requests, failures, _ = row_requests(part, plan.keys, plan.rows, "X")
        assert not failures
        store.put(requests)
        store.put(requests)
    assert alike(Fetcher(plan, store, tiled=False).fetch(keys, at_ms), expected)
