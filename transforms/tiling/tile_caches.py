"""The tiles that a worker process keeps in memory, for all copies of a step, and how many."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import NamedTuple

from chronon_beam.transforms.tiling.tile_log import Size
from chronon_beam.transforms.tiling.window_tiles import WindowTiles


class WindowKey(NamedTuple):
    """Whose tiles: a step of a job, a shard, and the start of a window."""

    step: str
    shard: bytes
    start_ms: int


class TileCaches:
    """The WindowTiles of this process; each is checked against Beam's state at every use.

    A bundle takes them out while it uses them. It holds no lock while it reads state: a bundle that
    a runner has given up may wait for its state for ever, and must not hold up the next attempt.
    """

    def __init__(self) -> None:
        self._tiles: dict[WindowKey, WindowTiles] = {}
        self._sizes: dict[WindowKey, Size] = {}
        self._totals: dict[str, Size] = {}
        self._lock = Lock()

    @contextmanager
    def using(self, key: WindowKey, make: Callable[[], WindowTiles]) -> Iterator[WindowTiles]:
        """The tiles at `key`, which are back afterwards, unless an error is raised.

        Args:
            key: whose tiles.
            make: makes what holds them if there are none, or another bundle uses them.
        """
        with self._lock:
            found = self._tiles.pop(key, None)
        tiles = make() if found is None else found
        yield tiles
        with self._lock:
            self._tiles[key] = tiles

    def drop(self, key: WindowKey) -> None:
        """Forget the tiles at `key`."""
        with self._lock:
            self._tiles.pop(key, None)
            self._resize(key, Size(0, 0))
            self._sizes.pop(key, None)

    def resized(self, key: WindowKey, size: Size) -> Size:
        """Note how large the tiles at `key` are; gives how large all tiles of the step are."""
        with self._lock:
            return self._resize(key, size)

    def _resize(self, key: WindowKey, size: Size) -> Size:
        before = self._sizes.get(key, Size(0, 0))
        total = self._totals.get(key.step, Size(0, 0))
        self._sizes[key] = size
        total = Size(
            total.tiles + size.tiles - before.tiles,
            total.log_bytes + size.log_bytes - before.log_bytes,
        )
        self._totals[key.step] = total
        return total
