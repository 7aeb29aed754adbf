"""Rows of a bounded source to batch values: folded per bundle, then united per key.

What crosses the shuffle is one packed partial per key and bundle, not rows. A bundle that touches
more keys and hops than fit is flushed on the way, so a worker's memory has a bound whatever the
number of rows.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.typehints import Tuple
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from chronon_beam.aggregator.batch_fold import BatchFold, Partial, pack
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.counts import Count, Metric, uncounted
from chronon_beam.api.records import FAILURES, Failure, PutRequest
from chronon_beam.transforms.keyed_rows import INPUTS_FROM, ShardKeys, payload_check
from chronon_beam.transforms.rows import Rows, dead_row
from chronon_beam.transforms.stage import Result, emitted, outputs_of

FOLD, UNITE = "Fold", "Unite"
"""The steps, as in `Failure.step`."""

_IRS = 1_000_000
"""The most IRs that a bundle holds before it is flushed: about 200 MB of counts and sums."""

_REQUESTS = 500
"""How many values are written at once."""


class Folder:
    """The partials of a bundle.

    Args:
        plan: the GroupBy and its types.
        end_ms: the batch's end.
        most: see `_IRS`.
    """

    def __init__(self, plan: Plan, end_ms: int, most: int = _IRS) -> None:
        self._fold = BatchFold(plan, end_ms, INPUTS_FROM)
        self._tiles = plan.tiles
        self._keys = ShardKeys(plan.keys, 1)
        self._key_columns = list(plan.group_by.keys)
        self._inputs = list(plan.inputs)
        self._check = payload_check(plan)
        self._most_slots = max(1, most // plan.aggregator.width)
        self._slots = 0
        self._partials: dict[bytes, Partial] = {}

    def add(self, rows: Rows) -> Result[None]:
        """Add the rows of a batch; gives the failures, and counts rows outside all windows."""
        columns = {
            name: rows.batch.column(name).to_pylist()
            for name in dict.fromkeys((*self._key_columns, *self._inputs, "ts"))
        }
        keys = [key for key, _ in self._keys.of([columns[name] for name in self._key_columns])]
        inputs = [columns[name] for name in self._inputs]
        outside, failures = 0, []
        taken = zip(keys, columns["ts"], rows.positions, *inputs, strict=True)
        for index, row in enumerate(taken):
            partial = self._partials.get(row[0])
            if partial is None:
                partial = self._partials[row[0]] = {}
            reason = self._refusal(partial, row)
            if reason is not None:
                failures.append(dead_row(rows, index, FOLD, reason))
                continue
            new = self._fold.add(partial, row, row[1])
            if new < 0:
                outside += 1
            else:
                self._slots += new
        return Result(None, failures, {Metric.OUTSIDE: outside})

    def _refusal(self, partial: Partial, row: Any) -> str | None:
        reason = self._check(row) if self._check else None
        if reason is None and self._fold.may_refuse:
            return self._fold.refusal(partial, row, row[1])
        return reason

    @property
    def full(self) -> bool:
        """Whether the partials hold so much that they must be drained."""
        return self._slots >= self._most_slots

    def drain(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield each key with its packed partial, and start anew."""
        partials, self._partials, self._slots = self._partials, {}, 0
        while partials:
            key, partial = partials.popitem()
            if partial:
                yield key, pack(partial, self._tiles)


class Folded(NamedTuple):
    """The outputs of `Fold`."""

    partials: beam.PCollection[tuple[bytes, bytes]]
    failures: beam.PCollection[Failure]


@dataclass
class Fold(beam.PTransform):
    """Rows to (key, packed partial) pairs."""

    plan: Plan
    end_ms: int
    count: Count = uncounted

    def __post_init__(self) -> None:
        super().__init__()
        BatchFold(self.plan, self.end_ms)

    def expand(self, rows: beam.PCollection[Rows]) -> Folded:
        """One pair per key and bundle, or a few where a bundle is large."""
        fold = beam.ParDo(_FoldFn(self)).with_outputs(FAILURES, main="partials")
        return Folded(*outputs_of(rows | "Fold" >> fold))


@beam.typehints.with_output_types(Tuple[bytes, bytes])
class _FoldFn(beam.DoFn):
    def __init__(self, fold: Fold) -> None:
        self._plan = fold.plan
        self._end_ms = fold.end_ms
        self._count = fold.count

    def setup(self) -> None:
        self._folder = Folder(self._plan, self._end_ms)

    def start_bundle(self) -> None:
        # Drop what a failed attempt of the bundle has left: its rows come again.
        list(self._folder.drain())

    def process(self, rows: Rows) -> Iterator[Any]:
        yield from emitted(self._folder.add(rows), self._count)
        if self._folder.full:
            yield from self._folder.drain()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for pair in self._folder.drain():
            yield WindowedValue(pair, MIN_TIMESTAMP, (GlobalWindow(),))


class United(NamedTuple):
    """The outputs of `Unite`."""

    requests: beam.PCollection[list[PutRequest]]
    failures: beam.PCollection[Failure]


@dataclass
class Unite(beam.PTransform):
    """(key, packed partial) pairs to lists of PutRequests, one request per key.

    Attributes:
        end_ms: the batch's end.
        values_ms: the time under which the values are stored.
        size_ms: the tile size under which the values are stored.
    """

    plan: Plan
    end_ms: int
    values_ms: int
    size_ms: int
    count: Count = uncounted

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, partials: beam.PCollection[tuple[bytes, bytes]]) -> United:
        """One list per bundle or 500 keys, after all rows have been read."""
        unite = beam.ParDo(_UniteFn(self)).with_outputs(FAILURES, main="requests")
        united = partials | "ByKey" >> beam.GroupByKey() | "Value" >> unite
        return United(*outputs_of(united))


class _UniteFn(beam.DoFn):
    def __init__(self, unite: Unite) -> None:
        self._unite = unite

    def setup(self) -> None:
        self._fold = BatchFold(self._unite.plan, self._unite.end_ms)
        self._dataset = self._unite.plan.group_by.batch_dataset

    def start_bundle(self) -> None:
        self._requests: list[PutRequest] = []

    def process(self, pair: tuple[bytes, Iterable[bytes]]) -> Iterator[Any]:
        key, partials = pair
        try:
            value = self._fold.value(partials)
        except ValueError as error:  # lists of two lengths in two bundles, for one
            failure = Failure(UNITE, str(error), key, self._dataset, -1)
            yield from emitted(Result(None, [failure]), self._unite.count)
            return
        if value is not None:
            at_ms, size_ms = self._unite.values_ms, self._unite.size_ms
            self._requests.append(PutRequest(key, value, self._dataset, at_ms, at_ms, size_ms))
            self._unite.count(Metric.VALUES, 1)
        if len(self._requests) >= _REQUESTS:
            yield self._requests
            self._requests = []

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._requests:
            yield WindowedValue(self._requests, MIN_TIMESTAMP, (GlobalWindow(),))
