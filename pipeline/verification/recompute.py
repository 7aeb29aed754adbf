"""Recomputes what the events give: partial tiles, by the job's own keys, checks and aggregation.

A partial has the events of one bundle that are in one tile. So partials cross the shuffle, one per
tile and bundle, and not rows. A bundle with many tiles is flushed before its end, which bounds a
worker's memory.
"""

from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.typehints import Tuple
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from chronon_beam.aggregator.layout import TileSpec, floor_to
from chronon_beam.aggregator.plan import Plan
from chronon_beam.aggregator.row import Accumulator, RowAggregator
from chronon_beam.api.counts import Count
from chronon_beam.pipeline.verification.scope import Scope, Value, ValuePlace, packed
from chronon_beam.transforms.convert import row_converter
from chronon_beam.transforms.keyed_rows import INPUTS_FROM, ShardKeys, payload_check
from chronon_beam.transforms.rows import Rows, dead_row
from chronon_beam.transforms.stage import Result, emitted

_IRS = 1_000_000
"""The most IRs that a bundle holds before it is flushed: about 200 MB of counts and sums."""

_ROWS = 50_000
"""The most rows that a bundle holds before it is flushed, where rows are stored as they are."""


class TilePartials:
    """The partial tiles of a bundle.

    Args:
        plan: what is computed.
        scope: which tiles are wanted.
        most: the most IRs before `full`.
    """

    def __init__(self, plan: Plan, scope: Scope, most: int = _IRS) -> None:
        self._tiles, self._scope = plan.tiles, scope
        self._keys = ShardKeys(plan.keys, 1)
        self._key_columns, self._columns = list(plan.group_by.keys), plan.row_columns
        self._check = payload_check(plan)
        self._specs = [(spec, plan.row_aggregator(spec, INPUTS_FROM)) for spec in plan.specs]
        self._most = max(1, most // max(plan.aggregator.width, 1))
        self._partials: dict[ValuePlace, Accumulator] = {}

    def add(self, rows: Rows) -> Result[None]:
        """Take the rows of a batch; gives failures for rows that no tile can take."""
        names = dict.fromkeys((*self._key_columns, *self._columns, "ts"))
        columns = {name: rows.batch.column(name).to_pylist() for name in names}
        keys = [key for key, _ in self._keys.of([columns[name] for name in self._key_columns])]
        inputs = [columns[name] for name in self._columns]
        taken = zip(keys, columns["ts"], rows.positions, *inputs, strict=True)
        failures = []
        for index, row in enumerate(taken):
            reason = (self._check(row) if self._check else None) or self._add(row)
            if reason is not None:
                failures.append(dead_row(rows, index, "Tile", reason))
        return Result(None, failures)

    def _add(self, row: Any) -> str | None:
        """Add a row to all of its tiles; gives the reason if one of them refuses it."""
        refused = None
        for spec, aggregator in self._specs:
            for start_ms in _starts(spec, row[1]):
                place = ValuePlace(row[0], spec.size_ms, start_ms)
                if self._scope.has(place):
                    refused = self._add_to(place, aggregator, row) or refused
        return refused

    def _add_to(self, place: ValuePlace, aggregator: RowAggregator, row: Any) -> str | None:
        partial = self._partials.get(place)
        if partial is None:
            partial = self._partials[place] = aggregator.zero()
        if aggregator.may_refuse:
            reason = aggregator.refusal(partial, row)
            if reason is not None:
                return reason
        aggregator.update(partial, row, row[1])
        return None

    @property
    def full(self) -> bool:
        """Whether the partials must be drained."""
        return len(self._partials) >= self._most

    def drain(self) -> Iterator[Value]:
        """Yield each partial as the bytes of a tile, and start anew."""
        partials, self._partials = self._partials, {}
        for place, partial in partials.items():
            yield place, self._tiles.encode(partial)


def _starts(spec: TileSpec, ts_ms: int) -> range:
    """The starts of the tiles that hold an event of this time."""
    last_ms = floor_to(ts_ms, spec.period_ms)
    return range(last_ms - spec.size_ms + spec.period_ms, last_ms + 1, spec.period_ms)


class RowValues:
    """The rows of a bundle, as an untiled job stores them."""

    def __init__(self, plan: Plan, scope: Scope, most: int = _ROWS) -> None:
        self._convert, self._scope, self._most = row_converter(plan), scope, most
        self._values: list[Value] = []

    def add(self, rows: Rows) -> Result[None]:
        """Take the rows of a batch; gives failures for rows that Avro cannot hold."""
        requests, failures, _ = self._convert(rows)
        for each in requests:
            place = ValuePlace(each.key_bytes, 0, each.tile_start_ms)
            if self._scope.has(place):
                self._values.append((place, each.value_bytes))
        return Result(None, failures)

    @property
    def full(self) -> bool:
        """Whether the rows must be drained."""
        return len(self._values) >= self._most

    def drain(self) -> Iterator[Value]:
        """Yield each row, and start anew."""
        values, self._values = self._values, []
        yield from values


Collector = TilePartials | RowValues


@beam.typehints.with_output_types(Tuple[int, bytes])
class RecomputeFn(beam.DoFn):
    """Rows to (bucket, blob) pairs of what the job stores of them."""

    def __init__(self, start: Callable[[], Collector], count: Count) -> None:
        self._start, self._count = start, count

    def setup(self) -> None:
        """Make the codecs, in the worker."""
        self._collector = self._start()

    def start_bundle(self) -> None:
        """Drop what a failed attempt has left, which would count twice."""
        list(self._collector.drain())

    def process(self, rows: Rows) -> Iterator[Any]:
        """Yield failures, and what is collected once it is full."""
        yield from emitted(self._collector.add(rows), self._count)
        if self._collector.full:
            yield from packed(self._collector.drain())

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Yield what is collected."""
        for pair in packed(self._collector.drain()):
            yield WindowedValue(pair, MIN_TIMESTAMP, (GlobalWindow(),))
