"""How the value of one feature is made: the stored pieces, and their merges one by one.

The merges are those of `aggregator.sawtooth`, by the same functions in the same order. Tests check
that the last step has the value that a fetch gives.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from chronon_beam.aggregator.batch_ir import TAIL_BUFFER_MS
from chronon_beam.aggregator.columns import Column
from chronon_beam.aggregator.layout import span, tail_ms
from chronon_beam.aggregator.row import RowAggregator
from chronon_beam.aggregator.sawtooth import FeatureBatch, collapsed, is_degraded
from chronon_beam.api.data_types import DataType, ListType, MapType
from chronon_beam.api.dialect import Operation
from chronon_beam.api.group_by import Feature
from chronon_beam.api.records import MIN_MS
from chronon_beam.fetcher.inspector.evidence import Evidence, ReadRow, ReadTile
from chronon_beam.fetcher.inspector.irs import shown, words_of


class PieceKind(StrEnum):
    """Where a piece of a value comes from."""

    COLLAPSED = "batch"  # the batch value up to the batch's end, without the hops
    HOP = "hop"  # a hop of the window's tail, of the batch
    TILE = "tile"
    ROW = "row"


class LateEvents(NamedTuple):
    """What a repair note says about late events that were merged into a tile after it had closed.

    Attributes:
        before: the feature's IR before these events, in words; None if there was no tile.
        added: the IR of the events that were merged one by one, in words; None without such events.
        events: the positions of the events that were merged one by one.
    """

    before: str | None
    added: str | None
    events: tuple[str, ...]


class Piece(NamedTuple):
    """One stored piece that a feature reads.

    Attributes:
        start_ms, end_ms: the time of its events; the end of a row is a millisecond after its start.
        ir: the feature's IR; for a row, the `ReadRow`.
        counts: whether the piece is in the feature's window.
        size_bytes: of the stored value; None for a hop, which is only a part of a value.
        events: how many events the piece holds; None if no COUNT gives the number.
        is_complete: of a tile; None for other pieces.
        is_corrected: whether late events were merged into a tile after it had closed.
        late: what a repair note says about these events.
    """

    kind: PieceKind
    start_ms: int
    end_ms: int
    ir: object
    counts: bool
    size_bytes: int | None = None
    events: int | None = None
    is_complete: bool | None = None
    is_corrected: bool = False
    late: LateEvents | None = None


class MergeStep(NamedTuple):
    """One merge.

    Attributes:
        number: counts from 1.
        piece: the piece that is merged.
        holds: the piece's IR in words.
        so_far: the merged IR in words.
        value: the value of the feature if this were the last step.
    """

    number: int
    piece: Piece
    holds: str
    so_far: str
    value: object


@dataclass(frozen=True)
class Explanation:
    """Why a feature has its value.

    Attributes:
        evidence: what the store holds.
        feature: the feature that is explained.
        batch: what the batch values hold of the feature.
        tail_ms: the beginning of the window by the sawtooth rule; `MIN_MS` without a window.
        first_ms: the time from which tiles or rows count: `tail_ms`, or the batch's end if later.
        pieces: what is stored of the feature, also outside of its window.
    """

    evidence: Evidence
    feature: Feature
    batch: FeatureBatch
    tail_ms: int
    first_ms: int
    pieces: tuple[Piece, ...] = field(repr=False)

    @property
    def counting(self) -> list[Piece]:
        """The pieces in the window, in the order in which they are merged."""
        return [piece for piece in self.pieces if piece.counts]

    @cached_property
    def column(self) -> Column:
        """The column of a tile that the feature is made of."""
        return self.evidence.fetcher.plan.aggregator.columns[self.feature.tile_index]

    @property
    def input_type(self) -> DataType:
        """The type of the column's input."""
        return self.evidence.fetcher.plan.inputs[self.feature.part.input_column]

    @property
    def is_degraded(self) -> bool:
        """Whether the batch is too old for the window to be exact."""
        window = self.feature.part.window
        evidence = self.evidence
        return (
            evidence.batch.end_ms > MIN_MS
            and window is not None
            and window.millis > TAIL_BUFFER_MS
            and is_degraded(evidence.fetcher.plan.group_by, evidence.batch.end_ms, evidence.at_ms)
        )

    def steps(self, numbers: Collection[int] | None = None) -> Iterator[MergeStep]:
        """The merges, in order.

        Args:
            numbers: of the steps to give; all by default. The words of a step take more time than
                its merge.
        """
        merging = _Merge(self)
        pieces = self.counting
        for number, piece in enumerate(pieces, start=1):
            merging.add(piece)
            if numbers is None or number in numbers:
                yield MergeStep(
                    number,
                    piece,
                    merging.words_of_piece(piece),
                    words_of(merging.ir, self.feature.part, self.input_type),
                    merging.value(),
                )


