# Beam says that `|` gives a PValue; each stage says which record it gives.
# pyright: reportAssignmentType=false
"""Stores that hold what their events give, and stores with faults: every one is found."""

import json
import random
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import declarations
import pyarrow as pa
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from chronon_beam.aggregator.codecs import complete
from chronon_beam.aggregator.layout import floor_to
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import Aggregation, EntitySource, Operation, Query, Source, select
from chronon_beam.api.data_types import BOOLEAN, DOUBLE, LONG, STRING
from chronon_beam.api.dialect import HOUR_MS
from chronon_beam.api.records import PutRequest
from chronon_beam.fetcher.changes import save
from chronon_beam.fetcher.serving_info import ServingInfo
from chronon_beam.io.kv_store import KVStore, MemoryStore, open_store
from chronon_beam.pipeline.metrics import committed
from chronon_beam.pipeline.options import UsageError
from chronon_beam.pipeline.verification.compare import SOUND, Fault
from chronon_beam.pipeline.verification.comparing import Compare, Compared
from chronon_beam.pipeline.verification.recompute import TilePartials
from chronon_beam.pipeline.verification.scope import Scope
from chronon_beam.pipeline.verification.verify import bounded_uri
from chronon_beam.transforms.convert import row_converter
from chronon_beam.transforms.rows import Rows

TYPES = {"user": STRING, "n": DOUBLE, "m": LONG, "ts": LONG}
TAKE = [Operation.COUNT, Operation.SUM, Operation.LAST, Operation.APPROX_PERCENTILE([0.5])]


@pytest.fixture
def store() -> KVStore:
    MemoryStore.forget("verified")
    return open_store("memory:verified")


def plan_of(*operations: Any, layout: str = "tumbling", **more: Any) -> Plan:
    lasting = declarations.windows("15h")
    aggregations = [Aggregation("n", each, lasting) for each in operations or TAKE]
    declared = declarations.group_by("t.verified", ["user"], aggregations, **more)
    return Plan(declared, TYPES, layout)


Event = tuple[str, float, int]


def events(users: int, hours: int, per_tile: int = 2) -> list[Event]:
    """Events of each user in each hour."""
    chance = random.Random(3)
    return [
        (f"user {user}", float(chance.randrange(100)), hour * HOUR_MS + chance.randrange(HOUR_MS))
        for hour in range(hours)
        for user in range(users)
        for _ in range(per_tile)
    ]


def batches(found: list[Event], size: int = 5000) -> list[Rows]:
    """As Evaluate gives them: two sources, whose batches come in turn."""
    made = []
    for number, start in enumerate(range(0, len(found), size)):
        users, values, times = zip(*found[start : start + size], strict=True)
        batch = pa.RecordBatch.from_pydict(
            {"user": list(users), "n": list(values), "m": list(map(int, values)), "ts": list(times)}
        )
        made.append(Rows(batch, f"log/{number % 2}", list(range(start, start + len(times)))))
    return made


Tiles = dict[tuple[bytes, int, int], Any]


def tiles_of(plan: Plan, found: list[Event]) -> Tiles:
    """Accumulators by key, size and start, one row after the other."""
    tiles: Tiles = {}
    for spec in plan.specs:
        aggregator = plan.row_aggregator(spec)
        for user, value, ts_ms in found:
            key, last_ms = plan.keys.encode([user]), floor_to(ts_ms, spec.period_ms)
            for start_ms in range(
                last_ms - spec.size_ms + spec.period_ms, last_ms + 1, spec.period_ms
            ):
                place = key, spec.size_ms, start_ms
                aggregator.update(tiles.setdefault(place, aggregator.zero()), [value], ts_ms)
    return tiles


