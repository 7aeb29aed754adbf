"""A store whose client may be killed between any two cells of a write."""

from chronon_beam.api.records import PutRequest
from chronon_beam.io import kv_store
from chronon_beam.io.kv_store import Bounds, MemoryStore

ENOUGH = 1 << 30


class Cut(BaseException):
    """An attempt ends here, as by kill -9."""


class Fragile(MemoryStore):
    """A store that collects requests, and whose client may be killed after any cell."""

    bounds = Bounds(rows=1000, bytes=1 << 20, age_ms=1 << 30)
    cells_left = ENOUGH

    def multi_put(self, requests: list[PutRequest]) -> list[str | None]:
        for request in requests:
            if Fragile.cells_left == 0:
                raise Cut
            Fragile.cells_left -= 1
            super().multi_put([request])
        return [None] * len(requests)


kv_store.BUILT_IN["fragile"] = "fragile:open_fragile"


def open_fragile(uri: str) -> Fragile:
    return Fragile(uri)