class _Merge:
    """The IR of a feature while pieces are merged into it, one at a time."""

    def __init__(self, explained: Explanation) -> None:
        plan = explained.evidence.fetcher.plan
        self._explained, self._group_by = explained, plan.group_by
        self._inputs = list(plan.inputs)
        parts = [explained.feature.part]
        entities = plan.group_by.is_entities
        self._rows = RowAggregator(parts, plan.inputs, plan.group_by, deletes=entities)
        self._column = explained.column
        self._before_hops: object = None
        self._hops: list[object] = []

    @property
    def ir(self) -> object:
        """The merged IR; hops are merged at once, since Chronon clones each if nothing else is."""
        if not self._hops:
            return self._before_hops
        return self._column.merge_window(_copy(self._column, self._before_hops), self._hops)

    def add(self, piece: Piece) -> None:
        """Merge a piece."""
        if piece.kind is PieceKind.COLLAPSED:
            self._before_hops = collapsed(self._column, self._explained.batch)
        elif piece.kind is PieceKind.TILE:
            self._before_hops = self._column.merge_decoded(self._before_hops, [piece.ir])
        elif piece.kind is PieceKind.HOP:
            self._hops.append(piece.ir)
        else:
            self._add_row(piece.ir)

    def _add_row(self, row: object) -> None:
        assert isinstance(row, ReadRow)
        accumulator = [self._before_hops]
        if self._rows.refusal(accumulator, row.values) is None:
            self._rows.update(accumulator, row.values, row.ts_ms)
        self._before_hops = accumulator[0]

    def value(self) -> object:
        """The value of the feature if no further piece is merged."""
        ir = self.ir
        if self._explained.feature.part.window is not None and not self._hops:
            ir = self._column.merge_window(_copy(self._column, ir), ())
        return self._column.finalize(ir)

    def words_of_piece(self, piece: Piece) -> str:
        """What a piece holds, in words."""
        feature = self._explained.feature.part
        if piece.kind is not PieceKind.ROW:
            return words_of(piece.ir, feature, self._explained.input_type)
        assert isinstance(piece.ir, ReadRow)
        row = dict(zip(self._inputs, piece.ir.values, strict=False))
        said = f"{feature.input_column} = {shown(row[feature.input_column])}"
        if feature.bucket:
            said += f", {feature.bucket} = {shown(row[feature.bucket])}"
        taken_back = self._group_by.is_entities and piece.ir.values[-1]
        return f"takes back {said}" if taken_back else said


def _copy(column: Column, ir: object) -> object:
    return None if ir is None else column.operation.clone(ir)


def explain(evidence: Evidence, name: str) -> Explanation:
    """Why the feature `name` has its value; raises KeyError if there is no such feature."""
    group_by = evidence.fetcher.plan.group_by
    index = next((i for i, f in enumerate(group_by.features) if f.name == name), None)
    if index is None:
        raise KeyError(name)
    feature = group_by.features[index]
    own = evidence.batch.of(index, feature)
    tail = tail_ms(feature.part.window, evidence.at_ms)
    counted = _count_feature(evidence, feature)
    pieces = (
        *_of_collapsed(feature, own, counted, evidence),
        *_of_tiles(evidence, feature, own, counted),
        *_of_rows(evidence, own, tail),
        *_of_hops(feature, own, counted, evidence),
    )
    return Explanation(evidence, feature, own, tail, max(tail, own.end_ms), pieces)


def counted_column(evidence: Evidence, feature: Feature) -> str | None:
    """The column whose COUNT tells how many events a piece holds; None if there is no COUNT."""
    counted = _count_feature(evidence, feature)
    return counted and counted.feature.part.input_column


class _CountFeature(NamedTuple):
    """A COUNT of the GroupBy, which tells how many events a piece holds.

    Attributes:
        index: the place of the feature among the features of the GroupBy.
    """

    index: int
    feature: Feature

    def has_window_of(self, other: Feature) -> bool:
        """Whether this COUNT is over the window of another feature."""
        return self.feature.part.window == other.part.window


