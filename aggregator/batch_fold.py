"""Folds rows into batch values, in memory that grows with keys and hops and not with rows.

The rows of a key become a *partial*: one accumulator of a tile's columns per *slot* that has rows.
A slot is a tail hop, or a zone: a stretch of time whose rows are in the collapsed part of the same
windows. Partials can be merged in any order and grouping; only the last step makes values of them.

    windows 7 d and 30 d     E-30d   E-28d        E-7d  E-5d              E
    hops                     |-|-|                |-|-|
    zones                           |-- zone 0 --------|---- zone 1 -----|
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

from chronon_beam.aggregator.batch_ir import HOP_SIZES_MS, TAIL_BUFFER_MS, hop_bytes
from chronon_beam.aggregator.codecs import TileCodec
from chronon_beam.aggregator.flat_blob import pack_table, unpack_table
from chronon_beam.aggregator.plan import Plan
from chronon_beam.aggregator.row import Accumulator, Row, RowAggregator
from chronon_beam.api.dialect import DAY_MS
from chronon_beam.api.group_by import Accuracy, Feature, GroupByError
from chronon_beam.api.records import MIN_MS

ZONE = len(HOP_SIZES_MS)
"""Kind of a zone's slot; the kinds below it are indices of `HOP_SIZES_MS`."""

_VERSION = 1
"""Of packed partials."""


class Slot(NamedTuple):
    """Where a row is accumulated: (index of the hop size, hop start), or (ZONE, zone number)."""

    kind: int
    start: int


Partial = dict[Slot, Accumulator]


@dataclass(frozen=True)
class _Reach:
    """The stretch of time of a feature: tail hops from `first_ms`, then collapsed rows."""

    feature: Feature
    first_ms: int
    collapsed_ms: int


class _Target(NamedTuple):
    """One accumulator to which the rows of a band are added; for a zone the slot is fixed."""

    kind: int
    hop_ms: int
    zone: Slot | None
    rows: RowAggregator

    def slot(self, ts_ms: int) -> Slot:
        """The slot of a row of this time."""
        return self.zone or Slot(self.kind, ts_ms - ts_ms % self.hop_ms)


