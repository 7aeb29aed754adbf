"""The KV store: what a job writes to and a fetcher reads from, opened by the scheme of its URI.

A store keeps a value per dataset, key, tile size and tile start. (With key and time alone, tiles of
several sizes that begin at one time would overwrite each other.) The last write of a tile counts.
Untiled rows, of tile size 0, are kept side by side, each under its position.

A new store subclasses `KVStore`, gets a scheme in `BUILT_IN` or an entry point, and passes the
tests in `io.testing`. The part of a store that a fetcher needs is `fetcher.readable_store`.
"""

import asyncio
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple, TypeVar

from chronon_beam.api.plugins import refuse_unknown
from chronon_beam.api.records import MAX_MS, MIN_MS, GetRequest, PutRequest, StoredValue, TimedValue
from chronon_beam.io.uri import opener_of, parse_uri

T = TypeVar("T", bound=Hashable)

BUILT_IN = {
    "sqlite": "chronon_beam.io.sqlite:open_sqlite",
    "null": "chronon_beam.io.kv_store:open_null",
    "memory": "chronon_beam.io.kv_store:open_memory",
    "bigtable": "chronon_beam.io.bigtable.open:open_bigtable",
}
"""`module:attribute` by scheme; called with the URI it returns a `KVStore`."""

GROUP = "chronon_beam.stores"
"""Entry points of other packages: name = scheme, object = callable from URI to `KVStore`."""


class Bounds(NamedTuple):
    """When collected requests are written: as soon as one of these bounds is reached.

    Attributes:
        rows: the number of requests; 0 writes each list as it comes.
        bytes: the bytes of their values.
        age_ms: how long the oldest request has waited. The end of a bundle writes all requests.
    """

    rows: int = 0
    bytes: int = 0
    age_ms: int = 0


class DatasetSize(NamedTuple):
    """How much a dataset holds.

    Attributes:
        values: the number of its values; where `exact` is false, it holds at least so many.
        keys: the number of distinct keys of these values.
        newest_ms: the latest time of these values; None if there are no values.
        exact: whether all values were counted.
    """

    values: int
    keys: int
    newest_ms: int | None
    exact: bool


COUNTED = 200_000
"""How many values `KVStore.held` reads at most."""