def _count_feature(evidence: Evidence, feature: Feature) -> _CountFeature | None:
    """A COUNT beside the feature, of the same window if there is one; None without a COUNT."""
    plan = evidence.fetcher.plan
    found = [
        (each.part.window != feature.part.window, index, each)
        for index, each in enumerate(plan.group_by.features)
        if each.part.operation is Operation.COUNT
        and each.part.bucket is None
        and not isinstance(plan.inputs[each.part.input_column], (ListType, MapType))
    ]
    _, index, counted = min(found, key=lambda each: each[:2], default=(None, None, None))
    return None if index is None or counted is None else _CountFeature(index, counted)


def _of_collapsed(
    feature: Feature, own: FeatureBatch, counted: _CountFeature | None, evidence: Evidence
) -> Iterator[Piece]:
    if own.collapsed is None:
        return
    window, events = feature.part.window, None
    if counted and counted.has_window_of(feature):
        events = _as_count(evidence.batch.of(*counted).collapsed)
    start_ms = own.end_ms - window.millis + TAIL_BUFFER_MS if window else MIN_MS
    size = evidence.batch_bytes
    yield Piece(PieceKind.COLLAPSED, start_ms, own.end_ms, own.collapsed, True, size, events)


def _of_tiles(
    evidence: Evidence,
    feature: Feature,
    own: FeatureBatch,
    counted: _CountFeature | None,
) -> Iterator[Piece]:
    if not evidence.fetcher.tiled or not evidence.fetcher.streamed:
        return
    wanted = span(feature, evidence.fetcher.plan.specs, evidence.at_ms)
    first_ms = max(wanted.start_ms, own.end_ms)
    for tile in evidence.tiles:
        if tile.spec == wanted.spec:
            counts = first_ms <= tile.start_ms < wanted.end_ms
            index = counted.feature.tile_index if counted else None
            known = index is not None and index in tile.spec.columns
            yield Piece(
                PieceKind.TILE,
                tile.start_ms,
                tile.end_ms,
                tile.accumulator[feature.tile_index],
                counts,
                tile.size_bytes,
                _as_count(tile.accumulator[index]) if known and index is not None else None,
                tile.is_complete,
                tile.is_corrected or tile.note is not None,
                _late_events(evidence, feature, tile),
            )


def _late_events(evidence: Evidence, feature: Feature, tile: ReadTile) -> LateEvents | None:
    note, plan = tile.note, evidence.fetcher.plan
    if note is None:
        return None

    def words(stored: bytes | None) -> str | None:
        if stored is None:
            return None
        ir = plan.tiles.decode(stored)[0][feature.tile_index]
        return words_of(ir, feature.part, plan.inputs[feature.part.input_column])

    return LateEvents(words(note.before), words(note.added), note.events)


def _as_count(ir: object) -> int:
    return ir if isinstance(ir, int) else 0


def _of_rows(evidence: Evidence, own: FeatureBatch, tail: int) -> Iterator[Piece]:
    for row in evidence.rows:
        past = row.changed_ms < evidence.at_ms and row.ts_ms < evidence.at_ms
        counts = past and own.end_ms <= row.changed_ms and tail <= row.ts_ms
        yield Piece(PieceKind.ROW, row.ts_ms, row.ts_ms + 1, row, counts, row.size_bytes, 1)


def _of_hops(
    feature: Feature, own: FeatureBatch, counted: _CountFeature | None, evidence: Evidence
) -> Iterator[Piece]:
    window = feature.part.window
    if window is None:
        return
    first_ms = tail_ms(window, evidence.at_ms)
    until_ms = own.end_ms - window.millis + TAIL_BUFFER_MS
    same = counted and counted.has_window_of(feature)
    counts_by_start = dict(evidence.batch.of(*counted).hops) if counted and same else {}
    for start_ms, ir in own.hops:
        if start_ms < own.end_ms - window.millis - window.hop_ms:
            continue  # of a longer window with hops of the same size
        if ir is not None:
            counts = first_ms <= start_ms < until_ms
            events = _as_count(counts_by_start.get(start_ms)) if same else None
            end_ms = min(start_ms + window.hop_ms, own.end_ms)
            yield Piece(PieceKind.HOP, start_ms, end_ms, ir, counts, events=events)