def put(store: KVStore, plan: Plan, tiles: Tiles) -> None:
    """As the job does: some are closed."""
    dataset, encode = plan.group_by.streaming_dataset, plan.tiles.encode
    puts = []
    for number, ((key, size_ms, start_ms), tile) in enumerate(tiles.items()):
        value = encode(tile) if number % 3 else complete(encode(tile))
        puts.append(PutRequest(key, value, dataset, start_ms, start_ms, size_ms))
    assert set(store.multi_put(puts)) <= {None}


class Found(NamedTuple):
    """The lines of a report, and what was counted."""

    lines: list[dict[str, Any]]
    counts: dict[str, int]


_rows: list[Rows] = []


def _all_rows(_: None) -> list[Rows]:
    return _rows


def compared(plan: Plan, info: ServingInfo, rows: list[Rows], scope: Scope | None = None) -> Found:
    _rows[:] = rows  # Beam would compress what a pipeline is made of
    comparison = Compare(plan, info, "memory:verified", scope or Scope())
    pipeline = beam.Pipeline(runner=FnApiRunner())
    read = pipeline | beam.Create([None], reshuffle=False) | "Read" >> beam.FlatMap(_all_rows)
    made: Compared = read | "Compare" >> comparison
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report"
        _ = made.lines | beam.io.WriteToText(str(report), num_shards=1, shard_name_template="")
        result = pipeline.run()
        result.wait_until_finish()
        lines = [json.loads(line) for line in report.read_text().splitlines()]
    return Found(lines, committed(result, plan.group_by.name))


USERS, HOURS, FAULTS = 2000, 50, 50


def test_each_of_fifty_faults_of_each_kind_is_found_among_100_000_tiles(store: KVStore) -> None:
    plan, found = plan_of(), events(USERS, HOURS)
    info, tiles = save(store, ServingInfo(plan, tiled=True)), tiles_of(plan, found)
    assert len(tiles) == USERS * HOURS
    expected = seeded(store, plan, tiles, found)
    lines, counts = compared(plan, info, batches(found))
    told = {
        kind: {_place(plan, each) for each in lines if each["kind"] == kind} for kind in expected
    }
    assert told == expected
    assert len(lines) == 4 * FAULTS
    assert [counts[kind] for kind in Fault] == [FAULTS] * 4
    assert counts[SOUND] == USERS * HOURS - 3 * FAULTS


def seeded(
    store: KVStore, plan: Plan, tiles: Tiles, found: list[Event]
) -> dict[str, set[tuple[bytes, int, int]]]:
    """Put the tiles of the events, some with faults; gives their places by kind."""
    chance = random.Random(11)
    chosen = chance.sample(sorted(tiles), 4 * FAULTS)
    parts = [chosen[at : at + FAULTS] for at in range(0, 4 * FAULTS, FAULTS)]
    missing, stale, wrong = map(set, parts[:3])
    extra = {(key, size, start - 1000 * HOUR_MS) for key, size, start in parts[3]}
    faults = tiles_of(plan, _first_of_each(found, {(key, start) for key, _, start in stale}, plan))
    for number, place in enumerate(sorted(wrong)):
        faults[place] = _broken(plan, tiles[place], number)
    kept = {place: tile for place, tile in tiles.items() if place not in missing}
    put(store, plan, kept | faults | dict.fromkeys(extra, tiles[chosen[0]]))
    return {"missing": missing, "stale": stale, "wrong": wrong, "extra": extra}


def _first_of_each(found: list[Event], tiles: set[tuple[bytes, int]], plan: Plan) -> list[Event]:
    """The first event of each of these tiles, which are told by key and start."""
    first: dict[tuple[bytes, int], Event] = {}
    for user, value, ts_ms in found:
        place = plan.keys.encode([user]), floor_to(ts_ms, HOUR_MS)
        if place in tiles:
            first.setdefault(place, (user, value, ts_ms))
    return list(first.values())


def _broken(plan: Plan, tile: Any, number: int) -> Any:
    """The tile with a column that is not what fewer events give."""
    count, total, last, sketch = tile
    other = plan.aggregator.columns[2].prepare(last[1] + 0.5, last[0])
    return [
        [count + 1, total, last, sketch],
        [count, total + 0.5, last, sketch],
        [count, total, other, sketch],
    ][number % 3]


