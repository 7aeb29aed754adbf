"""The Bigtable store on Google's emulator: the contract, zipline's layout, tables, limits."""

import asyncio
import base64
import json
import os
import pickle
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.cloud.bigtable import Client
from google.cloud.bigtable.column_family import GCRuleUnion

from chronon_beam.api.records import GetRequest, PutRequest, StoredValue, TimedValue
from chronon_beam.io.bigtable.errors import BigtableError
from chronon_beam.io.bigtable.tables import BigtableTables
from chronon_beam.io.kv_store import KVStore, open_store
from chronon_beam.io.testing import NOON, KVStoreContract, tile

GOLDEN = Path(__file__).parents[1] / "golden" / "vectors" / "zipline"
DAY_MS = 86_400_000


class TestBigtable(KVStoreContract):
    takes_times_before_1970 = False

    @pytest.fixture
    def store(self, bigtable: str) -> Iterator[KVStore]:
        store = open_store(f"{bigtable}?max_age=none&rows=30")
        yield store
        store.close()


def plain_table(bigtable: str, table: str) -> Any:
    """Google's own client on a table of the instance that a URI names."""
    _, _, project, instance = bigtable.split("/")
    return Client(project=project, admin=True).instance(instance).table(table)


def cells(bigtable: str, table: str, prefix: bytes) -> dict[bytes, dict[bytes, list[Any]]]:
    return {
        row.row_key: row.cells["cf"]
        for row in plain_table(bigtable, table).read_rows()
        if row.row_key.startswith(prefix)
    }


TILED = [path for path in sorted(GOLDEN.glob("*.json")) if "tile_bytes" in path.read_text()]


@pytest.mark.parametrize("path", TILED, ids=lambda path: path.stem)
def test_tiles_of_zipline_lie_where_zipline_looks_for_them(bigtable: str, path: Path) -> None:
    case = json.loads(path.read_text())
    dataset, size_ms = case["streaming_dataset"], case["tile_size_millis"]
    expected: dict[bytes, dict[int, bytes]] = {}
    puts = []
    for event in case["events"]:
        key, tile_bytes = (base64.b64decode(event[n]) for n in ("entity_key_bytes", "tile_bytes"))
        start_ms = event["tile_start"]
        if start_ms < 0:  # Bigtable has no such time: see docs/bigtable.md
            continue
        puts.append(PutRequest(key, tile_bytes, dataset, event["put_ts"], start_ms, size_ms))
        day_ms = event["put_ts"] - event["put_ts"] % DAY_MS
        row = dataset.encode() + b"#" + key + f"#{day_ms}#{size_ms}".encode()
        expected.setdefault(row, {})[start_ms * 1000] = tile_bytes
    store = open_store(f"{bigtable}?max_age=none")
    assert set(store.multi_put(puts)) == {None}
    store.close()
    found = cells(bigtable, "GROUPBY_STREAMING", dataset.encode())
    assert {
        row: {cell.timestamp_micros: cell.value for cell in columns[b"value"]}
        for row, columns in found.items()
    } == expected
    assert all(list(columns) == [b"value"] for columns in found.values())


def test_batch_values_lie_where_zipline_looks_for_them(bigtable: str) -> None:
    store = open_store(f"{bigtable}?max_age=none")
    store.multi_put([tile("LAYOUT_BATCH", b"k\0#", NOON, b"ir", 1)])
    store.close()
    (columns,) = cells(bigtable, "GROUPBY_BATCH", b"LAYOUT_BATCH#k\0#").values()
    assert [(c.timestamp_micros, c.value) for c in columns[b"value"]] == [(NOON * 1000, b"ir")]


@pytest.fixture
def new_instance(bigtable: str) -> str:
    return f"{bigtable}-{time.monotonic_ns()}"


def rule_of(bigtable: str, table: str) -> Any:
    return plain_table(bigtable, table).list_column_families()["cf"].gc_rule


