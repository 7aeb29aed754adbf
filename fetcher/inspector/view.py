"""What the page shows, as records: the templates only lay them out."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from chronon_beam.aggregator.operations.table import OPERATIONS
from chronon_beam.api.derivations import own
from chronon_beam.api.group_by import Feature, GroupByError
from chronon_beam.api.records import MIN_MS
from chronon_beam.api.time_text import moment_text
from chronon_beam.fetcher.fetch import Features
from chronon_beam.fetcher.inspector import times
from chronon_beam.fetcher.inspector.evidence import Evidence, ReadRow
from chronon_beam.fetcher.inspector.explain import (
    Explanation,
    MergeStep,
    Piece,
    PieceKind,
    counted_column,
    explain,
)
from chronon_beam.fetcher.inspector.question import Question
from chronon_beam.fetcher.inspector.timeline import Extent, Timeline, timeline

FEW = "few"
"""The value of `Question.steps` for two merges below each other, which show few steps each."""

_FIRST_STEPS, _LAST_STEPS = 3, 12
"""How many steps are shown of a long merge."""

_LAST_OF_TWO = 5
"""How many of the last steps are shown of each of two merges."""

_MOST_STEPS = 2000
"""How many of the last steps are shown if all steps are wanted."""

_STEPS = {"all": _MOST_STEPS, FEW: _LAST_OF_TWO}


def value_text(value: object) -> str:
    """A feature's value as JSON, whole.

    >>> value_text("é"), value_text(None), value_text([2.5, b"ab"])
    ('"é"', 'null', '[2.5, "0x6162"]')
    """
    return json.dumps(_plain(value), ensure_ascii=False, default=str)


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    return value


class FeatureRow(NamedTuple):
    """A line of the table of features.

    Attributes:
        made_of: its aggregation or its derivation, in words.
        values: one per time.
        differs: whether the values at the two times differ.
        link: to the explanation of the feature; None for a derived feature.
        is_chosen: whether the page explains this feature.
    """

    name: str
    made_of: str
    window: str
    values: tuple[str, ...]
    differs: bool
    link: str | None
    is_chosen: bool


class StepRow(NamedTuple):
    """A step of the merge, or the steps that are left out.

    Attributes:
        skipped: how many steps are left out in this place; 0 for a step.
    """

    skipped: int
    step: MergeStep | None = None
    where: str = ""
    value: str = ""

    @property
    def kind(self) -> str:
        """The kind of the piece that is merged."""
        assert self.step is not None
        return "batch hop" if self.step.piece.kind is PieceKind.HOP else self.step.piece.kind.value


@dataclass(frozen=True)
class Look:
    """What the page shows of a feature at one time.

    Attributes:
        at: the time, for people.
        moment: the time, for a link.
        value: of the feature.
        line: the pieces on a time line.
        facts: names and sentences about the window.
        warnings: why the value may not be what a reader expects.
        steps: of the merge.
        counted: the column whose COUNT tells how many events a piece holds; None without a COUNT.
    """

    at: str
    moment: str
    value: str
    evidence: Evidence
    explained: Explanation
    line: Timeline
    facts: list[tuple[str, str]]
    warnings: list[str]
    steps: list[StepRow]
    counted: str | None

    @property
    def caption(self) -> str:
        """What a bar of the time line stands for, and what its height means."""
        if any(piece.kind is PieceKind.ROW for piece in self.explained.pieces):
            return "Each bar is a row, or several rows where there is no room for each."
        if self.counted is None or not self.line.most:
            return "No COUNT tells how many events a piece holds."
        return (
            f"Heights are events by the COUNT of {self.counted}; the tallest is {self.line.most:,}."
        )

    @property
    def snapshot_end(self) -> str:
        """The end of the batch, for values of accuracy SNAPSHOT."""
        batch = self.evidence.fetcher.batch
        return "" if batch is None else times.stamp(batch.end_ms)


_LEGEND = {
    "tile": "tile, complete",
    "open": "tile, open",
    "corrected": "corrected by late events",
    "row": "row",
    "batch": "batch value",
    "hop": "batch hop",
    "outside": "outside the window",
}
"""What the colour of a bar means, by the last of the bar's CSS classes."""


