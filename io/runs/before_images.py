"""Writes the tiles of a run, merged with those of earlier runs; see `chronon_beam.io.runs`."""

from collections.abc import Callable, Container, Iterable, Sequence
from typing import NamedTuple, TypeVar

from chronon_beam.aggregator.codecs import complete
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.records import (
    Correction,
    GetRequest,
    Phase,
    PutRequest,
    StoredValue,
    TimedValue,
)
from chronon_beam.io.kv_store import KVStore, failures_of, tile_of

IMAGES = "{}_BEFORE"
"""Name of the dataset that holds the before-images of a dataset."""

UNMERGEABLE = "cannot be merged with the tile that is stored"
"""How the reason of a write begins that fails each time when it is repeated."""

_MOST_CACHED = 200_000
_BATCH = 500

_T = TypeVar("_T", PutRequest, Correction)


class BeforeImage(NamedTuple):
    """A tile as it was before a run first wrote it.

    Attributes:
        run: the id of that run, the last one that has written the tile.
        tile: the tile's bytes; None if there was no tile.
    """

    run: str
    tile: bytes | None

    def pack(self) -> bytes:
        """The id, a line feed, and the tile's bytes if there are any."""
        return self.run.encode() + (b"" if self.tile is None else b"\n" + self.tile)

    @staticmethod
    def unpack(value: bytes) -> "BeforeImage":
        r"""The image that `pack` made.

        >>> BeforeImage.unpack(BeforeImage("r", b"\n").pack())
        BeforeImage(run='r', tile=b'\n')
        """
        run, feed, tile = value.partition(b"\n")
        return BeforeImage(run.decode(), tile if feed else None)


class Adding(NamedTuple):
    """A run that adds to the tiles of earlier ones.

    Attributes:
        run: its id.
        replaces: the ids of the unfinished runs whose events it reads again; it takes over their
            images.
    """

    run: str
    replaces: frozenset[str] = frozenset()


