"""Writes that had failed for good are made up for, unless the store has what is as new by now.

A job writes an open tile again and again, and once more when it closes. So of the failed writes of
an open tile, the closing one alone must be made up for; it is older than every correction. Of the
corrections, one of a single event is merged unless the event is in the tile. The others hold all
events up to then: the last one of them is written if the store has no late events of the tile. If
the store has some, nobody can tell which is newer, and the letter remains.
"""

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.records import Correction, GetRequest, Phase, PutRequest
from chronon_beam.io.kv_store import KVStore
from chronon_beam.io.repair import StoredTile, read_tiles, tile_of, write_tiles
from chronon_beam.io.runs.before_images import IMAGES

OPEN_TILE = "its tile was open: the job writes it again, at the latest when it closes"
ADDED_TILE = "its run added to tiles of earlier runs, so the request is only a part of the tile"
UNTOLD = "the store has late events of this tile, and whether all of these are in it is not known"

FailedWrite = PutRequest | Correction


def settle(store: KVStore, plan: Plan, writes: list[FailedWrite]) -> list[str | None]:
    """Make up for failed writes.

    Args:
        store: where they were to be written.
        plan: how tiles are merged.
        writes: in the order in which they failed.

    Returns:
        For each None if it, or what is newer, is stored now; else the reason why not.
    """
    rows = [each for each in writes if isinstance(each, PutRequest) and not each.tile_size_ms]
    tiles = [each for each in writes if isinstance(each, Correction) or each.tile_size_ms]
    reasons = dict(zip(map(id, rows), store.multi_put(rows), strict=True))
    reasons |= dict(zip(map(id, tiles), _settle_tiles(store, plan, tiles), strict=True))
    return [reasons[id(each)] for each in writes]


def _settle_tiles(store: KVStore, plan: Plan, writes: list[FailedWrite]) -> list[str | None]:
    requests = [each.request if isinstance(each, Correction) else each for each in writes]
    places = [tile_of(each) for each in requests]
    stored = read_tiles(store, plan, list(dict.fromkeys(places)))
    images = [each._replace(dataset=IMAGES.format(each.dataset)) for each in places]
    added = {place for place, image in zip(places, store.multi_get(images), strict=True) if image}
    before = {place: (tile.tile, tile.note) for place, tile in stored.items()}
    told = _told(writes, places, stored, added)
    changed = {
        place: (request, stored[place])
        for place, request in zip(places, requests, strict=True)
        if (stored[place].tile, stored[place].note) != before[place]
    }
    failed = write_tiles(store, changed)
    return [reason or failed.get(place) for place, reason in zip(places, told, strict=True)]


def _told(
    writes: list[FailedWrite],
    places: list[GetRequest],
    stored: dict[GetRequest, StoredTile],
    added: set[GetRequest],
) -> list[str | None]:
    """What becomes of each write; changes `stored`: by kind, and of a kind the last one first."""
    told: dict[int, str | None] = {}
    whole: dict[GetRequest, str | None] = {}
    for index in sorted(range(len(writes)), key=lambda at: (_rank(writes[at]), -at)):
        write, place = writes[index], places[index]
        if place in added:
            told[index] = ADDED_TILE
        elif isinstance(write, PutRequest):
            told[index] = _settle_open(stored[place], write)
        elif write.phase is Phase.OPEN:
            told[index] = _settle_open(stored[place], write.request)
        elif write.phase is Phase.CLOSED_FOR_GOOD:
            told[index] = _corrected(stored[place], write)
        else:
            if place not in whole:
                whole[place] = _settle_closed(stored[place], write)
            told[index] = whole[place]
    open_ones = [i for i, each in enumerate(writes) if told[i] == OPEN_TILE]
    told |= {i: None for i in open_ones if stored[places[i]].is_closed}
    return [told[index] for index in range(len(writes))]


def _rank(write: FailedWrite) -> int:
    """Whole tiles come before the single events that are merged into them."""
    if isinstance(write, PutRequest):
        return 0
    return 2 if write.phase is Phase.CLOSED_FOR_GOOD else 1


def _settle_open(tile: StoredTile, request: PutRequest) -> str | None:
    is_closing = tile.plan.tiles.decode(request.value_bytes)[1]
    if is_closing:
        tile.close(request.value_bytes)
    return None if tile.is_closed else OPEN_TILE


def _settle_closed(tile: StoredTile, correction: Correction) -> str | None:
    is_there = correction.request.value_bytes in (tile.tile, tile.note and tile.note.before)
    return _corrected(tile, correction) if is_there or not tile.has_late_events else UNTOLD


def _corrected(tile: StoredTile, correction: Correction) -> str | None:
    try:
        tile.correct(correction)
    except ValueError as error:
        return str(error)
    return None
