"""What a fetcher needs of a KV store, as Protocols; `chronon_beam.io.kv_store.KVStore` has all."""

from collections.abc import Iterator
from typing import Protocol

from chronon_beam.api.records import GetRequest, PutRequest, StoredValue, TimedValue


class ReadableStore(Protocol):
    """A store that a fetcher reads."""

    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        """The values of each request, in the order of the requests."""
        ...

    async def multi_get_async(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        """`multi_get` for an event loop."""
        ...


class ListedStore(ReadableStore, Protocol):
    """A store whose values can be listed."""

    def scan(self, dataset: str) -> Iterator[StoredValue]:
        """All values of the dataset."""
        ...


class WritableStore(ReadableStore, Protocol):
    """A store to which a job also writes what a fetcher must know."""

    def create(self, dataset: str) -> None:
        """Make the dataset, unless it exists."""
        ...

    def drop_before(self, dataset: str, before_ms: int) -> None:
        """Delete the dataset's values of times before `before_ms`."""
        ...

    def multi_put(self, requests: list[PutRequest]) -> list[str | None]:
        """Write all requests; gives per request None, or the reason why it failed."""
        ...
