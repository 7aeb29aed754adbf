"""Any store, whose client dies after so many cells of tiles, rows and what stands beside them."""

import threading
from collections.abc import Iterator

from chronon_beam.api.records import GetRequest, PutRequest, StoredValue, TimedValue
from chronon_beam.io import kv_store
from chronon_beam.io.kv_store import KVStore, open_store

ENOUGH = 1 << 30


class Killed(BaseException):
    """The process ends here, as by kill -9: nothing of the product catches this."""


class Killable(KVStore):
    """The store of another URI; cells of ledgers do not count."""

    cells_left = ENOUGH

    def __init__(self, uri: str) -> None:
        self._store = open_store(uri)
        self.bounds, self.tries_again = self._store.bounds, self._store.tries_again

    def create(self, dataset: str) -> None:
        self._store.create(dataset)

    def multi_put(self, requests: list[PutRequest]) -> list[str | None]:
        if any(each.dataset.endswith("_RUNS") for each in requests):
            return self._store.multi_put(requests)
        left, Killable.cells_left = Killable.cells_left, Killable.cells_left - len(requests)
        if left < len(requests):
            Killable.cells_left = 0
            self._store.multi_put(requests[:left])
            self.die()
        return self._store.multi_put(requests)

    def die(self) -> None:
        raise Killed

    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        return self._store.multi_get(requests)

    def scan(self, dataset: str) -> Iterator[StoredValue]:
        return self._store.scan(dataset)

    def drop(self, dataset: str) -> None:
        self._store.drop(dataset)

    def close(self) -> None:
        self._store.close()


class Halting(Killable):
    """Waits for ever where the other one dies, so that its process can be killed at that point."""

    def die(self) -> None:
        threading.Event().wait()


kv_store.BUILT_IN["killable"] = "killable:open_killable"


def open_killable(uri: str) -> Killable:
    """For `killable:URI`."""
    return Killable(uri.partition(":")[2])


def open_halting(uri: str) -> Halting:
    """For `halting:CELLS:URI`."""
    _, cells, of = uri.split(":", 2)
    Killable.cells_left = int(cells)
    return Halting(of)
