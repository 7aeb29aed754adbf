"""Late events whose tile is closed: merged into the tile that is stored.

Merging IRs is associative, so read, merge, write gives the tile that would have been. Unlike the
other writes a repair is not idempotent by itself: beside the tile, in the same batch of writes,
stands which events it was repaired with, and an event that comes again changes nothing.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.counts import Count, uncounted
from chronon_beam.api.records import Failure, GetRequest, PutRequest
from chronon_beam.io.kv_store import KVStore, open_store
from chronon_beam.io.write import with_retries

FAILURES = "failures"
REPAIRED_DATASET = "{}_REPAIRS"


class LateEvent(Protocol):
    """What tiling gives for a late event (`transforms.rows.Repair`)."""

    key_bytes: bytes
    tile: bytes
    ts_ms: int
    start_ms: int
    size_ms: int
    position: str


def repair(store: KVStore, plan: Plan, late: LateEvent) -> str | None:
    """Merge one event into its stored tile; None, or the reason why it was not written."""
    dataset = plan.group_by.streaming_dataset
    asked = GetRequest(late.key_bytes, dataset, late.start_ms, late.start_ms + 1, late.size_ms)
    repaired = asked._replace(dataset=REPAIRED_DATASET.format(dataset))
    stored, applied = store.multi_get([asked, repaired])
    positions: list[str] = json.loads(applied[0].value_bytes) if applied else []
    if late.position in positions:
        return None
    tile, _ = plan.tiles.decode(late.tile)
    if stored:
        tile = plan.aggregator.merge(plan.tiles.decode(stored[0].value_bytes)[0], tile)
    request = PutRequest(
        late.key_bytes, plan.tiles.encode(tile), dataset, late.ts_ms, late.start_ms, late.size_ms
    )
    noted = json.dumps([*positions, late.position]).encode()
    results = store.multi_put(
        [request, request._replace(dataset=repaired.dataset, value_bytes=noted)]
    )
    return next((reason for reason in results if reason is not None), None)


@dataclass
class RepairTiles(beam.PTransform):
    """Late events to the store; out come counts of repaired ones, `failures` beside them."""

    plan: Plan
    store_uri: str
    count: Count = uncounted

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, repairs: beam.PCollection[Any]) -> Any:
        """One count a batch."""
        return repairs | "Merge" >> beam.ParDo(_RepairFn(self)).with_outputs(
            FAILURES, main="repaired"
        )


class _RepairFn(beam.DoFn):
    def __init__(self, repair: RepairTiles) -> None:
        self._plan = repair.plan
        self._store_uri = repair.store_uri
        self._count = repair.count

    def setup(self) -> None:
        self._store = open_store(self._store_uri)
        self._store.patient = True
        dataset = self._plan.group_by.streaming_dataset
        for name in (dataset, REPAIRED_DATASET.format(dataset)):
            self._store.create(name)

    def teardown(self) -> None:
        self._store.close()

    def process(self, late_events: list[Any]) -> Iterator[Any]:
        repaired = 0
        for late in late_events:
            reason = self._repaired(late)
            if reason is None:
                repaired += 1
            else:
                self._count("dead", 1)
                yield TaggedOutput(FAILURES, self._failure(late, reason))
        yield repaired

    def _repaired(self, late: LateEvent) -> str | None:
        # One event at a time: the next one may be of the same tile.
        failed, _ = with_retries(lambda _: [repair(self._store, self._plan, late)], 1)
        reason = failed.get(0)
        return reason and f"late event could not be merged into its tile: {reason}"

    def _failure(self, late: LateEvent, reason: str) -> Failure:
        source, _, position = late.position.rpartition("@")
        tile, _ = self._plan.tiles.decode(late.tile)
        payload = json.dumps(
            {"key": list(self._plan.keys.decode(late.key_bytes)), "ts": late.ts_ms, "tile": tile},
            default=str,
        )
        return Failure("Write", reason, payload.encode(), source, int(position.partition("#")[0]))
