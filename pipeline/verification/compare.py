"""Compares what a store holds with what the events give, place by place: the differences.

missing   the events give a tile or row, and the store has none
extra     the store has a tile or row, and no event gives one
stale     the stored tile is what fewer of its events give, see `aggregator.comparison`
wrong     any other difference
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import apache_beam as beam

from chronon_beam.aggregator.avro import AvroError
from chronon_beam.aggregator.codecs import complete
from chronon_beam.aggregator.comparison import IrVerdict, compare
from chronon_beam.aggregator.plan import Plan
from chronon_beam.aggregator.row import Accumulator
from chronon_beam.aggregator.versions import columns_of
from chronon_beam.api.counts import Count
from chronon_beam.pipeline.json_lines import to_json
from chronon_beam.pipeline.verification.scope import ValuePlace, unpacked


class Fault(StrEnum):
    """How a tile or row differs; also the names of the counts."""

    MISSING = "verify.missing"
    STALE = "verify.stale"
    EXTRA = "verify.extra"
    WRONG = "verify.wrong"

    @property
    def word(self) -> str:
        """For people."""
        return self.removeprefix("verify.")


SOUND, YOUNG, UNTOLD = "verify.sound", "verify.young", "verify.untold"
"""Counts: tiles and rows that are right; of these, tiles from before a column was added to the
GroupBy, which lack its earlier events; tiles whose events cannot be merged to one tile."""

Pair = tuple[object, object]
"""(stored value, expected value) of a column."""


@dataclass(frozen=True)
class StoreDifference:
    """A tile or row that is not as its events give it.

    Attributes:
        columns: the columns that differ, each as (stored, expected) feature values.
        reason: why the stored bytes cannot be read; empty if they can.
    """

    kind: Fault
    place: ValuePlace
    columns: Mapping[str, Pair] = field(default_factory=dict)
    reason: str = ""

    def to_json(self, plan: Plan) -> str:
        """One line of a report."""
        key = dict(zip(plan.keys.columns, plan.keys.decode(self.place.key), strict=True))
        pairs = self.columns.items()
        columns = {name: {"stored": was, "expected": now} for name, (was, now) in pairs}
        line: dict[str, object] = {"kind": self.kind.word, "key": key}
        if self.place.size_ms:
            line |= {"tile_start_ms": self.place.start_ms, "tile_size_ms": self.place.size_ms}
        else:
            line |= {"ts_ms": self.place.start_ms}
        return to_json(
            {**line, "columns": columns, **({"reason": self.reason} if self.reason else {})}
        )


class StoredTiles:
    """Compares tiles.

    Args:
        plan: reads what is stored, with the versions of the dataset's tiles.
    """

    def __init__(self, plan: Plan) -> None:
        self._stored = plan.tiles
        # Partials are tiles of this declaration alone.
        self._made = Plan(plan.group_by, plan.types, plan.layout)
        self._columns = plan.aggregator.columns
        began = plan.versions[-1].began if plan.versions else {}
        own = columns_of(plan.group_by, plan.types)
        self._young = {index for index, each in enumerate(own) if began.get(each, 0) > 0}
        # A change that takes a row back may raise what is left, so fewer events cannot be seen.
        self._tells_stale = not plan.group_by.is_entities

    def differences(
        self, place: ValuePlace, stored: list[bytes], partials: list[bytes], counts: Counter[str]
    ) -> Iterator[StoreDifference]:
        """The difference at a place, if there is one."""
        if self._same(stored, partials):
            counts[SOUND] += 1
            return
        if not stored:
            (expected, _) = self._united(partials)
            yield StoreDifference(Fault.MISSING, place, self._values(None, expected))
            return
        try:
            found, _ = self._stored.decode(stored[-1])
        except AvroError as error:
            yield StoreDifference(Fault.WRONG, place, reason=str(error))
            return
        if not partials:
            yield StoreDifference(Fault.EXTRA, place, self._values(found, None))
            return
        try:
            expected, parts = self._united(partials)
        except ValueError:  # for example, lists of two lengths in two bundles
            counts[UNTOLD] += 1
            return
        lacking = set(self._stored.lacking(stored[-1]))
        yield from self._compared(place, found, expected, parts, lacking, counts)

    def _same(self, stored: list[bytes], partials: list[bytes]) -> bool:
        """Whether the bytes are the same, as most are; a partial is of version 0, as is its tag."""
        if len(partials) != 1 or not stored or self._stored.version:
            return False
        return stored[-1] in (partials[0], complete(partials[0]))

    def _united(self, partials: Sequence[bytes]) -> tuple[Accumulator, list[Accumulator]]:
        """The tile of all partials, and these where there are several."""
        parts = [self._made.tiles.decode(partial)[0] for partial in partials]
        if len(parts) == 1:
            return parts[0], parts
        whole = self._made.aggregator.zero()
        for partial in partials:
            self._made.aggregator.merge(whole, self._made.tiles.decode(partial)[0])
        return whole, parts

    def _compared(
        self,
        place: ValuePlace,
        found: Accumulator,
        expected: Accumulator,
        parts: list[Accumulator],
        lacking: set[int],
        counts: Counter[str],
    ) -> Iterator[StoreDifference]:
        verdicts = {
            index: compare(column, found[index], expected[index], [part[index] for part in parts])
            for index, column in enumerate(self._columns)
            if index not in lacking
        }
        verdicts = {i: each for i, each in verdicts.items() if each is not IrVerdict.EQUAL}
        young = {i for i, each in verdicts.items() if i in self._young and each < IrVerdict.OTHER}
        differing = [index for index in verdicts if index not in young]
        counts[YOUNG] += bool(young) and not differing
        if not differing:
            counts[SOUND] += 1
            return
        worst = max(verdicts[index] for index in differing)
        kind = Fault.STALE if worst is IrVerdict.FEWER and self._tells_stale else Fault.WRONG
        yield StoreDifference(kind, place, self._values(found, expected, differing))

    def _values(
        self,
        stored: Accumulator | None,
        expected: Accumulator | None,
        chosen: Iterable[int] | None = None,
    ) -> dict[str, Pair]:
        """The feature values of columns, by their names."""
        columns = self._columns
        return {
            columns[i].part.column: (
                stored and columns[i].finalize(stored[i]),
                expected and columns[i].finalize(expected[i]),
            )
            for i in (range(len(columns)) if chosen is None else chosen)
        }


class StoredRows:
    """Compares untiled rows: those of one key and time, in any order."""

    def __init__(self, plan: Plan) -> None:
        self._rows = plan.rows

    def differences(
        self, place: ValuePlace, stored: list[bytes], expected: list[bytes], counts: Counter[str]
    ) -> Iterator[StoreDifference]:
        """The differences at a place: a row that was changed is one that is wrong."""
        missing, extra = Counter(expected), Counter(stored)
        counts[SOUND] += (missing & extra).total()
        lost, found = list((missing - extra).elements()), list((extra - missing).elements())
        for was, now in zip(found, lost, strict=False):
            yield self._difference(Fault.WRONG, place, was, now)
        for each in lost[len(found) :]:
            yield self._difference(Fault.MISSING, place, None, each)
        for each in found[len(lost) :]:
            yield self._difference(Fault.EXTRA, place, each, None)

    def _difference(
        self, kind: Fault, place: ValuePlace, stored: bytes | None, expected: bytes | None
    ) -> StoreDifference:
        try:
            was, now = (each and self._rows.decode(each) for each in (stored, expected))
        except AvroError as error:
            return StoreDifference(kind, place, reason=str(error))
        pairs = {
            name: (was and was[index], now and now[index])
            for index, name in enumerate(self._rows.columns)
        }
        both = was is not None and now is not None
        return StoreDifference(
            kind, place, {n: p for n, p in pairs.items() if not both or p[0] != p[1]}
        )


@beam.typehints.with_output_types(str)
class CompareFn(beam.DoFn):
    """The values of a bucket, stored and expected, to the lines of a report.

    Args:
        plan: reads what is stored.
        tiled: whether tiles are stored, rather than rows.
        count: counts the tiles or rows that are right, and those of each `Fault`.
    """

    STORED, EXPECTED = "stored", "expected"

    def __init__(self, plan: Plan, tiled: bool, count: Count) -> None:
        self._plan, self._tiled, self._count = plan, tiled, count

    def setup(self) -> None:
        """Make the codecs, in the worker."""
        self._comparing = StoredTiles(self._plan) if self._tiled else StoredRows(self._plan)

    def process(self, bucket: tuple[int, dict[str, Iterable[bytes]]]) -> Iterator[Any]:
        """Yield a line per difference."""
        counts = Counter[str]()
        stored, expected = (unpacked(bucket[1][name]) for name in (self.STORED, self.EXPECTED))
        for place in {**expected, **stored}:
            found = stored.get(place, []), expected.get(place, [])
            for difference in self._comparing.differences(place, *found, counts):
                counts[difference.kind] += 1
                yield difference.to_json(self._plan)
        for name, number in counts.items():
            self._count(name, number)
