"""Corrections to a KV store: late events are merged into the tile that is stored.

`transforms.tiling.life` says when a late event is merged. `Correction.phase` says which events a
correction holds, and so what it does:

    CLOSED_FOR_GOOD  one event: it is merged into the stored tile; so is a dead letter's event
    CLOSED           all events of the tile: the correction replaces the stored tile
    OPEN             all events of a tile that had late ones only, which were merged one by one,
                     and now has one in time: the correction replaces the stored tile

A bundle that failed is done again, so a correction may come twice, and its event must count once.
So a `RepairNote` beside the tile keeps the tile as it was before late events were merged, and the
names of the events that were merged. The repaired tile is always computed from its note.

Notes are written before their tiles: wherever a write is cut short, doing it again gives the same
tile.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam

from chronon_beam.aggregator.plan import Plan
from chronon_beam.aggregator.repair_note import NOTES_DATASET, RepairNote
from chronon_beam.api.counts import Count, Metric
from chronon_beam.api.records import FAILURES, Correction, Failure, GetRequest, Phase, PutRequest
from chronon_beam.io.at_launch import Given
from chronon_beam.io.kv_store import KVStore, failures_of, tile_of
from chronon_beam.io.metrics import GroupByMetrics
from chronon_beam.io.runs.before_images import IMAGES, UNMERGEABLE, Adding, AddingWriter
from chronon_beam.io.write import WriteFn, Written, create_dataset, request_failure


@dataclass
class StoredTile:
    """One tile and its note, as they are in the store."""

    plan: Plan
    tile: bytes | None
    note: RepairNote | None
    corrected: bool = False
    """Whether the last correction was a whole tile of the job, with all late events up to then."""

    def correct(self, correction: Correction) -> None:
        """Apply `correction` to the tile; an event that is in the tile already changes nothing.

        Raises:
            ValueError: the tiles cannot be merged, for example lists of two lengths.
        """
        value = correction.request.value_bytes
        if correction.phase is Phase.CLOSED:
            self.tile, self.note = value, None
        elif correction.phase is Phase.OPEN:
            self._repair(RepairNote(value))
        else:
            self._add_event(correction.event, value)

    def close(self, tile: bytes) -> None:
        """Take the job's closing tile, whose write had failed, unless what is stored is newer.

        Raises:
            ValueError: the tiles cannot be merged.
        """
        if not self.is_closed:
            self._repair((self.note or RepairNote(None))._replace(before=tile))
        elif self.note is not None and not self._is_complete(self.tile):
            self._repair(self.note)  # the note may have been written, and its tile not

    @property
    def has_late_events(self) -> bool:
        """Whether the store may have late events that another whole tile does not have."""
        return self.corrected or self.note not in (None, RepairNote(self.tile))

    @property
    def is_closed(self) -> bool:
        """Whether the store has the job's closing tile, or a newer one."""
        before = self.note.before if self.note else self.tile
        return self.corrected or self._is_complete(self.tile) or self._is_complete(before)

    def _is_complete(self, tile: bytes | None) -> bool:
        return tile is not None and self.plan.tiles.decode(tile)[1]

    def _valid_note(self) -> RepairNote | None:
        """The note; None if it is older than the stored tile, which is then a closing one."""
        return None if self.tile is None or self._is_complete(self.tile) else self.note

    def _add_event(self, event: str, value: bytes) -> None:
        note = self._valid_note()
        if note is None or note.added is None:
            note = RepairNote(self.tile)
        if event not in note.events:
            added = self._merged(note.added, value)
            note = note._replace(events=(*note.events, event), added=added)
        self._repair(note)

    def _repair(self, note: RepairNote) -> None:
        """Compute the tile from `note`."""
        added = note.added
        self.tile = note.before if added is None else self._merged(note.before, added)
        self.note = note

    def _merged(self, tile: bytes | None, value: bytes) -> bytes:
        if tile is None:
            return value
        tiles = self.plan.tiles
        merged = self.plan.aggregator.merge(tiles.decode(tile)[0], tiles.decode(value)[0])
        return tiles.encode(merged)


