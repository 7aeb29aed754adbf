"""A model of runs: files in memory, the product's own ledger and writer, and what must come out.

A run reads its units in order and writes, for every event or once an interval, the cumulative tile
of its own events, as a job does. It may be killed after any cell that it writes.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

from declarations import plan_over_six_hours
from fragile import ENOUGH, Cut, Fragile

from chronon_beam.aggregator.codecs import complete
from chronon_beam.api import (
    Operation,
)
from chronon_beam.api.records import PutRequest
from chronon_beam.io.kv_store import KVStore
from chronon_beam.io.runs.before_images import Adding, AddingWriter
from chronon_beam.io.runs.entry import Arrival, Dataset, Entry, enter
from chronon_beam.io.runs.ledger import Ledger, Run, new_id
from chronon_beam.io.runs.opening import open_run
from chronon_beam.io.units import Unit

PLAN = plan_over_six_hours("t.runs", Operation.COUNT, Operation.SUM, Operation.TOP_K(3))
DATASET = PLAN.group_by.streaming_dataset
SIZE_MS = PLAN.specs[0].size_ms
NOTHING = PLAN.tiles.encode(PLAN.aggregator.zero())

Event = tuple[int, int, int]
"""Key, number of the tile, amount."""

Found = dict[tuple[bytes, int], tuple[int, float, tuple[float, ...]]]
"""Count, sum and top 3 by key and tile start."""

names = itertools.count()


def fingerprint(events: Iterable[Event]) -> str:
    return blake2b(repr(list(events)).encode()).hexdigest()


@dataclass
class World:
    """Files, and the store that runs write to."""

    store: KVStore
    files: dict[str, list[Event]] = field(default_factory=dict)

    def units(self, paths: Iterable[str]) -> tuple[Unit, ...]:
        return tuple(
            Unit(path, 0, len(self.files[path]), fingerprint(self.files[path])) for path in paths
        )

    def goes_on(self, read: Unit, now: Unit) -> bool:
        return fingerprint(self.files[now.path][: read.stop]) == read.fingerprint

    def arrive(self, run: Run, existing: str | None = None) -> Entry:
        found = Dataset(DATASET, Ledger(self.store, DATASET).runs(), self.store.is_empty(DATASET))
        return enter(Arrival(run, existing), found, self.goes_on)

    def run(
        self,
        paths: Iterable[str],
        every: int = 1,
        existing: str | None = None,
        definition: str = "d",
    ) -> Entry:
        """One run from its start to its end."""
        offered = Run(new_id(), PLAN.group_by.name, {"wheres": definition}, units=self.units(paths))
        entry = self.arrive(offered, existing)
        if not entry.idle:
            run = open_run(self.store, DATASET, entry, NOTHING)
            events = [e for u in run.units for e in self.files[u.path][u.start : u.stop]]
            self._write(events, run, every)
            Ledger(self.store, DATASET).finish(run)
        return entry

    def run_into(self, entries: list[Entry], paths: Iterable[str], every: int) -> None:
        entries.append(self.run(sorted(paths), every))

    def _write(self, events: list[Event], run: Run, every: int) -> None:
        adding = AddingWriter(self.store, PLAN, Adding(run.id, run.replaces))
        put = self.store.multi_put if run.alone else adding.multi_put
        tiles: dict[tuple[int, int], list[object]] = {}
        for at in range(0, len(events), every):
            batch = events[at : at + every]
            for key, tile, amount in batch:
                accumulator = tiles.setdefault((key, tile), PLAN.aggregator.zero())
                PLAN.aggregator.update(accumulator, (amount / 8,), tile * SIZE_MS)
            assert not any(put([_put(tiles, key, tile, False) for key, tile, _ in batch]))
        assert not any(put([_put(tiles, key, tile, True) for key, tile in tiles]))

    def tiles(self) -> Found:
        """What the store holds; tiles without events are left out."""
        found: Found = {}
        for stored in self.store.scan(DATASET):
            (number, total, top), _ = PLAN.tiles.decode(stored.value.value_bytes)
            if number:
                at = stored.key_bytes, stored.value.ts_ms
                found[at] = number, total, tuple(sorted(top))
        return found

    def complete(self) -> set[bool]:
        stored = self.store.scan(DATASET)
        return {PLAN.tiles.decode(each.value.value_bytes)[1] for each in stored}

    def expected(self, read: Iterable[tuple[str, int]]) -> Found:
        """What the first events of files give: so many of each."""
        amounts: dict[tuple[bytes, int], list[float]] = {}
        for path, stop in read:
            for key, tile, amount in self.files[path][:stop]:
                amounts.setdefault((_key(key), tile * SIZE_MS), []).append(amount / 8)
        return {at: (len(a), sum(a), tuple(sorted(a)[-3:])) for at, a in amounts.items()}


def _key(key: int) -> bytes:
    return PLAN.keys.encode((f"k{key}",))


def _put(
    tiles: dict[tuple[int, int], list[object]], key: int, tile: int, closes: bool
) -> PutRequest:
    value, start_ms = PLAN.tiles.encode(tiles[key, tile]), tile * SIZE_MS
    closed = complete(value) if closes else value
    return PutRequest(_key(key), closed, DATASET, start_ms, start_ms, SIZE_MS)


def killed_after(cells: int, run: object) -> bool:
    """Call `run`, and kill it after so many cells of a `Fragile` store; whether that came true."""
    Fragile.cells_left = cells
    try:
        run()  # type: ignore[operator]
    except Cut:
        return True
    finally:
        Fragile.cells_left = ENOUGH
    return False
