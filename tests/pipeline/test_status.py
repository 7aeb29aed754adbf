"""What `chronon-beam status` says of a store, without jobs: stores are filled by hand."""

import json
from pathlib import Path
from typing import Any

import declarations
import pytest
from command_line import ICE_CREAM, run

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import Aggregation, Derivation, Operation
from chronon_beam.api.data_types import LONG, STRING
from chronon_beam.api.dialect import DAY_MS, HOUR_MS
from chronon_beam.api.records import GetRequest, PutRequest
from chronon_beam.fetcher.batch_info import BatchInfo, batch_request, begin_upload, save_batch
from chronon_beam.fetcher.changes import save
from chronon_beam.fetcher.serving_info import DATASET, ServingInfo
from chronon_beam.io import kv_store
from chronon_beam.io.kv_store import KVStore, MemoryStore, open_store
from chronon_beam.pipeline.status import GroupByStatus, as_text, statuses

NOW_MS = 100 * DAY_MS
TYPES = {"user": STRING, "n": LONG, "ts": LONG}


@pytest.fixture(params=["memory", "sqlite"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    MemoryStore.forget("status")
    return {"memory": "memory:status", "sqlite": f"sqlite:{tmp_path / 'f.db'}"}[request.param]


def group_by(name: str, *operations: Any, **more: Any) -> Any:
    windows = declarations.windows("7d", "15h")
    aggregations = [Aggregation("n", each, windows) for each in operations or (Operation.SUM,)]
    return declarations.group_by(name, ["user"], aggregations, **more)


def fill(store: KVStore, declared: Any, users: int, hours: int, tiled: bool = True) -> Plan:
    plan = save(store, ServingInfo(Plan(declared, TYPES), tiled)).plan
    dataset, value = declared.streaming_dataset, plan.tiles.encode(plan.aggregator.zero())
    puts = [
        PutRequest(plan.keys.encode([f"user {user}"]), value, dataset, at_ms, at_ms, size_ms, "x")
        for user in range(users)
        for at_ms in range(NOW_MS - hours * HOUR_MS, NOW_MS, HOUR_MS)
        for size_ms in ([spec.size_ms for spec in plan.specs] if tiled else [0])
    ]
    store.multi_put(puts)
    return plan


def upload(store: KVStore, plan: Plan, users: int) -> None:
    info = begin_upload(store, BatchInfo(Plan(plan.group_by, TYPES), NOW_MS - DAY_MS))
    keys = [plan.keys.encode([f"user {user}"]) for user in range(users)]
    store.multi_put([batch_request(info, key, b"") for key in keys])
    save_batch(store, info)


def test_status_counts_tiles_keys_and_batch_values(uri: str) -> None:
    store = open_store(uri)
    fill(store, group_by("t.first"), 3, 5)
    derived = group_by("t.first", Operation.SUM, Operation.MAX, derivations=[Derivation("*", "*")])
    upload(store, fill(store, derived, 3, 5), 4)
    fill(store, group_by("t.rows", dialect="zipline"), 2, 2, tiled=False)
    first, rows = statuses(store, [], NOW_MS)
    assert first.stream is not None
    assert (first.stream.values, first.stream.keys, first.stream.exact) == (15, 3, True)
    assert (first.stream.newest_ms, first.stream.age_ms) == (NOW_MS - HOUR_MS, HOUR_MS)
    assert (first.stream.tile_sizes_ms, first.stream.versions) == ([HOUR_MS], 2)
    assert first.batch is not None
    assert (first.batch.keys, first.batch.end_ms) == (4, NOW_MS - DAY_MS)
    assert (first.kind, first.accuracy, first.dialect) == ("events", "TEMPORAL", "airbnb")
    assert first.features["n_sum_7d"] == "long"
    assert first.windows == ["15h", "7d"]
    assert rows.stream is not None
    assert (rows.stream.tiling, rows.stream.values, rows.dialect) == ("untiled", 4, "zipline")
    assert rows.batch is None


def test_text_is_readable_at_80_columns(uri: str) -> None:
    store = open_store(uri)
    names = [f"n{number}" for number in range(9)]
    many = [Aggregation(each, Operation.SUM, declarations.windows("7d", "30d")) for each in names]
    declared = declarations.group_by("t.many", ["user"], many)
    save(store, ServingInfo(Plan(declared, {**TYPES, **dict.fromkeys(names, LONG)}), tiled=True))
    upload(store, fill(store, group_by("t.few"), 1, 2), 2)
    few, many_text = (as_text(each) for each in statuses(store, [], NOW_MS))
    assert max(map(len, many_text.splitlines())) <= 80
    assert many_text.count("n8_sum_30d long") == 1
    assert few.splitlines() == [
        "t.few",
        "  events, TEMPORAL, dialect airbnb",
        "  key       user string",
        "  features  n_sum_7d long, n_sum_15h long",
        "  windows   15h, 7d",
        "  stream    tumbling tiles of 1 h: 2 tiles of 1 keys; the newest begins",
        "            1970-04-10T23:00:00Z, 1 h ago",
        "  batch     up to 1970-04-10T00:00:00Z, 2 keys",
    ]


def test_what_is_not_counted_to_the_end_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    MemoryStore.forget("status")
    store = open_store("memory:status")
    fill(store, group_by("t.large"), 4, 5)
    monkeypatch.setattr(kv_store, "COUNTED", 12)
    (status,) = statuses(store, [], NOW_MS)
    assert status.stream is not None
    assert (status.stream.values, status.stream.exact) == (12, False)
    assert "at least 12 tiles of at least 3 keys" in " ".join(as_text(status).split())


def test_note_of_an_earlier_version_is_reported_as_far_as_it_is_known(uri: str) -> None:
    store, declared = open_store(uri), group_by("t.old")
    fill(store, declared, 2, 2)
    asked = GetRequest(b"t.old", DATASET, 0, 1, 1)
    note = json.loads(store.multi_get([asked])[0][0].value_bytes)
    del note["declaration"]
    store.multi_put([PutRequest(b"t.old", json.dumps(note).encode(), DATASET, 0, 0, 1)])
    store.multi_put([PutRequest(b"t.bad", b"?", DATASET, 0, 0, 1)])
    bad, old = statuses(store, [], NOW_MS)
    assert old.stream is not None
    assert (old.stream.values, old.kind, old.features) == (4, "events", {})
    assert "run the job again, or give --group_by" in " ".join(as_text(old).split())
    assert bad == GroupByStatus("t.bad", reason=bad.reason)
    (known,) = statuses(store, [declared], NOW_MS)
    assert known.features


def test_command_prints_an_object_per_group_by(
    uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(uri)
    for name in ("t.a", "t.b"):
        fill(store, group_by(name), 1, 1)
    ran = run(capsys, ("status", f"--store={uri}", "--json"))
    assert (ran.code, ran.err) == (0, "")
    assert [each["group_by"] for each in ran.objects] == ["t.a", "t.b"]
    assert ran.objects[0]["stream"]["values"] == 1
    ran = run(capsys, ("status", f"--store={uri}"))
    assert [line for line in ran.out.splitlines() if not line.startswith(" ")] == ["t.a", "", "t.b"]


def test_empty_and_missing_stores_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    MemoryStore.forget("nothing")
    ran = run(capsys, ("status", "--store=memory:nothing"))
    assert (ran.code, ran.out) == (1, "")
    assert "memory:nothing holds no GroupBy: `chronon-beam run`" in ran.err
    ran = run(capsys, ("status", f"--store=sqlite:{tmp_path / 'no.db'}"))
    assert (ran.code, ran.out) == (1, "")
    assert "there is no KV store at" in ran.err
    ran = run(capsys, ("status", "--store=memory:nothing", ICE_CREAM))
    assert ran.code == 1
    assert "the store holds nothing of GroupBy" in " ".join(ran.out.split())