def legend(looks: Sequence[Look]) -> list[tuple[str, str]]:
    """The colours that bars have: (last of the CSS classes, meaning)."""
    bars = [bar for each in looks for bar in (*each.line.batch, *each.line.streamed)]
    seen = {bar.classes.split()[-1] for bar in bars}
    return [(name, meaning) for name, meaning in _LEGEND.items() if name in seen]


def look(evidence: Evidence, feature: str, bare: Features, covered: Extent, steps: str) -> Look:
    """What the page shows of a feature at one time.

    Args:
        evidence: what the store holds at the time.
        feature: the name of the feature.
        bare: the values of all features, before derivations.
        covered: the time that the time line covers.
        steps: see `Question.steps`; `FEW` as well.
    """
    explained = explain(evidence, feature)
    return Look(
        times.stamp(evidence.at_ms),
        moment_text(evidence.at_ms),
        value_text(bare[feature]),
        evidence,
        explained,
        timeline(explained, covered),
        list(_facts(explained)),
        list(_warnings(explained)),
        _step_rows(explained, steps),
        counted_column(evidence, explained.feature),
    )


def sentence(feature: Feature) -> str:
    """What a feature is, in words."""
    part = feature.part
    said = f"{part.operation.name} of {part.input_column}"
    if part.bucket:
        said += f" by {part.bucket}"
    if part.element_wise:
        said += " for each position of the list"
    said += f" over {times.length(part.window.millis)}" if part.window else " over all time"
    return f"{said}: {OPERATIONS[part.operation].feature}"


def _facts(explained: Explanation) -> Iterator[tuple[str, str]]:
    batch = explained.evidence.fetcher.batch
    if batch is not None and batch.is_snapshot:
        yield from _facts_of_snapshot(explained, batch.end_ms)
    else:
        yield from _facts_of_merge(explained)


def _facts_of_snapshot(explained: Explanation, end_ms: int) -> Iterator[tuple[str, str]]:
    """Facts about the window of an upload, which does not depend on the time of the query."""
    window, size = explained.feature.part.window, explained.evidence.batch_bytes
    if window:
        yield "Window", f"{times.length(window.millis)} before the end of the batch"
        yield "It begins", times.stamp(end_ms - window.millis)
    else:
        yield "Window", "none: all events before the end of the batch count"
    yield "It ends", f"{times.stamp(end_ms)}, the end of the batch, and not the time of the query"
    found = (
        "no value of this key" if size is None else f"all features of the key, in {size:,} bytes"
    )
    yield "Found", found


def _facts_of_merge(explained: Explanation) -> Iterator[tuple[str, str]]:
    evidence, window = explained.evidence, explained.feature.part.window
    at_ms = evidence.at_ms
    if window:
        exact_ms = at_ms - window.millis
        length, hop = times.length(window.millis), times.length(window.hop_ms)
        yield "Window", f"{length}, whose tail jumps by hops of {hop}"
        begins = times.stamp(explained.tail_ms)
        if exact_ms != explained.tail_ms:
            begins += f": {times.stamp(exact_ms)} rounded down to a hop"
        yield "It begins", begins
    else:
        yield "Window", "none: all events count"
    yield "It ends", f"{times.stamp(at_ms)}, the time of the query"
    if evidence.batch.end_ms > MIN_MS:
        ends = times.stamp(evidence.batch.end_ms)
        if explained.batch.end_ms > MIN_MS:
            yield "Batch", f"ends {ends}; tiles and rows count from there on"
        else:
            yield "Batch", f"ends {ends}, and lacks this feature: tiles and rows count alone"
    yield "Found", _found(explained)


def _found(explained: Explanation) -> str:
    counting = explained.counting
    kinds = {kind: [p for p in counting if p.kind is kind] for kind in PieceKind}
    names = {
        PieceKind.COLLAPSED: "batch value",
        PieceKind.HOP: "batch hop",
        PieceKind.TILE: "tile",
        PieceKind.ROW: "row",
    }
    said = [
        f"{len(found):,} {names[kind]}{'' if len(found) == 1 else 's'}"
        for kind, found in kinds.items()
        if found
    ]
    size = sum(piece.size_bytes or 0 for piece in counting)
    return f"{', '.join(said)}; {size:,} bytes" if said else "nothing in the window"


