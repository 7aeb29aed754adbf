"""Whole jobs on the embedded runner: only source and sink are swapped."""

import json
import random
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from declarations import events as events_of
from declarations import group_by, windows
from drawing import BEGIN_MS, DDL, aggregations, alike, brute_force, events, group_by_of
from hypothesis import given, settings
from hypothesis import strategies as st
from jobs import batches_of, job_of, run, run_batches

from chronon_beam.aggregator.codecs import complete
from chronon_beam.api import Aggregation, Operation
from chronon_beam.api.dialect import TimeUnit
from chronon_beam.api.group_by import Window
from chronon_beam.api.load import load_group_by
from chronon_beam.pipeline.runners.embedded import embedded_runner
from chronon_beam.transforms.spark.session import parse_ddl
from chronon_beam.transforms.tiling.triggers import Trigger

EXAMPLES = Path(__file__).parents[2] / "examples"
ICE_DDL = "customer_id STRING, created BIGINT, ice_cream_flavor STRING"
SIX_HOURS = [Window(6, TimeUnit.HOURS)]


@pytest.fixture(scope="module")
def ice_cream() -> Any:
    return load_group_by(str(EXAMPLES / "ice_cream" / "group_by.py"))


@pytest.mark.parametrize(
    ("tiled", "layout"), [(True, "tumbling"), (True, "sliding"), (False, "tumbling")]
)
def test_ice_cream_gives_the_features_of_chronons_documentation(
    ice_cream: Any, tiled: bool, layout: str
) -> None:
    lines = (EXAMPLES / "ice_cream" / "events.jsonl").read_bytes().splitlines()
    job = job_of(ice_cream, parse_ddl(ICE_DDL), tiled=tiled, layout=layout)
    outcome = run_batches(job, batches_of(lines))
    alice, bob, nobody = outcome.features(
        [{"customer_id": "Alice"}, {"customer_id": "Bob"}, {"customer_id": "Nobody"}], 2000
    )
    assert alice == {"customer_id_count_6h": 2, "flavor_last_6h": "olive oil"}
    assert bob == {"customer_id_count_6h": 1, "flavor_last_6h": "strawberry"}
    assert nobody == {"customer_id_count_6h": None, "flavor_last_6h": None}
    assert outcome.nothing_is_missing()
    assert not outcome.dead


def test_every_event_writes_a_cumulative_tile_and_one_write_is_complete(ice_cream: Any) -> None:
    lines = (EXAMPLES / "ice_cream" / "events.jsonl").read_bytes().splitlines()
    outcome = run_batches(job_of(ice_cream, parse_ddl(ICE_DDL)), batches_of(lines, size=1))
    tiles = [(w.key_bytes, outcome.plan.tiles.decode(w.value_bytes)) for w in outcome.writes]
    counts = [(tile[0], complete) for key, (tile, complete) in tiles if key == b"\x02\nAlice"]
    assert counts == [(1, False), (2, False), (2, True)]
    assert {w.dataset for w in outcome.writes} == {
        "ICE_CREAM_GROUP_BY_ICE_CREAM_GROUP_BY_STREAMING"
    }
    assert {(w.tile_start_ms, w.tile_size_ms) for w in outcome.writes} == {(0, 300_000)}


# The stages alone are held to brute force by 1,000 draws, in tests/jobs/test_pure_stages.py.
@settings(max_examples=15)
@given(aggregations(), events(most=25), st.randoms(use_true_random=True))
def test_whole_jobs_give_the_same_features_as_brute_force(
    made: list[Any], drawn: list[dict[str, Any]], chance: random.Random
) -> None:
    group_by, schema = group_by_of(made), parse_ddl(DDL)
    batches = batches_of(drawn, size=chance.choice([1, 3, 10, 1000]))
    at_ms = max((e["created"] for e in drawn), default=BEGIN_MS) + chance.choice([1, 3_600_000])
    keys = [{"user": user, "shop": shop} for user in ("ann", "böb", None) for shop in (1, 2, None)]
    known = [e for e in drawn if e["user"] is not None or e["shop"] is not None]
    expected = [brute_force(group_by, known, key, at_ms) for key in keys]
    kinds: list[dict[str, Any]] = [{}, {"layout": "sliding"}, {"tiled": False}]
    for kind in kinds:
        outcome = run_batches(job_of(group_by, schema, **kind), batches)
        assert alike(outcome.features(keys, at_ms), expected), kind
        if drawn:
            assert outcome.nothing_is_missing()
            assert outcome.counts.get("filtered", 0) == len(drawn) - len(known)