def correct(store: KVStore, plan: Plan, corrections: list[Correction]) -> list[str | None]:
    """Correct stored tiles; gives per correction None if it is stored, else the reason."""
    tiles = [tile_of(each.request) for each in corrections]
    stored = read_tiles(store, plan, list(dict.fromkeys(tiles)))
    unfit: dict[int, str] = {}
    for index, (correction, tile) in enumerate(zip(corrections, tiles, strict=True)):
        try:
            stored[tile].correct(correction)
        except ValueError as error:
            unfit[index] = f"{UNMERGEABLE}: {error}"
    fit = [index for index in range(len(tiles)) if index not in unfit]
    failed = write_tiles(store, {tiles[i]: (corrections[i].request, stored[tiles[i]]) for i in fit})
    return [unfit.get(index, failed.get(tile)) for index, tile in enumerate(tiles)]


def read_tiles(store: KVStore, plan: Plan, tiles: list[GetRequest]) -> dict[GetRequest, StoredTile]:
    """Tiles with their notes, as they are stored; `StoredTile.tile` is None if there is none."""
    notes = [each._replace(dataset=NOTES_DATASET.format(each.dataset)) for each in tiles]
    found = [values[0].value_bytes if values else None for values in store.multi_get(tiles + notes)]
    read = zip(tiles, found[: len(tiles)], found[len(tiles) :], strict=True)
    return {
        tile: StoredTile(plan, value, RepairNote.unpack(note), note == RepairNote.pack(None))
        for tile, value, note in read
    }


def write_tiles(
    store: KVStore, corrected: dict[GetRequest, tuple[PutRequest, StoredTile]]
) -> dict[GetRequest, str]:
    """Write notes first, then their tiles; gives the reasons of those that are not written."""
    notes = [
        request._replace(
            dataset=NOTES_DATASET.format(request.dataset), value_bytes=RepairNote.pack(stored.note)
        )
        for request, stored in corrected.values()
    ]
    failed = failures_of(list(corrected), store.multi_put(notes))
    noted = [tile for tile in corrected if tile not in failed]
    puts = [
        request._replace(value_bytes=stored.tile)
        for request, stored in (corrected[tile] for tile in noted)
    ]
    return failed | failures_of(noted, store.multi_put(puts))


Enter = Callable[[KVStore], Adding | None]
"""Enters a dataset; see `Write.enter`."""


@dataclass
class WriteTiles(beam.PTransform):
    """Lists of PutRequests and lists of Corrections to the store, in the order in which they come.

    Attributes:
        plan: how tiles are merged.
        store_uri: see `open_store`.
        count: see `Write.count`.
        adding: the run, if it adds to tiles of earlier runs; None where it is alone.
        enter: see `Write.enter`; gives `adding` in the job of a template.
    """

    plan: Plan
    store_uri: Given
    count: Count = GroupByMetrics()
    adding: Adding | None = None
    enter: Enter | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, requests: beam.PCollection[list[Any]]) -> Written:
        """One step, with the store opened once per worker thread."""
        write = beam.ParDo(WriteTilesFn(self)).with_outputs(FAILURES, main="written")
        written: Any = requests | "Write" >> write
        return Written(*written)


class WriteTilesFn(WriteFn):
    """Writes PutRequests and Corrections; see `WriteTiles`.

    A correction reads the store, so the PutRequests that were collected are written before it.
    """

    def __init__(self, write: WriteTiles) -> None:
        dataset = write.plan.group_by.streaming_dataset
        super().__init__(write.store_uri, dataset, write.count, write.enter)
        self._plan, self._adding = write.plan, write.adding

    def setup(self) -> None:
        super().setup()
        self._store.patient = True
        dataset = self._plan.group_by.streaming_dataset
        create_dataset(self._store, NOTES_DATASET.format(dataset))
        self._correct = partial(correct, self._store, self._plan)
        if (adding := self._adding or self._entered) is not None:
            create_dataset(self._store, IMAGES.format(dataset))
            writer = AddingWriter(self._store, self._plan, adding)
            self._multi_put = writer.multi_put
            self._correct = partial(writer.correct, self._correct)

    def process(self, requests: list[Any]) -> Iterator[Any]:
        if not requests or not isinstance(requests[0], Correction):
            yield from super().process(requests)
            return
        yield from self._flush_pending()
        for output in self._write(requests, self._correct, _correction_failure):
            if isinstance(output, int):
                self._count(Metric.REPAIRED, output)
            yield output


def _correction_failure(correction: Correction, reason: str) -> Failure:
    source, _, position = correction.event.rpartition("@")
    said = f"late event is not in its tile: {reason}"
    failure = request_failure(correction.request, said, correction)
    return failure._replace(source=source, position=int(position.partition("#")[0]))
