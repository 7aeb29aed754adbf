"""A cache of batch values: they change once a day, so most requests need not read them.

Source: the batch IR cache of `ai.chronon.online.FetcherCache`, whose entries do not expire.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import NamedTuple

from chronon_beam.api.records import GetRequest, TimedValue
from chronon_beam.fetcher.readable_store import ReadableStore


class _CachedValues(NamedTuple):
    until_s: float
    values: list[TimedValue]


class BatchCache:
    """A store whose batch values are cached, by dataset, key and upload.

    A full cache drops the least recently used values. Each upload has values of its own, so the
    values of a new upload are read at once.

    Args:
        store: the store to read; tiles and rows are always read from it.
        capacity: the most values in the cache.
        max_age_s: how long a value stays in the cache.
        clock: the time in seconds.

    Attributes:
        hits: how many batch values came from the cache.
        misses: how many were read from the store.
    """

    def __init__(
        self,
        store: ReadableStore,
        capacity: int = 10_000,
        max_age_s: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.hits = self.misses = 0
        self._store, self._capacity = store, capacity
        self._max_age_s, self._clock = max_age_s, clock
        self._known: OrderedDict[GetRequest, _CachedValues] = OrderedDict()
        self._lock = threading.Lock()

    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        """See `ReadableStore.multi_get`."""
        if not any(map(_is_batch, requests)):
            return self._store.multi_get(requests)
        cached = self._recall(requests)
        missing = _missing(requests, cached)
        return self._completed(requests, cached, self._store.multi_get(missing))

    async def multi_get_async(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        """See `ReadableStore.multi_get_async`."""
        if not any(map(_is_batch, requests)):
            return await self._store.multi_get_async(requests)
        cached = self._recall(requests)
        missing = _missing(requests, cached)
        return self._completed(requests, cached, await self._store.multi_get_async(missing))

    def _recall(self, requests: list[GetRequest]) -> list[list[TimedValue] | None]:
        now_s = self._clock()
        with self._lock:
            return [self._one(request, now_s) for request in requests]

    def _one(self, request: GetRequest, now_s: float) -> list[TimedValue] | None:
        if not _is_batch(request):
            return None
        known = self._known.get(request)
        if known is None or known.until_s <= now_s:
            self.misses += 1
            return None
        self.hits += 1
        self._known.move_to_end(request)
        return known.values

    def _completed(
        self,
        requests: list[GetRequest],
        cached: list[list[TimedValue] | None],
        found: list[list[TimedValue]],
    ) -> list[list[TimedValue]]:
        read: Iterator[list[TimedValue]] = iter(found)
        until_s = self._clock() + self._max_age_s
        answers = []
        with self._lock:
            for request, known in zip(requests, cached, strict=True):
                values = next(read) if known is None else known
                if known is None and _is_batch(request):
                    self._known[request] = _CachedValues(until_s, values)
                    self._known.move_to_end(request)
                answers.append(values)
            while len(self._known) > self._capacity:
                self._known.popitem(last=False)
        return answers


def _is_batch(request: GetRequest) -> bool:
    return request.dataset.endswith("_BATCH")


def _missing(requests: list[GetRequest], cached: list[list[TimedValue] | None]) -> list[GetRequest]:
    return [r for r, known in zip(requests, cached, strict=True) if known is None]