def _warnings(explained: Explanation) -> Iterator[str]:
    evidence = explained.evidence
    counting = explained.counting
    ends = [p.end_ms for p in counting if p.kind is PieceKind.TILE]
    last_ms = max(ends, default=evidence.at_ms)
    if last_ms > evidence.at_ms:
        yield (
            f"The tile that {times.stamp(evidence.at_ms)} lies in counts whole: events up to "
            f"{times.stamp(last_ms)} may be in the value."
        )
    if explained.is_degraded:
        yield (
            "The batch ends more than two days before the query: its tail no longer moves, so the "
            "window reaches too far back. Upload a later day."
        )
    corrected = sum(piece.is_corrected for piece in counting)
    if corrected:
        tiles = "tile was" if corrected == 1 else "tiles were"
        yield f"{corrected:,} {tiles} corrected by late events after closing."


def _step_rows(explained: Explanation, steps: str) -> list[StepRow]:
    """The steps that are shown, and between them how many are left out."""
    numbers = _shown_numbers(explained, _STEPS.get(steps, _LAST_STEPS))
    rows, before = [], 0
    for step in explained.steps(numbers):
        if step.number > before + 1:
            rows.append(StepRow(step.number - before - 1))
        rows.append(step_row(step))
        before = step.number
    return rows


def _shown_numbers(explained: Explanation, last: int) -> set[int]:
    """The numbers of the steps that are shown: the first, the last, and those of corrections."""
    counting = explained.counting
    if len(counting) <= _FIRST_STEPS + last + 1:
        return set(range(1, len(counting) + 1))
    corrected = [n for n, piece in enumerate(counting, start=1) if piece.is_corrected]
    first = range(1, _FIRST_STEPS + 1)
    return {*first, *corrected[:_MOST_STEPS], *range(len(counting) - last + 1, len(counting) + 1)}


def step_row(step: MergeStep) -> StepRow:
    """The row of a step of the merge."""
    return StepRow(0, step, where(step.piece), value_text(step.value))


def where(piece: Piece) -> str:
    """The time of a piece; for a row that changed at another time, that time as well."""
    if isinstance(piece.ir, ReadRow):
        at, changed = times.stamp(piece.start_ms), times.stamp(piece.ir.changed_ms)
        return at if piece.ir.changed_ms == piece.start_ms else f"{at}, changed {changed}"
    return times.stretch(piece.start_ms, piece.end_ms)


def feature_rows(
    question: Question, features: Sequence[Feature], values: Sequence[Features], chosen: str
) -> list[FeatureRow]:
    """The table of features, with their values at each time."""
    rows = []
    for feature in features:
        texts = tuple(value_text(each[feature.name]) for each in values)
        window = feature.part.window
        rows.append(
            FeatureRow(
                feature.name,
                f"{feature.part.operation.name} of {feature.part.input_column}",
                times.length(window.millis) if window else "all time",
                texts,
                len(set(texts)) > 1,
                question.link(feature=feature.name, steps=""),
                feature.name == chosen,
            )
        )
    return rows


def derived_rows(evidences: Sequence[Evidence]) -> list[FeatureRow]:
    """The features that the GroupBy derives; empty if it derives none."""
    derivations = evidences[0].fetcher.plan.group_by.derivations
    if not derivations:
        return []
    expressions: Mapping[str, str] = {each.name: each.expression for each in derivations}
    try:
        values = [each.values for each in evidences]
    except GroupByError as error:
        return [FeatureRow("derived features", str(error), "", (), False, None, False)]
    rows = []
    for name in (each.name for each in own(derivations)):
        texts = tuple(value_text(each.get(name)) for each in values)
        rows.append(
            FeatureRow(name, expressions[name], "", texts, len(set(texts)) > 1, None, False)
        )
    return rows
