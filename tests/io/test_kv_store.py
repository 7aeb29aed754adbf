"""The stores in this process and SQLite pass the contract; how stores are found by scheme."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.api.records import GetRequest, PutRequest, StoredValue, TimedValue
from chronon_beam.io.kv_store import MemoryStore, NullStore, open_store
from chronon_beam.io.testing import KVStoreContract

HOUR = 3_600_000
names = itertools.count()


def tile(key: bytes, start_ms: int, value: bytes, size_ms: int = HOUR) -> PutRequest:
    return PutRequest(key, value, "D", start_ms + 5, start_ms, size_ms)


def row(key: bytes, ts_ms: int, value: bytes, position: str = "") -> PutRequest:
    return PutRequest(key, value, "D", ts_ms, ts_ms, 0, position)


def get(key: bytes, start_ms: int, end_ms: int, size_ms: int = HOUR) -> GetRequest:
    return GetRequest(key, "D", start_ms, end_ms, size_ms)


class TestSqlite(KVStoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        opened = open_store(f"sqlite:{tmp_path}/s.db")
        yield opened
        opened.close()


class TestMemory(KVStoreContract):
    @pytest.fixture
    def store(self):
        yield open_store("memory:contract")
        MemoryStore.forget("contract")


@pytest.mark.parametrize("scheme", ["sqlite", "memory"])
def test_scan_gives_all_by_key_size_and_time(scheme, tmp_path):
    store = open_store(f"{scheme}:{tmp_path}/s.db")
    puts = [tile(b"b", 0, b"1"), tile(b"a", HOUR, b"2"), tile(b"a", 0, b"3"), row(b"a", 7, b"4")]
    store.multi_put([*puts, tile(b"a", 0, b"5")._replace(dataset="other")])
    assert list(store.scan("D")) == [
        StoredValue(b"a", 0, TimedValue(b"4", 7)),
        StoredValue(b"a", HOUR, TimedValue(b"3", 0)),
        StoredValue(b"a", HOUR, TimedValue(b"2", HOUR)),
        StoredValue(b"b", HOUR, TimedValue(b"1", 0)),
    ]
    store.close()


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"", b"a", b"a\0", b"b"]),
            st.sampled_from([0, HOUR]),
            st.integers(-3, 3),
            st.sampled_from(["1", "2"]),
            st.binary(max_size=3),
        )
    )
)
def test_sqlite_and_memory_hold_the_same(tmp_path_factory, puts):
    requests = [
        PutRequest(k, v, "D", t, t, size, p if not size else "") for k, size, t, p, v in puts
    ]
    stores = [
        open_store(f"memory:test-{next(names)}"),
        open_store(f"sqlite:{tmp_path_factory.mktemp('same')}/s.db"),
    ]
    found = []
    for store in stores:
        store.create("D")
        store.multi_put(requests[: len(requests) // 2])
        store.multi_put(requests[len(requests) // 2 :])
        asked = [get(k, -2, 3, size) for k in (b"a", b"a\0") for size in (0, HOUR)]
        found.append((list(store.scan("D")), store.multi_get(asked)))
        store.close()
    assert found[0] == found[1]


def test_null_store_counts_and_keeps_nothing():
    store = open_store("null:")
    assert isinstance(store, NullStore)
    assert store.multi_put([tile(b"k", 0, b"a")]) == [None]
    assert store.written == 1
    assert store.multi_get([get(b"k", 0, 1)]) == [[]]


def test_memory_stores_of_one_name_share_until_forgotten():
    open_store("memory:shared").multi_put([tile(b"k", 0, b"a")])
    assert len(list(open_store("memory:shared").scan("D"))) == 1
    MemoryStore.forget("shared")
    assert list(open_store("memory:shared").scan("D")) == []


@pytest.mark.parametrize("uri", ["sqlite:a.db?mode=ro", "null:?x=1", "memory:a?x=1"])
def test_unknown_parameters_are_refused(uri):
    with pytest.raises(ValueError, match="has no parameter"):
        open_store(uri)


def test_unknown_scheme_lists_the_known_ones():
    with pytest.raises(
        ValueError, match=r"no store is registered for 'sqllite:'.*memory:.*sqlite:"
    ):
        open_store("sqllite:a.db")