def _place(plan: Plan, line: dict[str, Any]) -> tuple[bytes, int, int]:
    return plan.keys.encode([line["key"]["user"]]), line["tile_size_ms"], line["tile_start_ms"]


@pytest.mark.parametrize("layout", ["tumbling", "sliding"])
@pytest.mark.parametrize("dialect", ["airbnb", "zipline"])
def test_sound_store_has_no_difference_in_any_layout(
    store: KVStore, layout: str, dialect: str
) -> None:
    plan, found = plan_of(layout=layout, dialect=dialect), events(4, 3, per_tile=3)
    info = save(store, ServingInfo(plan, tiled=True))
    put(store, plan, tiles_of(plan, found))
    sound = compared(plan, info, batches(found, size=10))
    assert (sound.lines, sound.counts) == ([], {SOUND: len(tiles_of(plan, found))})
    more = compared(plan, info, batches([*found, found[0]], size=10))
    assert {line["kind"] for line in more.lines} == {"stale"}
    assert more.counts[Fault.STALE] == sum(spec.tiles_per_event for spec in plan.specs)


def test_rows_are_compared_in_any_order(store: KVStore) -> None:
    plan, found = plan_of(Operation.SUM), [*events(5, 4), ("Ann", 1.0, 5), ("Ann", 1.0, 5)]
    info = save(store, ServingInfo(plan, tiled=False))
    requests = row_converter(plan)(batches(found)[0]).batch
    store.multi_put(requests[::-1])
    sound = compared(plan, info, batches(found, size=7))
    assert (sound.lines, sound.counts) == ([], {SOUND: len(found)})
    more = [*found[1:-1], ("Ann", 2.0, 5), ("Bob", 2.0, 5)]
    lines, _ = compared(plan, info, batches(more))
    kinds = [(line["kind"], line["ts_ms"]) for line in lines]
    assert sorted(kinds) == [("extra", found[0][2]), ("missing", 5), ("wrong", 5)]


def test_columns_that_were_added_later_need_not_be_whole(store: KVStore) -> None:
    was, now = plan_of(Operation.COUNT), plan_of(Operation.COUNT, Operation.MAX)
    found = sorted(events(1, 4, per_tile=4), key=lambda event: event[2])
    changed = 6  # within the second tile
    save(store, ServingInfo(was, tiled=True))
    put(store, was, tiles_of(was, found[:changed]))
    info = save(store, ServingInfo(now, tiled=True))
    later, counts = tiles_of(now, found[changed:]), tiles_of(was, found)
    put(store, info.plan, {place: [*counts[place], tile[1]] for place, tile in later.items()})
    sound = compared(now, info, batches(found))
    assert sound.lines == []
    assert sound.counts[SOUND] == 4
    place = max(later, key=lambda each: each[2])
    put(store, info.plan, {place: [*counts[place], 10_000.0]})
    (line,) = compared(now, info, batches(found)).lines
    assert line["columns"].keys() == {"n_max"}


def accounts_plan() -> Plan:
    """Of entities: each operation that can take a row back, and one that cannot."""
    query = Query(
        select("user", "n", "word"),
        time_column="ts",
        mutation_time_column="changed",
        reversal_column="is_before",
    )
    source = Source(
        entities=EntitySource(query=query, snapshotTable="data.a", mutationTopic="changes")
    )
    taken = (Operation.COUNT, Operation.SUM, Operation.AVERAGE, Operation.MAX)
    lasting = declarations.windows("15h")
    aggregations = [Aggregation("n", each, lasting) for each in taken]
    words = Aggregation("word", Operation.HISTOGRAM, lasting)
    types = {**TYPES, "word": STRING, "mutation_ts": LONG, "is_before": BOOLEAN}
    declared = declarations.group_by("t.verified", ["user"], [*aggregations, words], sources=source)
    return Plan(declared, types)


