"""The cache of batch values: what is read again, and when."""

import asyncio

import pytest

from chronon_beam.api.records import GetRequest, PutRequest, TimedValue
from chronon_beam.fetcher.batch_cache import BatchCache
from chronon_beam.io.kv_store import MemoryStore

END_MS = 86_400_000


class Watched(MemoryStore):
    """Notes what it is asked for."""

    def __init__(self) -> None:
        super().__init__("watched")
        self.asked: list[list[GetRequest]] = []

    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        self.asked.append(requests)
        return super().multi_get(requests)


def batch(key: bytes, end_ms: int = END_MS) -> GetRequest:
    return GetRequest(key, "X_BATCH", end_ms, end_ms + 1, 1)


def stream(key: bytes) -> GetRequest:
    return GetRequest(key, "X_STREAMING", END_MS, END_MS + 1, 5)


@pytest.fixture
def store():
    store = Watched()
    for key in (b"a", b"b", b"c"):
        store.multi_put([PutRequest(key, b"ir " + key, "X_BATCH", END_MS, END_MS, 1)])
        store.multi_put([PutRequest(key, b"tile " + key, "X_STREAMING", END_MS, END_MS, 5)])
    yield store
    MemoryStore.forget("watched")


def test_batch_values_are_read_once_and_the_stream_always(store: Watched) -> None:
    cache = BatchCache(store)
    asked = [batch(b"a"), stream(b"a"), batch(b"none"), stream(b"b"), batch(b"b")]
    expected = MemoryStore("watched").multi_get(asked)
    assert cache.multi_get(asked) == expected
    assert cache.multi_get(asked) == expected
    assert asyncio.run(cache.multi_get_async(asked)) == expected
    assert store.asked == [asked, *[[stream(b"a"), stream(b"b")]] * 2]
    assert (cache.hits, cache.misses) == (6, 3)


def test_new_batch_is_read_at_once(store: Watched) -> None:
    cache = BatchCache(store)
    cache.multi_get([batch(b"a")])
    store.multi_put([PutRequest(b"a", b"new", "X_BATCH", 2 * END_MS, 2 * END_MS, 1)])
    assert cache.multi_get([batch(b"a", 2 * END_MS)]) == [[TimedValue(b"new", 2 * END_MS)]]


def test_the_least_recently_used_is_forgotten_first(store: Watched) -> None:
    cache = BatchCache(store, capacity=2)
    for key in (b"a", b"b", b"a", b"c", b"a", b"b"):
        cache.multi_get([batch(key)])
    assert [asked[0].key_bytes for asked in store.asked if asked] == [b"a", b"b", b"c", b"b"]


def test_values_are_read_anew_after_their_time(store: Watched) -> None:
    now_s = [0.0]
    cache = BatchCache(store, max_age_s=10, clock=lambda: now_s[0])
    cache.multi_get([batch(b"a")])
    store.multi_put([PutRequest(b"a", b"again", "X_BATCH", END_MS, END_MS, 1)])
    assert cache.multi_get([batch(b"a")]) == [[TimedValue(b"ir a", END_MS)]]
    now_s[0] = 10.0
    assert cache.multi_get([batch(b"a")]) == [[TimedValue(b"again", END_MS)]]
