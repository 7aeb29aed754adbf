"""Makes up for writes that have failed for good, from their dead letters.

What a failed write needs depends on what it was:

- A row of an untiled job is written.
- An open tile needs no write: the job writes it again and again, and once more when it closes.
- A closing tile is written, unless the store has it or a newer one. If the store has corrections of
  the tile (see `io.repair`), they are newer, and are merged into the closing tile.
- A correction of one event is merged, unless the event is in the tile already.
- A correction of the phase CLOSED holds all events up to then. The last one of a tile is written if
  the store has no other late events of the tile. If it has, which of the two is newer cannot be
  told, and the dead letter remains.
"""

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.records import Correction, GetRequest, Phase, PutRequest
from chronon_beam.io.kv_store import KVStore, tile_of
from chronon_beam.io.repair import StoredTile, read_tiles, write_tiles
from chronon_beam.io.runs.before_images import IMAGES

OPEN_TILE = "its tile was open: the job writes it again, at the latest when it closes"
ADDED_TILE = "its run added to tiles of earlier runs, so the request is only a part of the tile"
NOT_COMPARABLE = (
    "the store has late events of this tile, and whether all of these are in it is not known"
)

FailedWrite = PutRequest | Correction


def settle(store: KVStore, plan: Plan, writes: list[FailedWrite]) -> list[str | None]:
    """Make up for failed writes.

    Args:
        store: where they were to be written.
        plan: how tiles are merged.
        writes: in the order in which they failed.

    Returns:
        Per write None if it, or something newer, is stored now; else the reason why not.
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
    found = zip(places, store.multi_get(images), strict=True)
    added_to = {place for place, image in found if image}
    before = {place: (tile.tile, tile.note) for place, tile in stored.items()}
    settled = _settle_each(writes, places, stored, added_to)
    changed = {
        place: (request, stored[place])
        for place, request in zip(places, requests, strict=True)
        if (stored[place].tile, stored[place].note) != before[place]
    }
    failed = write_tiles(store, changed)
    return [reason or failed.get(place) for place, reason in zip(places, settled, strict=True)]


def _settle_each(
    writes: list[FailedWrite],
    places: list[GetRequest],
    stored: dict[GetRequest, StoredTile],
    added_to: set[GetRequest],
) -> list[str | None]:
    """Apply the writes to `stored`: whole tiles first, and the last write of each kind first.

    `added_to` are the tiles that runs have added to. Gives per write None, or the reason why not.
    """
    reasons: dict[int, str | None] = {}
    whole: dict[GetRequest, str | None] = {}
    for index in sorted(range(len(writes)), key=lambda at: (_rank(writes[at]), -at)):
        write, place = writes[index], places[index]
        if place in added_to:
            reasons[index] = ADDED_TILE
        elif isinstance(write, PutRequest):
            reasons[index] = _settle_open(stored[place], write)
        elif write.phase is Phase.OPEN:
            reasons[index] = _settle_open(stored[place], write.request)
        elif write.phase is Phase.CLOSED_FOR_GOOD:
            reasons[index] = _correct(stored[place], write)
        else:
            if place not in whole:
                whole[place] = _settle_closed(stored[place], write)
            reasons[index] = whole[place]
    open_ones = [i for i, each in enumerate(writes) if reasons[i] == OPEN_TILE]
    reasons |= {i: None for i in open_ones if stored[places[i]].is_closed}
    return [reasons[index] for index in range(len(writes))]


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
    is_stored = correction.request.value_bytes in (tile.tile, tile.note and tile.note.before)
    return _correct(tile, correction) if is_stored or not tile.has_late_events else NOT_COMPARABLE


def _correct(tile: StoredTile, correction: Correction) -> str | None:
    try:
        tile.correct(correction)
    except ValueError as error:
        return str(error)
    return None