def changes_of(found: list[Event], size: int, chance: random.Random) -> list[Rows]:
    """Each row is put in, and every other one is taken back; in any order of bundles."""
    changes = [(*event, False) for event in found] + [(*event, True) for event in found[::2]]
    chance.shuffle(changes)
    made = []
    for start in range(0, len(changes), size):
        users, values, times, before = map(list, zip(*changes[start : start + size], strict=True))
        columns = {"user": users, "n": values, "word": [f"w{n % 3}" for n in values]}
        columns |= {"ts": times, "mutation_ts": times, "is_before": before}
        positions = list(range(start, start + len(times)))
        made.append(Rows(pa.RecordBatch.from_pydict(columns), "log/0", positions))
    return made


@pytest.mark.parametrize("tiled", [True, False])
def test_rows_of_entities_that_are_taken_back_are_taken_out_of_what_is_expected(
    store: KVStore, tiled: bool, chance: random.Random
) -> None:
    plan, found = accounts_plan(), events(3, 2, per_tile=6)
    info = save(store, ServingInfo(plan, tiled=tiled))
    rows = changes_of(found, 1000, chance)
    if tiled:
        partials = TilePartials(plan, Scope())
        partials.add(*rows)
        dataset, drained = plan.group_by.streaming_dataset, partials.drain()
        store.multi_put(
            [PutRequest(p.key, v, dataset, 0, p.start_ms, p.size_ms) for p, v in drained]
        )
    else:
        store.multi_put(row_converter(plan)(*rows).batch)
    sound = compared(plan, info, changes_of(found, 4, chance))
    assert sound.lines == []
    assert sound.counts == {SOUND: 6 if tiled else len(found) * 3 // 2}
    less = compared(plan, info, changes_of(found[2:], 4, chance))
    assert {line["kind"] for line in less.lines} == ({"wrong"} if tiled else {"extra"})


def test_scope_leaves_out_tiles_at_its_edges_and_other_keys(store: KVStore) -> None:
    plan, found = plan_of(), events(4, 6)
    info = save(store, ServingInfo(plan, tiled=True))
    put(store, plan, {p: t for p, t in tiles_of(plan, found).items() if p[2] == 3 * HOUR_MS})
    scope = Scope(3 * HOUR_MS - 1, 5 * HOUR_MS - 1)
    assert compared(plan, info, batches(found), scope) == ([], {SOUND: 4})
    keys = frozenset(plan.keys.encode([user]) for user in ("user 1", "user 2"))
    lines, counts = compared(plan, info, batches(found), Scope(keys=keys))
    assert {line["key"]["user"] for line in lines} == {"user 1", "user 2"}
    assert counts == {SOUND: 2, Fault.MISSING: 10}


def test_bytes_that_are_not_a_tile_are_wrong(store: KVStore) -> None:
    plan, found = plan_of(), events(1, 1)
    info = save(store, ServingInfo(plan, tiled=True))
    dataset, key = plan.group_by.streaming_dataset, plan.keys.encode(["user 0"])
    store.multi_put([PutRequest(key, b"\x02\x07", dataset, 0, 0, HOUR_MS)])
    (line,) = compared(plan, info, batches(found)).lines
    assert (line["kind"], line["key"]) == ("wrong", {"user": "user 0"})
    assert line["reason"]


def test_source_that_never_ends_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="it never ends: give files, or a Kafka topic"):
        bounded_uri("pubsub://shop/subscriptions/orders", "t.verified")


def test_large_bundle_is_flushed_on_the_way() -> None:
    plan, found = plan_of(), events(10, 10)
    partials = TilePartials(plan, Scope(), most=200)
    sizes: list[int] = []
    for rows in batches(found, size=10):
        partials.add(rows)
        if partials.full:
            sizes.append(len(list(partials.drain())))
    assert len(sizes) >= 2
    assert max(sizes) <= 60