class KVStore(ABC):
    """Stores bytes by dataset, key and time; safe to use from several threads.

    `chronon_beam.io.testing` has the tests that every store passes.

    Attributes:
        bounds: how many requests a job collects before it calls `multi_put`.
        tries_again: whether `multi_put` itself repeats writes that may succeed later, so that a
            request which it gives back as failed has failed for good.
        retried: how many requests the store itself has sent again so far.
        patient: whether reads wait for a store that is down as long as writes do; jobs set it,
            where a reader rather has an error soon.
    """

    bounds = Bounds()
    tries_again = False
    retried = 0
    patient = False

    def reach(self) -> None:  # noqa: B027
        """Raise the client's error if the store is down; a store in this process does nothing."""

    def files(self) -> list[str]:
        """The local files that the store writes, there or to be made."""
        return []

    @abstractmethod
    def create(self, dataset: str) -> None:
        """Make the dataset, unless it exists; the first write makes it too."""

    @abstractmethod
    def multi_put(self, requests: list[PutRequest]) -> list[str | None]:
        """Write all requests; gives per request None if it is stored durably, else the reason.

        If it raises an error of the client, any of the requests may be stored or not. Writing the
        same requests again changes nothing.
        """

    @abstractmethod
    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        """The values of each request, in the order of the requests, each sorted by time.

        An unknown key or dataset has no values.
        """

    async def multi_get_async(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        """`multi_get` for an event loop; runs in a thread, unless a store overrides it."""
        return await asyncio.to_thread(self.multi_get, requests)

    @abstractmethod
    def scan(self, dataset: str) -> Iterator[StoredValue]:
        """All values of the dataset, each once, in an order that depends on the store."""

    def drop_before(self, dataset: str, before_ms: int) -> None:  # noqa: B027
        """Delete values of times before `before_ms`; a store that drops old values need not."""

    @abstractmethod
    def drop(self, dataset: str) -> None:
        """Delete all values of a dataset, if it exists."""

    def held(self, dataset: str, start_ms: int = MIN_MS, end_ms: int = MAX_MS) -> DatasetSize:
        """How much there is of times from `start_ms` on, before `end_ms`.

        Reads up to `COUNTED` values; a store that counts better overrides it.
        """
        read = list(islice(self.scan(dataset), COUNTED + 1))
        found = [v for v in read[:COUNTED] if start_ms <= v.value.ts_ms < end_ms]
        newest_ms = max((each.value.ts_ms for each in found), default=None)
        keys = {each.key_bytes for each in found}
        return DatasetSize(len(found), len(keys), newest_ms, len(read) <= COUNTED)

    def is_empty(self, dataset: str) -> bool:
        """Whether a dataset holds no value."""
        try:
            return next(iter(self.scan(dataset)), None) is None
        except FileNotFoundError:  # a store that is one file, before it was written to
            return True

    @abstractmethod
    def close(self) -> None:
        """Close connections; the store cannot be used afterwards."""


def open_store(uri: str) -> KVStore:
    """The store that `uri` names.

    That is `sqlite:PATH`, `bigtable://PROJECT/INSTANCE`, `memory:NAME`, `null:` or another's.

    Raises:
        ValueError: unknown scheme or parameter, or a malformed URI.
    """
    return opener_of(uri, "store", BUILT_IN, GROUP)(uri)


def failures_of(items: Iterable[T], reasons: Iterable[str | None]) -> dict[T, str]:
    """The items that have a reason why they failed, with the reason; see `KVStore.multi_put`."""
    pairs = zip(items, reasons, strict=True)
    return {item: reason for item, reason in pairs if reason is not None}


def tile_of(request: PutRequest) -> GetRequest:
    """The GetRequest of exactly the tile that `request` writes."""
    start_ms = request.tile_start_ms
    return GetRequest(
        request.key_bytes, request.dataset, start_ms, start_ms + 1, request.tile_size_ms
    )


def position_of(request: PutRequest) -> str:
    """The position that tells a row from other rows of its key and time; empty for tiles.

    A row without a position gets a random one, so that it is never taken for a repeated write.
    """
    if request.tile_size_ms or request.position:
        return request.position if not request.tile_size_ms else ""
    return uuid.uuid4().hex


class NullStore(KVStore):
    """Counts requests and keeps nothing, to measure what a pipeline costs without a store.

    Attributes:
        written: how many requests came.
    """

    def __init__(self) -> None:
        self.written = 0

    def create(self, dataset: str) -> None:
        """Nothing to do."""

    def multi_put(self, requests: list[PutRequest]) -> list[str | None]:
        """Takes all."""
        self.written += len(requests)
        return [None] * len(requests)

    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        """Has none."""
        return [[] for _ in requests]

    def scan(self, dataset: str) -> Iterator[StoredValue]:
        """Has none."""
        return iter(())

    def drop(self, dataset: str) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


_Slot = tuple[int, int, str]
"""Tile size, time, position."""

_Dataset = dict[bytes, dict[_Slot, bytes]]
_memories: dict[str, dict[str, _Dataset]] = {}
_memory_lock = threading.Lock()


class MemoryStore(KVStore):
    """Keeps values in the memory of this process; stores of one name share their values."""

    def __init__(self, name: str) -> None:
        with _memory_lock:
            self._datasets = _memories.setdefault(name, {})

    def create(self, dataset: str) -> None:
        """Make the dataset if there is none."""
        with _memory_lock:
            self._datasets.setdefault(dataset, {})

    def multi_put(self, requests: list[PutRequest]) -> list[str | None]:
        """Stores all."""
        with _memory_lock:
            for each in requests:
                values = self._datasets.setdefault(each.dataset, {}).setdefault(each.key_bytes, {})
                slot = (each.tile_size_ms, each.tile_start_ms, position_of(each))
                values[slot] = each.value_bytes
        return [None] * len(requests)

    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        """See `KVStore.multi_get`."""
        with _memory_lock:
            return [self._get(each) for each in requests]

    def _get(self, request: GetRequest) -> list[TimedValue]:
        values = self._datasets.get(request.dataset, {}).get(request.key_bytes, {})
        return [
            TimedValue(value, start)
            for (size, start, _), value in sorted(values.items())
            if size == request.tile_size_ms and request.start_ms <= start < request.end_ms
        ]

    def scan(self, dataset: str) -> Iterator[StoredValue]:
        """By key, tile size and time."""
        with _memory_lock:
            stored = [
                StoredValue(key, size, TimedValue(value, start))
                for key, values in sorted(self._datasets.get(dataset, {}).items())
                for (size, start, _), value in sorted(values.items())
            ]
        return iter(stored)

    def drop_before(self, dataset: str, before_ms: int) -> None:
        """See `KVStore.drop_before`."""
        with _memory_lock:
            for values in self._datasets.get(dataset, {}).values():
                for slot in [slot for slot in values if slot[1] < before_ms]:
                    del values[slot]

    def drop(self, dataset: str) -> None:
        """See `KVStore.drop`."""
        with _memory_lock:
            self._datasets.pop(dataset, None)

    def close(self) -> None:
        """The values stay until the process ends or `forget` is called."""

    @staticmethod
    def forget(name: str) -> None:
        """Empty the store of that name."""
        with _memory_lock:
            _memories.pop(name, None)


def open_null(uri: str) -> NullStore:
    """For `null:`."""
    refuse_unknown(parse_uri(uri).parameters, (), "null:")
    return NullStore()


def open_memory(uri: str) -> MemoryStore:
    """For `memory:NAME`."""
    parsed = parse_uri(uri)
    refuse_unknown(parsed.parameters, (), "memory:")
    return MemoryStore(parsed.location)