class AddingWriter:
    """Writes the tiles of a run, each merged with its before-image.

    Before a run first writes a tile, it reads the stored tile, and stores that as the tile's image.
    An image stays the same as long as the run lasts, so it is kept in memory. A merged tile is
    complete if the run's own tile is.

    Args:
        store: where the tiles are.
        plan: how tiles are merged.
        adding: the run.
    """

    def __init__(self, store: KVStore, plan: Plan, adding: Adding) -> None:
        self._store, self._plan, self._adding = store, plan, adding
        self._images: dict[GetRequest, bytes | None] = {}

    def multi_put(self, requests: list[PutRequest]) -> list[str | None]:
        """As `KVStore.multi_put`; of several requests for one tile only the last is written."""
        tiles = [tile_of(each) for each in requests]
        newest = dict(zip(tiles, requests, strict=True))
        merged = self._merge_all(list(newest), list(newest.values()))
        reasons = dict(zip(newest, _hand_on(merged, self._store.multi_put), strict=True))
        return [reasons[tile] for tile in tiles]

    def correct(
        self,
        correct: Callable[[list[Correction]], list[str | None]],
        corrections: list[Correction],
    ) -> list[str | None]:
        """Store the images of the tiles, then call `correct`.

        Corrections that hold whole tiles are merged with the images first. Those of single events
        are not: `correct` itself merges them into the stored tile.
        """
        events = {i for i, each in enumerate(corrections) if each.phase is Phase.CLOSED_FOR_GOOD}
        requests = [each.request for each in corrections]
        merged = self._merge_all([tile_of(each) for each in requests], requests, events)
        ready = [
            request if isinstance(request, str) else each._replace(request=request)
            for each, request in zip(corrections, merged, strict=True)
        ]
        return _hand_on(ready, correct)

    def _merge_all(
        self,
        tiles: Sequence[GetRequest],
        requests: Sequence[PutRequest],
        events: Container[int] = (),
    ) -> list[PutRequest | str]:
        """Per request the one with the merged tile, or the reason why it cannot be stored.

        Args:
            tiles: the tile of each request.
            requests: several requests for one tile are each merged with the tile's image.
            events: the indices of requests that hold a single event; these are not merged.
        """
        failed = self._load_images(dict(zip(tiles, requests, strict=True)))
        return [
            failed.get(tile) or (each if index in events else self._merge(tile, each))
            for index, (tile, each) in enumerate(zip(tiles, requests, strict=True))
        ]

    def _merge(self, tile: GetRequest, request: PutRequest) -> PutRequest | str:
        image = self._images[tile]
        if image is None:
            return request
        tiles = self._plan.tiles
        try:
            accumulator, is_complete = tiles.decode(request.value_bytes)
            union = self._plan.aggregator.merge(tiles.decode(image)[0], accumulator)
            value = tiles.encode(union)
        except ValueError as error:  # lists of two lengths, for one
            return f"{UNMERGEABLE}: {error}"
        return request._replace(value_bytes=complete(value) if is_complete else value)

    def _load_images(self, newest: dict[GetRequest, PutRequest]) -> dict[GetRequest, str]:
        """Put the images of tiles into memory, and into the store where they are not there yet.

        Returns:
            The reason for each tile whose image could not be stored.
        """
        if len(self._images) > _MOST_CACHED:
            self._images.clear()
        unknown = [tile for tile in newest if tile not in self._images]
        failed: dict[GetRequest, str] = {}
        for at in range(0, len(unknown), _BATCH):
            tiles = unknown[at : at + _BATCH]
            images = self._images_of(tiles, *self._read(tiles))
            failed |= self._store_images({tile: newest[tile] for tile in images}, images)
        return failed

    def _read(self, tiles: list[GetRequest]) -> tuple[list[bytes | None], list[bytes | None]]:
        """The stored tiles, and their images. The image of a tile that is not stored is None."""
        stored = [_only(values) for values in self._store.multi_get(tiles)]
        of_images = [
            tile._replace(dataset=IMAGES.format(tile.dataset))
            for tile, value in zip(tiles, stored, strict=True)
            if value is not None
        ]
        images = iter(self._store.multi_get(of_images) if of_images else [])
        return stored, [None if value is None else _only(next(images)) for value in stored]

    def _images_of(
        self, tiles: list[GetRequest], stored: list[bytes | None], packed_images: list[bytes | None]
    ) -> dict[GetRequest, bytes | None]:
        """The images to store. Those that this run has stored before go into memory only."""
        new: dict[GetRequest, bytes | None] = {}
        for tile, value, packed in zip(tiles, stored, packed_images, strict=True):
            image = None if packed is None else BeforeImage.unpack(packed)
            if image is not None and image.run == self._adding.run:
                self._images[tile] = image.tile
            elif image is not None and image.run in self._adding.replaces:
                new[tile] = image.tile
            else:
                new[tile] = value
        return new

    def _store_images(
        self, requests: dict[GetRequest, PutRequest], images: dict[GetRequest, bytes | None]
    ) -> dict[GetRequest, str]:
        puts = [
            request._replace(
                dataset=IMAGES.format(request.dataset),
                value_bytes=BeforeImage(self._adding.run, images[tile]).pack(),
            )
            for tile, request in requests.items()
        ]
        failed = failures_of(list(images), self._store.multi_put(puts))
        self._images |= {tile: image for tile, image in images.items() if tile not in failed}
        return failed


def take_back(store: KVStore, dataset: str, runs: Iterable[str], nothing: bytes) -> int:
    """Put tiles back to what they were before unfinished runs wrote them.

    Args:
        store: where the tiles are.
        dataset: the tiles' dataset.
        runs: the ids of those runs and of the runs that they replaced.
        nothing: a tile without events, for tiles that did not exist before.

    Returns:
        How many tiles were written.

    Raises:
        RuntimeError: the store did not take a tile.
    """
    unwanted, done = frozenset(runs), 0
    puts: list[PutRequest] = []
    for stored in store.scan(IMAGES.format(dataset)):
        image = BeforeImage.unpack(stored.value.value_bytes)
        if image.run in unwanted:
            puts.append(_former(stored, dataset, nothing if image.tile is None else image.tile))
        if len(puts) == _BATCH:
            done += _put_all(store, puts)
            puts = []
    return done + _put_all(store, puts)


def _former(stored: StoredValue, dataset: str, tile: bytes) -> PutRequest:
    start_ms = stored.value.ts_ms
    return PutRequest(stored.key_bytes, tile, dataset, start_ms, start_ms, stored.tile_size_ms)


def _put_all(store: KVStore, puts: list[PutRequest]) -> int:
    reasons = [reason for reason in store.multi_put(puts) if reason is not None]
    if reasons:
        raise RuntimeError(f"what an unfinished run has written cannot be taken back: {reasons[0]}")
    return len(puts)


def _only(values: list[TimedValue]) -> bytes | None:
    return values[0].value_bytes if values else None


def _hand_on(
    ready: Sequence[_T | str], take: Callable[[list[_T]], list[str | None]]
) -> list[str | None]:
    """Call `take` with all that is no reason; gives these reasons and those of `take`, in order."""
    reasons = iter(take([each for each in ready if not isinstance(each, str)]))
    return [each if isinstance(each, str) else next(reasons) for each in ready]
