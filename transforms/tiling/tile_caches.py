"""The tiles that a worker process keeps in memory between bundles, and how many there are."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import NamedTuple

from chronon_beam.transforms.tiling.tile_log import Size
from chronon_beam.transforms.tiling.window_tiles import WindowTiles


class WindowKey(NamedTuple):
    """Which tiles: those of a step of a job, a shard, and the window that starts at `start_ms`."""

    step: str
    shard: bytes
    start_ms: int


class TileCaches:
    """The WindowTiles of this process; each compares itself with Beam's state at every use.

    A bundle takes WindowTiles out of here while it uses them. It holds no lock while it reads
    state: a bundle that a runner has given up may wait for its state for ever, and must not hold up
    the next attempt, which makes new WindowTiles.
    """

    def __init__(self) -> None:
        self._tiles: dict[WindowKey, WindowTiles] = {}
        self._sizes: dict[WindowKey, Size] = {}
        self._totals: dict[str, Size] = {}
        self._lock = Lock()

    @contextmanager
    def using(self, key: WindowKey, make: Callable[[], WindowTiles]) -> Iterator[WindowTiles]:
        """Take the tiles at `key` out, and put them back afterwards, unless an error is raised.

        Args:
            key: which tiles.
            make: makes WindowTiles if none are here: they are new, or another bundle uses them.
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

    def resize(self, key: WindowKey, size: Size) -> Size:
        """Record the size of the tiles at `key`; gives the size of all tiles of the step."""
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
