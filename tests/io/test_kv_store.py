import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.api.records import GetRequest, PutRequest, TimedValue
from chronon_beam.io.kv_store import KVStore, MemoryStore, NullStore, StoredValue, open_store

HOUR = 3_600_000
names = itertools.count()


def tile(key: bytes, start_ms: int, value: bytes, size_ms: int = HOUR) -> PutRequest:
    return PutRequest(key, value, "D", start_ms + 5, start_ms, size_ms)


def row(key: bytes, ts_ms: int, value: bytes, position: str = "") -> PutRequest:
    return PutRequest(key, value, "D", ts_ms, ts_ms, 0, position)


def get(key: bytes, start_ms: int, end_ms: int, size_ms: int = HOUR) -> GetRequest:
    return GetRequest(key, "D", start_ms, end_ms, size_ms)


@pytest.fixture(params=["sqlite", "memory"])
def store(request, tmp_path):
    where = tmp_path / "s.db" if request.param == "sqlite" else f"test-{next(names)}"
    opened = open_store(f"{request.param}:{where}")
    yield opened
    opened.close()


def test_values_are_those_whose_time_is_in_the_range_sorted_by_time(store: KVStore):
    assert store.multi_put([tile(b"k", t * HOUR, b"%d" % t) for t in (3, -1, 2, 1)]) == [None] * 4
    assert store.multi_get([get(b"k", HOUR, 3 * HOUR), get(b"k", -HOUR, 0)]) == [
        [TimedValue(b"1", HOUR), TimedValue(b"2", 2 * HOUR)],
        [TimedValue(b"-1", -HOUR)],
    ]


def test_unknown_key_and_dataset_have_no_values(store: KVStore):
    store.create("D")
    assert store.multi_get([get(b"k", 0, 9), get(b"k", 0, 9)._replace(dataset="other")]) == [[], []]
    assert list(store.scan("D")) == list(store.scan("other")) == []


def test_last_write_of_a_tile_wins_within_and_across_batches(store: KVStore):
    store.multi_put([tile(b"k", 0, b"a"), tile(b"k", 0, b"b")])
    assert store.multi_get([get(b"k", 0, 1)]) == [[TimedValue(b"b", 0)]]
    store.multi_put([tile(b"k", 0, b"c")])
    assert store.multi_get([get(b"k", 0, 1)]) == [[TimedValue(b"c", 0)]]


def test_tiles_of_several_sizes_and_keys_do_not_touch_each_other(store: KVStore):
    store.multi_put([tile(b"k", 0, b"h"), tile(b"k", 0, b"d", 24 * HOUR), tile(b"k\0", 0, b"x")])
    assert store.multi_get([get(b"k", 0, 1), get(b"k", 0, 1, 24 * HOUR), get(b"k\0", 0, 1)]) == [
        [TimedValue(b"h", 0)],
        [TimedValue(b"d", 0)],
        [TimedValue(b"x", 0)],
    ]


def test_rows_of_one_time_stand_side_by_side_and_a_repeated_write_adds_none(store: KVStore):
    rows = [row(b"k", 5, b"a", "f@1"), row(b"k", 5, b"a", "f@2"), row(b"k", 4, b"c", "f@3")]
    for _ in range(2):
        store.multi_put(rows)
    assert store.multi_get([get(b"k", 0, 9, 0)]) == [
        [TimedValue(b"c", 4), TimedValue(b"a", 5), TimedValue(b"a", 5)]
    ]


def test_rows_without_a_position_are_never_replaced(store: KVStore):
    store.multi_put([row(b"k", 5, b"a"), row(b"k", 5, b"a")])
    assert len(store.multi_get([get(b"k", 0, 9, 0)])[0]) == 2


def test_scan_gives_all_by_key_size_and_time(store: KVStore):
    puts = [tile(b"b", 0, b"1"), tile(b"a", HOUR, b"2"), tile(b"a", 0, b"3"), row(b"a", 7, b"4")]
    store.multi_put([*puts, tile(b"a", 0, b"5")._replace(dataset="other")])
    assert list(store.scan("D")) == [
        StoredValue(b"a", 0, TimedValue(b"4", 7)),
        StoredValue(b"a", HOUR, TimedValue(b"3", 0)),
        StoredValue(b"a", HOUR, TimedValue(b"2", HOUR)),
        StoredValue(b"b", HOUR, TimedValue(b"1", 0)),
    ]


def test_one_batch_may_write_to_several_datasets(store: KVStore):
    store.multi_put([tile(b"k", 0, b"a"), tile(b"k", 0, b"b")._replace(dataset="E")])
    assert [each.value.value_bytes for each in store.scan("E")] == [b"b"]


def test_nothing_to_do_is_fine(store: KVStore):
    store.create("D")
    store.create("D")
    assert store.multi_put([]) == []
    assert store.multi_get([]) == []


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
    ]  # noqa: E501
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