def damaged(chance: random.Random, event: dict[str, Any]) -> bytes:
    """An event that cannot be read, in one of a dozen ways."""
    line = json.dumps(event).encode()
    ways = (
        line[: len(line) // 2],
        b"\xff\xfe" + line,
        b"not json at all",
        b"[1, 2, 3]",
        b"null",
        b"42",
        json.dumps({**event, "created": "yesterday"}).encode(),
        json.dumps({**event, "created": 1.5}).encode(),
        json.dumps({**event, "created": 2**63}).encode(),
        json.dumps({**event, "d": "3.5"}).encode(),
        json.dumps({**event, "tags": "a"}).encode(),
        json.dumps({**event, "created": None}).encode(),
        line.replace(b'"d":', b'"d": NaN, "x":'),
    )
    return chance.choice(ways)


def a_tenth_damaged(
    chance: random.Random, number: int
) -> tuple[list[bytes], list[dict[str, Any]], set[int]]:
    """Lines, the events of those that are sound, and the positions of the damaged ones."""
    lines: list[bytes] = []
    sound: list[dict[str, Any]] = []
    bad: set[int] = set()
    for i in range(number):
        event = {
            "user": chance.choice(["ann", "böb", None]),
            "shop": chance.choice([1, 2, None]),
            "d": chance.randrange(1000) / 8,
            "i": None,
            "s": f"s{i}",
            "tags": ["a"] * (i % 3),
            "created": BEGIN_MS + 2 * i + chance.randrange(2),
        }
        if chance.random() < 0.1:
            lines.append(damaged(chance, event))
            bad.add(i + 1)
        else:
            lines.append(json.dumps(event).encode())
            sound.append(event)
    return lines, sound, bad


def test_100_000_lines_of_which_a_tenth_are_damaged_lose_nothing_else() -> None:
    chance, day = random.Random(11), [Window(1, TimeUnit.DAYS)]
    operations = {"d": Operation.SUM, "s": Operation.LAST, "tags": Operation.COUNT}
    group_by = group_by_of([Aggregation(name, each, day) for name, each in operations.items()])
    lines, sound, bad = a_tenth_damaged(chance, 100_000)
    outcome = run_batches(job_of(group_by, parse_ddl(DDL)), batches_of(lines))
    known = [e for e in sound if e["user"] is not None or e["shop"] is not None]
    at_ms = BEGIN_MS + 200_001
    for user, shop in (("ann", 1), (None, 2), ("böb", None)):
        key = {"user": user, "shop": shop}
        expected = brute_force(group_by, known, key, at_ms)
        assert alike(outcome.features([key], at_ms)[0], expected)
    assert outcome.counts["messages"] == 100_000
    assert outcome.counts["rows"] == len(known)
    assert outcome.nothing_is_missing()
    assert {failure.position for failure in outcome.dead} <= bad
    # A damaged event without a key is filtered before anybody looks at its time.
    filtered = outcome.counts["filtered"]
    assert len(bad) - len(outcome.dead) == filtered - (len(sound) - len(known))
    for failure in outcome.dead[:500]:
        assert failure.payload == lines[failure.position - 1]
        assert failure.reason
        assert failure.source == "test"


def test_null_inside_a_kept_list_is_dead_lettered_alone() -> None:
    windows = [Window(1, TimeUnit.HOURS), Window(2, TimeUnit.HOURS)]
    group_by = group_by_of([Aggregation("tags", Operation.LAST, windows)])
    base = {"user": "ann", "shop": 1, "d": None, "i": None, "s": None}
    drawn = [
        {**base, "tags": ["a"], "created": BEGIN_MS},
        {**base, "tags": ["b", None], "created": BEGIN_MS + 1},
        {**base, "tags": ["c"], "created": BEGIN_MS + 2},
    ]
    for tiled, layout in ((True, "tumbling"), (True, "sliding"), (False, "tumbling")):
        job = job_of(group_by, parse_ddl(DDL), tiled=tiled, layout=layout)
        outcome = run_batches(job, batches_of(drawn))
        values = outcome.features([{"user": "ann", "shop": 1}], BEGIN_MS + 10)
        assert values == [{"tags_last_1h": ["c"], "tags_last_2h": ["c"]}]
        assert [(f.step, f.position) for f in outcome.dead] == [("Tile" if tiled else "Convert", 2)]
        assert outcome.totals.dead_by_step == {"Tile" if tiled else "Convert": 1}
        assert outcome.totals.rows == 2
        assert outcome.nothing_is_missing()
        assert "null inside" in outcome.dead[0].reason


@pytest.mark.parametrize("trigger", [Trigger(), Trigger(50)], ids=["every_event", "buffered"])
def test_lists_that_do_not_fit_together_are_dead_lettered_alone(trigger: Trigger) -> None:
    places = Aggregation("n", Operation.SUM, [Window(1, TimeUnit.HOURS)], element_wise=True)
    declared = group_by(
        "t.places", ["user"], [places], sources=events_of("user", "n", time_column="created")
    )
    lists = [[1, 2], [3], [4, None], [10, 20], None]
    drawn = [{"user": "ann", "n": n, "created": BEGIN_MS + i} for i, n in enumerate(lists)]
    ddl = parse_ddl("user STRING, n ARRAY<BIGINT>, created BIGINT")
    outcome = run_batches(job_of(declared, ddl, trigger=trigger), batches_of(drawn))
    assert outcome.features([{"user": "ann"}], BEGIN_MS + 10) == [{"n_sum_1h": [11, 22]}]
    reasons = {failure.position: failure.reason for failure in outcome.dead}
    assert reasons.keys() == {2, 3}
    assert "n_sum: elementWise needs lists of one length: 1 after 2" in reasons[2]
    assert "n_sum: elementWise takes no null inside a list" in reasons[3]
    assert json.loads(outcome.dead[0].payload)["user"] == "ann"


@pytest.mark.parametrize("layout", ["tumbling", "sliding"])
@pytest.mark.parametrize("trigger", [Trigger(), Trigger(20_000)], ids=["every_event", "buffered"])
@pytest.mark.parametrize("streaming", [False, True], ids=["batch", "stream"])
def test_every_tile_of_every_family_is_closed(
    trigger: Trigger, layout: str, streaming: bool
) -> None:
    windows = [Window(1, TimeUnit.HOURS), Window(6, TimeUnit.HOURS)]
    group_by = group_by_of([Aggregation("d", Operation.SUM, windows)])
    drawn = [{"user": "ann", "shop": 1, "d": 1.0, "created": BEGIN_MS + at} for at in range(3)]
    job = job_of(group_by, parse_ddl(DDL), trigger=trigger, layout=layout)
    source = beam.Create(batches_of(drawn), reshuffle=False)
    runner = embedded_runner(buffered=not trigger.every_event)
    outcome = run(job, source, runner, streaming=streaming)
    last = {(put.tile_size_ms, put.tile_start_ms): put.value_bytes for put in outcome.writes}
    # Sliding: an event is in (w + hop) / hop tiles of each window w.
    assert len(last) == (1 if layout == "tumbling" else 13 + 73)
    assert all(value == complete(value) for value in last.values())


def test_explode_makes_several_rows_of_one_event() -> None:
    source = events_of(tag="explode(tags)", time_column="created")
    counts = [Aggregation("tag", Operation.COUNT, windows("6h"))]
    declared = group_by("t.explode", ["tag"], counts, sources=source)
    drawn = [
        {"tags": ["a", "b", "a"], "created": BEGIN_MS},
        {"tags": [], "created": BEGIN_MS + 1},
        {"tags": ["a"], "created": BEGIN_MS + 2},
    ]
    for tiled in (True, False):
        job = job_of(declared, parse_ddl("tags ARRAY<STRING>, created BIGINT"), tiled=tiled)
        outcome = run_batches(job, batches_of(drawn))
        found = outcome.features([{"tag": "a"}, {"tag": "b"}], BEGIN_MS + 10)
        assert [f["tag_count_6h"] for f in found] == [3, 1]
        assert outcome.counts["filtered"] == 1


def test_zipline_filters_events_without_time_and_airbnb_buries_them() -> None:
    drawn = [{"user": "ann", "shop": 1, "d": 1.0, "created": None}]
    made = [Aggregation("d", Operation.SUM, [Window(1, TimeUnit.HOURS)])]
    airbnb = run_batches(job_of(group_by_of(made), parse_ddl(DDL)), batches_of(drawn))
    assert [f.reason for f in airbnb.dead] == ["the time column is null"]
    zipline = group_by_of(made, "zipline")
    outcome = run_batches(job_of(zipline, parse_ddl(DDL)), batches_of(drawn))
    assert not outcome.dead
    assert outcome.counts["filtered"] == 1


@pytest.mark.parametrize("kind", ["BIGINT", "DOUBLE"])
def test_absurd_times_are_dead_lettered_and_stop_nothing(kind: str) -> None:
    ddl = DDL.replace("created BIGINT", f"created {kind}")
    times = [
        BEGIN_MS,
        9 * 10**18,
        -9 * 10**18,
        BEGIN_MS + 1,
        *([1e300] if kind == "DOUBLE" else []),
    ]
    drawn = [{"user": "ann", "shop": 1, "d": 1.0, "created": time} for time in times]
    made = [Aggregation("d", Operation.SUM, [Window(1, TimeUnit.HOURS)])]
    outcome = run_batches(job_of(group_by_of(made), parse_ddl(ddl)), batches_of(drawn))
    assert outcome.features([{"user": "ann", "shop": 1}], BEGIN_MS + 9) == [{"d_sum_1h": 2.0}]
    assert sorted(failure.position for failure in outcome.dead) == [2, 3, 5][: len(times) - 2]
    assert all("milliseconds since the epoch" in failure.reason for failure in outcome.dead)
    assert outcome.nothing_is_missing()
