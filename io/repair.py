"""Tiles that have closed: late events are brought into the tile that is stored.

Merging IRs is associative, so what is stored and what came since give the tile that would have
been. A correction may be made again after a failure, when the store already holds it, or when the
job has just written an older tile over it. So a note beside the tile keeps what it was before it
was corrected (`base`), and the corrected tile is always made anew from that.

Notes are written before their tiles: whatever is cut short, doing it again gives the same tile.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.counts import Count
from chronon_beam.api.records import Correction, Failure, GetRequest, PutRequest, Scope
from chronon_beam.io.kv_store import KVStore
from chronon_beam.io.write import FAILURES, WriteFn, counted, make, request_failure

REPAIRED_DATASET = "{}_REPAIRS"


class Note(NamedTuple):
    """What stands beside a corrected tile.

    Attributes:
        base: the tile before it was corrected; None if there was none.
        events: those that were brought in one by one.
        over: the tile of these events, to be merged into `base`; None for none.
    """

    base: bytes | None
    events: tuple[str, ...] = ()
    over: bytes | None = None

    @staticmethod
    def pack(note: "Note | None") -> bytes:
        """As JSON, with bytes in base64."""
        if note is None:
            return b"null"
        base, over = (each and base64.b64encode(each).decode() for each in (note.base, note.over))
        return json.dumps({"base": base, "events": note.events, "over": over}).encode()

    @staticmethod
    def unpack(blob: bytes | None) -> "Note | None":
        """The note that `pack` made."""
        kept = blob and json.loads(blob)
        if not kept:
            return None
        base, over = (each and base64.b64decode(each) for each in (kept["base"], kept["over"]))
        return Note(base, tuple(kept["events"]), over)


@dataclass
class _Closed:
    """One tile that has closed, and its note, as they are in the store."""

    plan: Plan
    tile: bytes | None
    note: Note | None

    def correct(self, correction: Correction) -> None:
        """Bring `correction` in.

        Raises:
            ValueError: the tiles cannot be merged, for example lists of two lengths.
        """
        value = correction.request.value_bytes
        # The closing write alone is complete: once it is there, older notes mean nothing.
        corrected = self.tile is not None and not self.plan.tiles.decode(self.tile)[1]
        note = self.note if corrected else None
        if correction.scope is Scope.CLOSED_TILE:
            self.tile, self.note = value, None
        elif correction.scope is Scope.SINCE_CLOSE:
            base = note.base if note else self.tile
            self.tile, self.note = self._merged(base, value), Note(base)
        else:
            # What a job corrected that has forgotten the tile since is part of it for good.
            note = note if note and note.over else Note(self.tile)
            if correction.event not in note.events:
                events = (*note.events, correction.event)
                note = Note(note.base, events, self._merged(note.over, value))
            self.tile, self.note = self._merged(note.base, note.over or value), note

    def _merged(self, base: bytes | None, value: bytes) -> bytes:
        if base is None:
            return value
        tiles = self.plan.tiles
        merged = self.plan.aggregator.merge(tiles.decode(base)[0], tiles.decode(value)[0])
        return tiles.encode(merged)


def correct(store: KVStore, plan: Plan, corrections: list[Correction]) -> list[str | None]:
    """Bring corrections into their stored tiles; for each None, or why it is not there."""
    tiles = [_of_tile(each.request) for each in corrections]
    stored = _read(store, plan, list(dict.fromkeys(tiles)))
    unfit: dict[int, str] = {}
    for index, (correction, tile) in enumerate(zip(corrections, tiles, strict=True)):
        try:
            stored[tile].correct(correction)
        except ValueError as error:
            unfit[index] = str(error)
    fit = [index for index in range(len(tiles)) if index not in unfit]
    failed = _write(store, {tiles[i]: (corrections[i].request, stored[tiles[i]]) for i in fit})
    return [unfit.get(index, failed.get(tile)) for index, tile in enumerate(tiles)]


def _of_tile(request: PutRequest) -> GetRequest:
    start_ms = request.tile_start_ms
    return GetRequest(
        request.key_bytes, request.dataset, start_ms, start_ms + 1, request.tile_size_ms
    )


def _read(store: KVStore, plan: Plan, tiles: list[GetRequest]) -> dict[GetRequest, _Closed]:
    notes = [each._replace(dataset=REPAIRED_DATASET.format(each.dataset)) for each in tiles]
    found = [values[0].value_bytes if values else None for values in store.multi_get(tiles + notes)]
    read = zip(tiles, found[: len(tiles)], found[len(tiles) :], strict=True)
    return {tile: _Closed(plan, value, Note.unpack(note)) for tile, value, note in read}


def _write(
    store: KVStore, corrected: dict[GetRequest, tuple[PutRequest, _Closed]]
) -> dict[GetRequest, str]:
    """Notes first, then their tiles; the reason by tile for those that are not written."""
    notes = [
        request._replace(
            dataset=REPAIRED_DATASET.format(request.dataset), value_bytes=Note.pack(closed.note)
        )
        for request, closed in corrected.values()
    ]
    failed = _failures(list(corrected), store.multi_put(notes))
    noted = [tile for tile in corrected if tile not in failed]
    puts = [
        request._replace(value_bytes=closed.tile)
        for request, closed in (corrected[tile] for tile in noted)
    ]
    return failed | _failures(noted, store.multi_put(puts))


def _failures(tiles: list[GetRequest], reasons: list[str | None]) -> dict[GetRequest, str]:
    return {tile: reason for tile, reason in zip(tiles, reasons, strict=True) if reason is not None}


@dataclass
class WriteTiles(beam.PTransform):
    """Lists of PutRequests and of Corrections to the store, in the order in which they come.

    Outputs are those of `Write`: `written`, and `failures`.

    Attributes:
        plan: how tiles are merged.
        store_uri: see `open_store`.
        count: see `Write.count`.
    """

    plan: Plan
    store_uri: str
    count: Count = counted

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, requests: beam.PCollection[list[Any]]) -> Any:
        """One step, with the store opened once a worker thread."""
        return requests | "Write" >> beam.ParDo(WriteTilesFn(self)).with_outputs(
            FAILURES, main="written"
        )


class WriteTilesFn(WriteFn):
    """Puts are collected; a correction first lets them be written, for it reads what is stored."""

    def __init__(self, write: WriteTiles) -> None:
        super().__init__(write.store_uri, write.plan.group_by.streaming_dataset, write.count)
        self._plan = write.plan

    def setup(self) -> None:
        super().setup()
        self._store.patient = True
        make(self._store, REPAIRED_DATASET.format(self._plan.group_by.streaming_dataset))

    def process(self, requests: list[Any]) -> Iterator[Any]:
        if not requests or not isinstance(requests[0], Correction):
            yield from super().process(requests)
            return
        yield from self._flush_pending()
        yield from self._write(
            requests, lambda asked: correct(self._store, self._plan, asked), _dead
        )


def _dead(correction: Correction, reason: str) -> Failure:
    source, _, position = correction.event.rpartition("@")
    said = f"late event could not be merged into its tile: {reason}"
    failure = request_failure(correction.request, said)
    return failure._replace(source=source, position=int(position.partition("#")[0]))