def test_tables_are_made_with_ziplines_rules_and_kept_as_they_are(
    new_instance: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(new_instance)
    store.create("RULES_STREAMING")
    store.create("CHRONON_METADATA")
    rule = rule_of(new_instance, "GROUPBY_STREAMING")
    assert isinstance(rule, GCRuleUnion)
    age, versions = rule.rules
    assert age.max_age.days == 5
    assert versions.max_num_versions == 10_000
    assert rule_of(new_instance, "CHRONON_METADATA").max_num_versions == 10_000
    store.close()
    store = open_store(f"{new_instance}?max_age=none")
    store.create("RULES_STREAMING")
    store.close()
    assert isinstance(rule_of(new_instance, "GROUPBY_STREAMING"), GCRuleUnion)
    assert "another garbage collection rule" in caplog.text


def test_rules_are_applied_to_old_cells(new_instance: str) -> None:
    """The emulator forgets to, for rules that a table was made with."""
    store = open_store(new_instance)
    now_ms = int(time.time() * 1000)
    ages_ms = {"old": 6 * DAY_MS, "young": 4 * DAY_MS}
    store.create("OLD_STREAMING")
    store.multi_put(
        [tile("OLD_STREAMING", b"k", now_ms - age, name.encode()) for name, age in ages_ms.items()]
    )
    deadline = time.monotonic() + 20
    while len(left := list(store.scan("OLD_STREAMING"))) == 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert [each.value.value_bytes for each in left] == [b"young"]
    store.close()


def test_values_that_the_rule_will_drop_are_told_of_once(
    new_instance: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(new_instance)
    for _ in range(2):
        store.multi_put([tile("OLD_STREAMING", b"k", NOON, b"v"), tile("OTHER", b"k", 0, b"v")])
    assert caplog.text.count("values of OLD_STREAMING that are further back than max_age") == 1
    store.close()


def test_family_is_added_to_a_table_that_lacks_it(new_instance: str) -> None:
    plain_table(new_instance, "GROUPBY_BATCH").create()
    store = open_store(new_instance)
    store.create("X_BATCH")
    assert store.multi_put([tile("X_BATCH", b"k", int(time.time() * 1000), b"v", 1)]) == [None]
    store.close()


def test_family_that_another_worker_adds_at_the_same_time_is_fine(
    new_instance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(new_instance)
    store.create("X_BATCH")
    late = open_store(f"{new_instance}?in_flight=2")
    monkeypatch.setattr(BigtableTables, "_families", lambda self, table: {})
    late.create("X_BATCH")  # it has seen the table without the family
    store.close()
    late.close()


def test_keys_and_values_that_bigtable_cannot_take_fail_alone(bigtable: str) -> None:
    store = open_store(f"{bigtable}?max_age=none")
    good = tile("LIMITS_STREAMING", b"k", NOON, b"v")
    bad = [
        good._replace(key_bytes=b"k" * 5000),
        good._replace(tile_start_ms=1 << 60),
        good._replace(dataset="A#B"),
        good._replace(dataset="no name for a table"),
    ]
    reasons = store.multi_put([bad[0], good, *bad[1:]])
    assert reasons[1] is None
    expected = ["row key of 50", "no times", "name with #", "no name for a table"]
    for text, reason in zip(expected, [reasons[0], *reasons[2:]], strict=True):
        assert reason is not None
        assert text in reason
    assert list(store.scan("LIMITS_STREAMING")) == [
        StoredValue(b"k", 3_600_000, TimedValue(b"v", NOON))
    ]
    store.close()


def test_store_pickles_and_shares_one_connection(bigtable: str) -> None:
    store = open_store(f"{bigtable}?max_age=none")
    store.multi_put([tile("PICKLED_STREAMING", b"k", NOON, b"v")])
    copy = pickle.loads(pickle.dumps(store))
    store.close()
    assert len(list(copy.scan("PICKLED_STREAMING"))) == 1
    copy.close()


def test_connection_lives_as_long_as_a_store_that_uses_it(bigtable: str) -> None:
    first, second = (open_store(f"{bigtable}?max_age=none") for _ in range(2))
    first.close()
    first.close()
    assert second.multi_put([tile("SHARED_STREAMING", b"k", NOON, b"v")]) == [None]
    second.close()


def test_many_rows_are_read_in_requests_that_bigtable_takes(bigtable: str) -> None:
    """A request of 512 KiB is refused; the emulator takes it."""
    store = open_store(f"{bigtable}?max_age=none")
    puts = [tile("MANY_STREAMING", b"%04d" % i + b"k" * 1000, NOON, b"%d" % i) for i in range(900)]
    assert set(store.multi_put(puts)) == {None}
    asked = [GetRequest(p.key_bytes, p.dataset, NOON, NOON + 1, 3_600_000) for p in puts]
    found = store.multi_get(asked)
    assert found == [[TimedValue(put.value_bytes, NOON)] for put in puts]
    store.close()


def test_forked_process_has_a_connection_of_its_own(bigtable: str) -> None:
    store = open_store(f"{bigtable}?max_age=none")
    store.multi_put([tile("FORKED_STREAMING", b"k", NOON, b"v")])
    asked = [GetRequest(b"k", "FORKED_STREAMING", NOON, NOON + 1, 3_600_000)]
    for _ in range(3):
        asyncio.run(store.multi_get_async(asked))  # starts threads, which a fork does not take on
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(20)
            read = asyncio.run(store.multi_get_async(asked)) == store.multi_get(asked)
            code = (
                0 if read and store.multi_put([tile("F_BATCH", b"k", NOON, b"v")]) == [None] else 2
            )
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.multi_get(asked) == [[TimedValue(b"v", NOON)]]
    store.close()


def test_store_that_is_down_is_told_from_one_that_is_empty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", "localhost:1")
    store = open_store("bigtable://p/i?read_wait=300ms&wait=300ms")
    with pytest.raises(BigtableError, match=r"projects/p/instances/i.*cannot be read: UNAVAIL"):
        store.multi_get([GetRequest(b"k", "X_STREAMING", NOON, NOON + 1, 1)])
    (reason,) = store.multi_put([tile("X_STREAMING", b"k", NOON, b"v")])
    assert reason is not None
    assert reason.startswith("Bigtable table GROUPBY_STREAMING: UNAVAILABLE")
    store.close()
