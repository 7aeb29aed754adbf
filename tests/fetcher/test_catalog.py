"""What a store says of its GroupBys, without their files."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import declarations
import pytest
from declarations import windows
from hypothesis import given
from hypothesis import strategies as st
from vectors import vectors

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import Aggregation, Derivation, Operation
from chronon_beam.api.data_types import LONG, STRING
from chronon_beam.api.dialect import DAY_MS
from chronon_beam.api.group_by import Accuracy, GroupBy
from chronon_beam.api.records import GetRequest, PutRequest
from chronon_beam.api.thrift_json import declaration_of, parse_conf
from chronon_beam.fetcher.batch_info import BatchInfo, batch_request, begin_upload, save_batch
from chronon_beam.fetcher.catalog import CatalogEntry, catalog
from chronon_beam.fetcher.changes import save
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.fetcher.serving_info import DATASET, ServingInfo, load
from chronon_beam.io.kv_store import KVStore, MemoryStore, open_store

TYPES = {"user": STRING, "n": LONG, "ts": LONG}
END_MS = 100 * DAY_MS


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> KVStore:
    MemoryStore.forget("catalog")
    where = {"memory": "memory:catalog", "sqlite": f"sqlite:{tmp_path / 'features.db'}"}
    return open_store(where[request.param])


def group_by(name: str, *operations: Any, lengths: str = "7d", **more: Any) -> Any:
    lasting = windows(*lengths.split())
    aggregations = [Aggregation("n", each, lasting) for each in operations or (Operation.SUM,)]
    return declarations.group_by(name, ["user"], aggregations, **more)


def streamed(store: KVStore, declared: GroupBy, tiled: bool = True) -> None:
    save(store, ServingInfo(Plan(declared, TYPES), tiled))


def uploaded(store: KVStore, declared: GroupBy, end_ms: int = END_MS) -> None:
    info = begin_upload(store, BatchInfo(Plan(declared, TYPES), end_ms))
    if info.is_snapshot:
        value = info.plan.outputs.encode([42] * len(declared.features))
        store.multi_put([batch_request(info, info.plan.keys.encode(["Ann"]), value)])
    save_batch(store, info)


def same(found: ServingInfo, expected: ServingInfo) -> bool:
    """Whether two notes give the same plans, the whole confs included."""
    pairs = [(found.plan, expected.plan)]
    if found.batch is not None and expected.batch is not None:
        pairs.append((found.batch.plan, expected.batch.plan))
    confs = all(a.group_by.to_thrift() == b.group_by.to_thrift() for a, b in pairs)
    return confs and found == expected


SNAPSHOT = group_by("t.snapshot", accuracy=Accuracy.SNAPSHOT)


def test_every_group_by_of_a_store_is_served_without_its_file(store: KVStore) -> None:
    derived = group_by("t.derived", derivations=[Derivation("total", "n_sum_7d")])
    streamed(store, derived)
    streamed(store, group_by("t.rows", dialect="zipline"), tiled=False)
    streamed(store, group_by("t.both"))
    for each in (group_by("t.both"), group_by("t.batch"), SNAPSHOT):
        uploaded(store, each)
    declared = [derived, group_by("t.rows", dialect="zipline"), group_by("t.both")]
    declared += [group_by("t.batch"), SNAPSHOT]

    found = catalog(store)
    assert list(found) == ["t.batch", "t.both", "t.derived", "t.rows", "t.snapshot"]
    for each in declared:
        entry = found[each.name]
        assert entry.info is not None, entry.reason
        assert same(entry.info, load(store, each))
    info = found["t.snapshot"].info
    assert info is not None
    assert Fetcher.of(info, store).fetch([{"user": "Ann"}], END_MS) == [{"n_sum_7d": 42}]


def test_changed_group_by_is_served_as_it_is_now_with_all_versions_of_its_tiles(
    store: KVStore,
) -> None:
    streamed(store, group_by("t.changed", Operation.SUM))
    now = group_by("t.changed", Operation.MAX, Operation.SUM, lengths="7d 3d")
    streamed(store, now)
    entry = catalog(store)["t.changed"]
    assert entry.info is not None
    assert entry.info.plan.group_by == now
    assert len(entry.info.versions) == 2
    assert same(entry.info, load(store, now))


def _note(store: KVStore, key: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """Put a note into the place of one in the store."""
    asked = GetRequest(key.encode(), DATASET, 0, 1, 1)
    note = change(json.loads(store.multi_get([asked])[0][0].value_bytes))
    value = note if isinstance(note, bytes) else json.dumps(note).encode()
    store.multi_put([PutRequest(key.encode(), value, DATASET, 0, 0, 1)])


def _as_earlier(note: dict[str, Any]) -> Any:
    del note["declaration"]
    return note


def test_note_of_an_earlier_version_needs_the_declaration(store: KVStore) -> None:
    declared = group_by("t.old")
    streamed(store, declared)
    uploaded(store, declared)
    _note(store, "t.old", _as_earlier)
    _note(store, "t.old#batch", _as_earlier)
    entry = catalog(store)["t.old"]
    assert entry.info is None
    assert "does not hold the GroupBy's declaration" in entry.reason
    assert "run the job again, or give --group_by" in entry.reason

    given_one = catalog(store, [declared], {"t.old": entry})["t.old"]
    assert given_one.info is not None
    assert same(given_one.info, load(store, declared))
    uploaded(store, declared)  # the declaration of either job will do
    assert catalog(store)["t.old"].info


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: b"\xff{", "cannot be read (UnicodeDecodeError"),
        (lambda _: [], "cannot be read"),
        (lambda note: {**note, "dialect": "klingon"}, "unknown dialect 'klingon'"),
        (lambda note: {**note, "types": {}}, "without column 'user'"),
        (lambda note: {**note, "declaration": {"keyColumns": []}}, "sources is empty"),
    ],
)
def test_bad_note_is_told_and_hides_no_other(
    store: KVStore, change: Callable[[dict[str, Any]], Any], reason: str
) -> None:
    for name in ("t.a", "t.bad", "t.z"):
        streamed(store, group_by(name))
    _note(store, "t.bad", change)
    found = catalog(store)
    assert [name for name, each in found.items() if each.info] == ["t.a", "t.z"]
    assert reason in found["t.bad"].reason


def test_what_a_later_version_adds_to_a_note_is_left_out(store: KVStore) -> None:
    streamed(store, group_by("t.later"))
    _note(store, "t.later", lambda note: {**note, "colour": "blue"})
    assert catalog(store)["t.later"].info


def test_declarations_that_the_store_does_not_know_are_listed(store: KVStore) -> None:
    streamed(store, group_by("t.here"))
    found = catalog(store, [group_by("t.gone")])
    assert "the store holds nothing of GroupBy 't.gone'" in found["t.gone"].reason
    assert found["t.here"].info


def test_declarations_that_no_job_computes_say_so(store: KVStore) -> None:
    streamed(store, group_by("t.here"))
    lookup = replace(group_by("t.lookup"), aggregations=())
    found = catalog(store, [lookup])
    assert found["t.lookup"].reason.startswith("t.lookup: it has no aggregations")
    assert found["t.here"].info


def test_only_what_has_changed_is_read_again(store: KVStore) -> None:
    for name in ("t.a", "t.b", "t.c"):
        streamed(store, group_by(name))
    first = catalog(store)
    assert _changed(first, catalog(store, known=first)) == []
    uploaded(store, group_by("t.b"))
    second = catalog(store, known=first)
    assert _changed(first, second) == ["t.b"]
    uploaded(store, group_by("t.b"), END_MS + DAY_MS)
    third = catalog(store, known=second)
    assert _changed(second, third) == ["t.b"]
    assert third["t.b"].info is not None
    assert third["t.b"].info.batch is not None
    assert third["t.b"].info.batch.end_ms == END_MS + DAY_MS


def _changed(before: dict[str, CatalogEntry], after: dict[str, CatalogEntry]) -> list[str]:
    return [name for name, entry in after.items() if entry is not before.get(name)]


def test_empty_store_has_nothing_and_a_missing_one_says_so(tmp_path: Path) -> None:
    place = tmp_path / "features.db"
    with pytest.raises(FileNotFoundError, match="there is no KV store at"):
        catalog(open_store(f"sqlite:{place}"))
    open_store(f"sqlite:{place}").create(DATASET)
    assert catalog(open_store(f"sqlite:{place}")) == {}


def noted(declared: GroupBy) -> GroupBy:
    """What comes of a declaration that is noted as JSON."""
    conf = json.loads(json.dumps(declaration_of(declared)))
    return parse_conf(conf, declared.dialect)


_COLUMNS = ("user", "shop", "day", "n", "m")
_OPERATIONS = [Operation.SUM, Operation.LAST_K(3), Operation.APPROX_PERCENTILE([0.5, 0.9])]
_AGGREGATIONS = st.lists(
    st.tuples(
        st.sampled_from(["n", "m"]),
        st.sampled_from(_OPERATIONS),
        st.none() | st.lists(st.sampled_from(["6h", "7d", "30d"]), min_size=1, unique=True),
        st.none() | st.lists(st.sampled_from(["shop", "day"]), min_size=1, unique=True),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda each: (each[0], str(each[1])),
)


@given(
    _AGGREGATIONS,
    st.sampled_from(["airbnb", "zipline"]),
    st.sampled_from([None, *Accuracy]),
    st.text(max_size=9),
)
def test_declaration_comes_back_from_its_note(
    aggregations: list[Any], dialect: str, accuracy: Accuracy | None, text: str
) -> None:
    snapshot = accuracy is Accuracy.SNAPSHOT
    made = [
        Aggregation(column, each, lengths and windows(*["1d"] if snapshot else lengths), buckets)
        for column, each, lengths, buckets in aggregations
    ]
    declared = declarations.group_by(
        "t.first",
        ["user", "shop"],
        made,
        sources=declarations.events(
            *_COLUMNS, wheres=[f"n <> '{text}'"], topic=None if snapshot else "orders"
        ),
        dialect=dialect,
        accuracy=accuracy,
        derivations=[Derivation("*", "*"), Derivation("d", f"concat(user, {text!r})")],
    ).named("t.other")
    found = noted(declared)
    assert found == declared
    assert found.to_thrift() == declared.to_thrift()


def test_compiled_group_bys_come_back_from_their_notes(pytestconfig: pytest.Config) -> None:
    compiled = [each.group_by for each in vectors(pytestconfig.getoption("--golden"))]
    assert {each.dialect.name for each in compiled} == {"airbnb", "zipline"}
    assert [noted(each) for each in compiled] == compiled


def test_record_that_was_changed_by_hand_has_no_declaration(store: KVStore) -> None:
    bare = GroupBy("t.bare", group_by("t.x").sources, ("user",), group_by("t.x").aggregations)
    assert declaration_of(bare) is None
    streamed(store, bare)
    assert "does not hold" in catalog(store)["t.bare"].reason
