"""The store that benchmarks/serving.py serves: its GroupBys, their events and their tiles."""

import random
from typing import Any, NamedTuple

from workload import FLAVORS, features_of, heavy, light, same

from chronon_beam.aggregator.layout import floor_to
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import TimeUnit, Window
from chronon_beam.api.data_types import DOUBLE, LONG, STRING
from chronon_beam.api.group_by import GroupBy
from chronon_beam.api.records import PutRequest
from chronon_beam.fetcher.changes import save
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.fetcher.serving_info import ServingInfo
from chronon_beam.io.kv_store import KVStore

TYPES = {"customer_id": STRING, "flavor": STRING, "price": DOUBLE, "shop": STRING, "ts": LONG}
AT_MS = 1_700_000_000_000
"""The time of all queries; it lies within a tile."""

EVENTS_A_HOP = 2


class Reads(NamedTuple):
    """What a request reads of a key: the tiles of this window in this layout."""

    window: Window
    layout: str


SIX_HOURS = Window(6, TimeUnit.HOURS)
READS = {
    "6h": Reads(SIX_HOURS, "tumbling"),
    "7d": Reads(Window(7, TimeUnit.DAYS), "tumbling"),
    "6h_sliding": Reads(SIX_HOURS, "sliding"),
}


def plan_of(kind: str, reads: str) -> Plan:
    """The GroupBy of benchmarks/workload.py over another window, or in another layout."""
    declared = light if kind == "light" else heavy
    window, layout = READS[reads]
    return Plan(declared(f"bench.{kind}_{reads}", [window]), TYPES, layout)


def key_of(number: int) -> str:
    """The name of a key."""
    return f"user{number:06d}"


def events_of(group_by: GroupBy, key: int) -> list[dict[str, Any]]:
    """The events of a key in the window, in order of time: two per hop."""
    (window,) = group_by.windows
    events = []
    for start_ms in range(floor_to(AT_MS - window.millis, window.hop_ms), AT_MS, window.hop_ms):
        chance = random.Random(key * 1_000_003 + start_ms)
        for at in sorted(chance.sample(range(1000), EVENTS_A_HOP)):
            event = {
                "customer_id": key_of(key),
                "ice_cream_flavor": chance.choice(FLAVORS),
                "price": chance.randrange(10_000) / 16,
                "shop": f"shop{chance.randrange(50)}",
                "created": start_ms + at,
            }
            events.append(event)
    return events


def fill(store: KVStore, plan: Plan, kind: str, keys: int) -> None:
    """Write what is read of all keys, in the order of time, as a job does.

    In layout sliding a job writes 73 tiles per event, of which one is read: that one is written.
    """
    save(store, ServingInfo(plan, tiled=True))
    puts = [put for key in range(keys) for put in _puts(plan, kind, key)]
    puts.sort(key=lambda put: put.tile_start_ms)
    for at in range(0, len(puts), 1000):
        some = puts[at : at + 1000]
        assert store.multi_put(some) == [None] * len(some)


def _puts(plan: Plan, kind: str, key: int) -> list[PutRequest]:
    (spec,), (window,) = plan.specs, plan.group_by.windows
    first_ms, tiles = floor_to(AT_MS - window.millis, window.hop_ms), dict[int, Any]()
    for event in events_of(plan.group_by, key):
        flavor = event["ice_cream_flavor"]
        row = {**event, "flavor": flavor.upper() if kind == "heavy" else flavor}
        # The sliding tile that is read begins with the window and holds all of it.
        sliding = spec.size_ms > spec.period_ms
        start_ms = first_ms if sliding else floor_to(event["created"], spec.size_ms)
        tile = tiles.setdefault(start_ms, plan.aggregator.zero())
        plan.aggregator.update(tile, [row[name] for name in plan.inputs], event["created"])
    key_bytes, dataset = plan.keys.encode([key_of(key)]), plan.group_by.streaming_dataset
    return [
        PutRequest(key_bytes, plan.tiles.encode(tile), dataset, at, at, spec.size_ms)
        for at, tile in tiles.items()
    ]


def check(fetcher: Fetcher, kind: str, keys: int) -> None:
    """Compare the features of some keys with a fold in plain Python."""
    group_by = fetcher.plan.group_by
    for key in range(min(keys, 3)):
        folded = features_of(kind, events_of(group_by, key))
        suffix = group_by.windows[0].suffix
        wanted = {name.replace("_6h", suffix): value for name, value in folded.items()}
        found = fetcher.fetch([{"customer_id": key_of(key)}], AT_MS)[0]
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            assert same(found[name], value), (name, found[name], value)