class BatchFold:
    """Folds rows of one GroupBy for a batch that ends at `batch_end_ms`.

    Args:
        plan: the GroupBy and its types.
        batch_end_ms: rows from this time on are left out, since they are streamed.
        offset: how many values come before the inputs in a row.

    Raises:
        GroupByError: accuracy SNAPSHOT and a window that is not of days.
    """

    def __init__(self, plan: Plan, batch_end_ms: int, offset: int = 0) -> None:
        self._plan = plan
        self._offset = offset
        self._end_ms = batch_end_ms
        self._snapshot = plan.group_by.accuracy is Accuracy.SNAPSHOT
        self._reaches = [self._reach(feature) for feature in plan.group_by.features]
        starts = {reach.collapsed_ms for reach in self._reaches}
        self._zones = sorted(start for start in starts if start < batch_end_ms)
        firsts = {reach.first_ms for reach in self._reaches}
        self._cuts = sorted({*firsts, *self._zones, batch_end_ms})
        self._bands = [self._band(start) for start in (MIN_MS, *self._cuts)]

    def _reach(self, feature: Feature) -> _Reach:
        window = feature.part.window
        if window is None:
            return _Reach(feature, MIN_MS, MIN_MS)
        tail_ms = self._end_ms - window.millis
        if self._snapshot:
            if window.millis % DAY_MS or window.timeUnit.millis != DAY_MS:
                raise GroupByError(
                    f"{self._plan.group_by.name}: {feature.name}: snapshot features are made once "
                    "a day, so their windows must be of days: change the window, or set accuracy "
                    "to TEMPORAL"
                )
            return _Reach(feature, tail_ms, tail_ms)
        # Chronon leaves out a row exactly at the tail (`rowTs > batchTail`).
        return _Reach(feature, tail_ms + 1, tail_ms + TAIL_BUFFER_MS)

    def _band(self, start_ms: int) -> list[_Target]:
        """The targets of rows from `start_ms` to the next cut."""
        if start_ms >= self._end_ms:
            return []
        reached = [r for r in self._reaches if start_ms >= r.first_ms]
        collapsed = {r.feature.tile_index for r in reached if start_ms >= r.collapsed_ms}
        targets = []
        if collapsed:
            zone = Slot(ZONE, bisect_right(self._zones, start_ms) - 1)
            targets.append(_Target(ZONE, 1, zone, self._rows(collapsed)))
        for kind, hop_ms in enumerate(HOP_SIZES_MS):
            tails = {
                r.feature.tile_index
                for r in reached
                if start_ms < r.collapsed_ms and _hop_ms(r.feature) == hop_ms
            }
            if tails:
                targets.append(_Target(kind, hop_ms, None, self._rows(tails)))
        return targets

    def _rows(self, columns: set[int]) -> RowAggregator:
        plan = self._plan
        parts, only = plan.group_by.tile_parts, frozenset(columns)
        return RowAggregator(parts, plan.inputs, plan.group_by, only, self._offset)

    @property
    def may_refuse(self) -> bool:
        """Whether `refusal` has to be asked for before a row is added."""
        return self._plan.aggregator.may_refuse

    def refusal(self, partial: Partial, row: Row, ts_ms: int) -> str | None:
        """Why a row cannot be added to the partial of its key, or None when it can."""
        empty = self._plan.aggregator.zero()
        for target in self._bands[bisect_right(self._cuts, ts_ms)]:
            reason = target.rows.refusal(partial.get(target.slot(ts_ms), empty), row)
            if reason is not None:
                return reason
        return None

    def add(self, partial: Partial, row: Row, ts_ms: int) -> int:
        """Add a row to its key's partial; gives the number of new slots, -1 for a row left out."""
        targets = self._bands[bisect_right(self._cuts, ts_ms)]
        if not targets:
            return -1
        known = len(partial)
        for target in targets:
            slot = target.slot(ts_ms)
            accumulator = partial.get(slot)
            if accumulator is None:
                accumulator = partial[slot] = target.rows.zero()
            target.rows.update(accumulator, row, ts_ms)
        return len(partial) - known

    def value(self, partials: Iterable[bytes]) -> bytes | None:
        """The value to store for a key, from its packed partials.

        A batch IR, or with accuracy SNAPSHOT the features at the batch's end; None when all of
        these are null.

        Raises:
            AvroError: a partial is not of this GroupBy.
        """
        slots = _merged(partials, self._plan)
        collapsed = self._collapsed(slots)
        if not self._snapshot:
            return self._plan.batch_irs.encode_with(collapsed, _hops(slots, self._plan.tiles))
        columns = self._plan.aggregator.columns
        of_features = [columns[reach.feature.tile_index] for reach in self._reaches]
        values = [
            column.finalize(column.merge_window(ir, ()))
            for column, ir in zip(of_features, collapsed, strict=True)
        ]
        return None if not any(v is not None for v in values) else self._plan.outputs.encode(values)

    def _collapsed(self, slots: dict[Slot, Accumulator]) -> list[object]:
        """One IR per feature: its zones merged, the oldest first."""
        columns = self._plan.aggregator.columns
        zones = [(slot.start, slots[slot]) for slot in sorted(slots) if slot.kind == ZONE]
        collapsed = []
        for reach in self._reaches:
            index, first = reach.feature.tile_index, bisect_left(self._zones, reach.collapsed_ms)
            found = [accumulator[index] for number, accumulator in zones if number >= first]
            irs = [ir for ir in found if ir is not None]
            # A single IR is not copied: a copy of a sketch may estimate another way.
            merged = irs[0] if len(irs) == 1 else reduce(columns[index].merge, irs, None)
            collapsed.append(merged)
        return collapsed


def pack(partial: Partial, tiles: TileCodec) -> bytes:
    """A partial as a flat blob, in which form it is shuffled to the other partials of its key."""
    kinds, starts = [slot.kind for slot in partial], [slot.start for slot in partial]
    return pack_table(_VERSION, [kinds, starts], [list(map(tiles.encode, partial.values()))])


def _merged(partials: Iterable[bytes], plan: Plan) -> Partial:
    """The union of packed partials."""
    merged: Partial = {}
    for packed in partials:
        numbers, (found,) = unpack_table(packed, _VERSION, integers=2, values=1)
        for slot, tile in zip(map(Slot, *numbers), found, strict=True):
            accumulator, _ = plan.tiles.decode(tile)
            known = merged.get(slot)
            merged[slot] = (
                accumulator if known is None else plan.aggregator.merge(known, accumulator)
            )
    return merged


def _hops(slots: Partial, tiles: TileCodec) -> list[list[bytes]]:
    hops: list[list[bytes]] = [[] for _ in HOP_SIZES_MS]
    for slot in sorted(slots):
        if slot.kind != ZONE:
            hops[slot.kind].append(hop_bytes(tiles.encode(slots[slot]), slot.start))
    return hops


def _hop_ms(feature: Feature) -> int | None:
    return feature.part.window.hop_ms if feature.part.window else None
