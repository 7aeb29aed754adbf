"""A job whose GroupBy changes while its data stays: state and store of one are handed to the next.

All stages between Spark and the store are the product's; Beam's state is in plain fields.
"""

import random
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from beam_state import State
from test_pure_stages import batches

from chronon_beam.aggregator.layout import TileSpec, floor_to
from chronon_beam.aggregator.plan import Plan
from chronon_beam.aggregator.sawtooth import WindowedRows
from chronon_beam.api.dialect import DAY_MS
from chronon_beam.api.group_by import GroupBy
from chronon_beam.api.records import Correction, Phase
from chronon_beam.fetcher.changes import FormerRuns, save
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.fetcher.serving_info import ServingInfo, load
from chronon_beam.io.kv_store import KVStore
from chronon_beam.io.repair import correct
from chronon_beam.transforms.convert import tile_requests
from chronon_beam.transforms.keyed_rows import INPUTS_FROM
from chronon_beam.transforms.rows import Rows
from chronon_beam.transforms.tiling.life import Life
from chronon_beam.transforms.tiling.shards import ShardBatch, Splitter
from chronon_beam.transforms.tiling.state import CellValue
from chronon_beam.transforms.tiling.window_tiles import Effects, WindowTiles

GOES_ON = FormerRuns(state=True, query=True)
LATE_MS = 1 << 62

Place = tuple[int, int, int]
"""Tile size, shard, start of the window."""


@dataclass
class ChangingJob:
    """A tiled job with its state and its store; `change` starts it anew with another GroupBy.

    Attributes:
        late: by window and position of an event, whether the event is late. Its log decides that,
            so an event that is read again is late again.
    """

    store: KVStore
    chance: random.Random
    layout: str = "tumbling"
    states: dict[Place, State] = field(default_factory=dict)
    expired: set[Place] = field(default_factory=set)
    late: dict[tuple[Place, int], bool] = field(default_factory=dict)

    def change(self, group_by: GroupBy, types: Any) -> None:
        """Go on with another GroupBy; raises GroupByError if that is refused."""
        plan = Plan(group_by, types, self.layout).checked(tiled=True)
        info = save(self.store, ServingInfo(plan, tiled=True, shards=3), GOES_ON)
        self.plan = info.plan
        self._caches: dict[Place, WindowTiles] = {}

    def savepoint(self) -> Any:
        return deepcopy((self.states, self.expired))

    def restore(self, savepoint: Any) -> None:
        self.states, self.expired = deepcopy(savepoint)
        self._caches = {}

    def take(self, rows: Rows) -> None:
        keys = list(self.plan.group_by.keys)
        for spec in self.plan.specs:
            splitter = Splitter(keys, self.plan.row_columns, self.plan.keys, 3, spec, 0, None)
            assert list(splitter.add(rows)) == []
            for pane, batch in splitter.drain():
                for back in range(spec.tiles_per_event):
                    start_ms = pane.start_ms - back * spec.period_ms
                    self._receive(spec, (spec.size_ms, pane.shard, start_ms), batch)

    def _receive(self, spec: TileSpec, place: Place, batch: ShardBatch) -> None:
        late = [self._is_late(place, row[2]) for row in batch.rows]
        if any(late):
            batch = batch._replace(promised_ms=[LATE_MS if each else 0 for each in late])
        for _ in range(self.chance.choice([1, 1, 2])):  # a bundle that failed is done again
            before = deepcopy(self.states.setdefault(place, State()))
            tiles = self._tiles(spec, place)
            state = self.states[place]
            effects = tiles.receive(batch, state.cell.read(), state.log.read)
            self._write(effects)
            state.take(effects.change)
            done, self.states[place] = self.states[place], before
        self.states[place] = done

    def _is_late(self, place: Place, position: int) -> bool:
        """Always so when the window has closed; else sometimes, when the watermark lags behind."""
        cell = self.states.get(place, State()).cell.read()
        closed = cell is not None and CellValue.unpack(cell).phase is Phase.CLOSED_FOR_GOOD
        is_late = closed or place in self.expired or self.chance.random() < 0.2
        return self.late.setdefault((place, position), is_late)

    def end_phase(self) -> None:
        """The watermark passes the end of the phase of some windows."""
        for place, state in self.states.items():
            if self.chance.random() < 0.4 and state.cell.read() is not None:
                (spec,) = (each for each in self.plan.specs if each.size_ms == place[0])
                tiles = self._tiles(spec, place)
                effects = tiles.end_phase(state.cell.read(), state.log.read)
                self._write(effects)
                state.take(effects.change)
                if state.cell.read() is None:
                    self.expired.add(place)

    def _tiles(self, spec: TileSpec, place: Place) -> WindowTiles:
        if self.chance.random() < 0.3:  # the shard has moved
            self._caches.pop(place, None)
        size_ms, _, start_ms = place
        rows = self.plan.row_aggregator(spec, INPUTS_FROM)
        life = Life(start_ms, start_ms + size_ms, 0)
        return self._caches.setdefault(place, WindowTiles(rows, self.plan.tiles, life))

    def _write(self, effects: Effects) -> None:
        for tiles in effects.tiles:
            requests = tile_requests(tiles, self.plan.group_by.streaming_dataset)
            if isinstance(requests[0], Correction):
                assert not any(correct(self.store, self.plan, requests))
            else:
                assert not any(self.store.multi_put(requests))


def features_of(
    group_by: GroupBy, types: Any, seen: dict[str, list[dict[str, Any]]], key: Any, at_ms: int
) -> dict[str, object]:
    """Features of a key at a time, each from the events that its job has seen, without tiles.

    Args:
        group_by: declares the features.
        types: of the inputs.
        seen: by feature, the events that count.
        key: the key.
        at_ms: the time of the query.
    """
    inputs = {name: types[name] for name in group_by.aggregation_inputs}
    rows = WindowedRows(group_by, inputs)
    features = {}
    for name, events in seen.items():
        mine = [e for e in events if all(e[column] == key[column] for column in key)]
        pairs = [(e["created"], tuple(e[name] for name in inputs)) for e in mine]
        features[name] = rows.of_rows(pairs, at_ms)[name]
    return features


def fetched(store: KVStore, group_by: GroupBy, keys: list[Any], at_ms: int) -> list[Any]:
    return Fetcher.of(load(store, group_by), store).fetch(keys, at_ms)


def query_times(events: list[dict[str, Any]], layout: str) -> list[int]:
    """After all events; and where tiles do not overlap, between days that have passed."""
    latest_ms = max(e["created"] for e in events)
    past = [floor_to(latest_ms, DAY_MS)] if layout == "tumbling" else []
    return [latest_ms + 1, *past]


def rows_of(events: list[dict[str, Any]], first: int, chance: random.Random) -> list[Rows]:
    """Events in batches with random borders; positions count from `first`."""
    return [
        rows._replace(positions=[first + position for position in rows.positions])
        for rows in batches(events, chance)
    ]
