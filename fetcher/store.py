"""What reading back needs of a KV store; `chronon_beam.io.kv_store.KVStore` is one."""

from typing import Protocol

from chronon_beam.api.records import GetRequest, PutRequest, TimedValue


class Reads(Protocol):
    """A store that can be read."""

    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        """Values of each request, in request order."""
        ...

    async def multi_get_async(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        """The same, awaited."""
        ...


class Store(Reads, Protocol):
    """A store that can be written too."""

    def create(self, dataset: str) -> None:
        """Make room for a dataset."""
        ...

    def drop_before(self, dataset: str, before_ms: int) -> None:
        """Let go of values from before that time."""
        ...

    def multi_put(self, requests: list[PutRequest]) -> list[str | None]:
        """Write; None or a reason for each."""
        ...
