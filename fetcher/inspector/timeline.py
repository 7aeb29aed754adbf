"""The pieces of a feature on a time line, as shapes: across in per cent, up in pixels."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from chronon_beam.fetcher.inspector import times
from chronon_beam.fetcher.inspector.explain import Explanation, Piece, PieceKind

TILES_HEIGHT = 72
"""Height of the tallest bar."""

MOST_BARS = 720
"""If there are more pieces, neighbours are drawn as one bar."""

_LEAST_HEIGHT = 6
_LEAST_WIDTH = 0.18


class Bar(NamedTuple):
    """A bar for one piece, or for several that are too narrow to be drawn one by one.

    Attributes:
        left, width: per cent of the time line.
        height: pixels.
        classes: names of CSS classes; the last name decides the colour.
        title: the text that appears under a pointer.
        step: number of the merge step, for one piece in the window; else None.
    """

    left: float
    width: float
    height: int
    classes: str
    title: str
    step: int | None


class Tick(NamedTuple):
    """A round time of the axis; every second one is left out where there is little room."""

    left: float
    label: str
    is_spare: bool


class Timeline(NamedTuple):
    """A time line.

    Attributes:
        start_ms, end_ms: the time that it covers.
        batch: bars of the batch value; those of its hops after the collapsed piece.
        streamed: bars of tiles or rows.
        tail, query: where the window begins and ends, per cent; `tail` None without a window.
        batch_end: where the batch ends, per cent; None without one.
        most: how many events the tallest bar stands for; None without a COUNT.
    """

    start_ms: int
    end_ms: int
    batch: list[Bar]
    streamed: list[Bar]
    ticks: list[Tick]
    tail: float | None
    query: float
    batch_end: float | None
    most: int | None


class Extent(NamedTuple):
    """The time that a time line covers."""

    start_ms: int
    end_ms: int

    def left(self, ms: int) -> float:
        """The place of a time, in per cent from the left."""
        share = (ms - self.start_ms) / max(self.end_ms - self.start_ms, 1)
        return round(100 * min(max(share, 0.0), 1.0), 3)


def extent(explanations: Sequence[Explanation]) -> Extent:
    """The time that the time lines of explanations cover, with a little room on both sides."""
    starts, ends = [], []
    for each in explanations:
        window = each.feature.part.window
        at_ms = each.evidence.at_ms
        bounded = [
            piece for piece in each.pieces if piece.kind is not PieceKind.COLLAPSED or window
        ]
        ends += [at_ms, *(piece.end_ms for piece in bounded if piece.counts)]
        if window:
            starts.append(each.tail_ms)
        elif bounded:
            starts.append(min(piece.start_ms for piece in bounded))
    start_ms, end_ms = min(starts, default=min(ends) - 3_600_000), max(ends)
    room_ms = max((end_ms - start_ms) // 40, 1)
    return Extent(start_ms - room_ms, end_ms + room_ms)


def timeline(explained: Explanation, covered: Extent) -> Timeline:
    """The time line of a feature."""
    numbers = {id(piece): number for number, piece in enumerate(explained.counting, start=1)}
    batch = [
        piece for piece in explained.pieces if piece.kind in (PieceKind.COLLAPSED, PieceKind.HOP)
    ]
    streamed = [
        piece for piece in explained.pieces if piece.kind in (PieceKind.TILE, PieceKind.ROW)
    ]
    seen = [p for p in streamed if p.end_ms > covered.start_ms and p.start_ms < covered.end_ms]
    binned = list(_bins(seen, covered))
    most = max((_events(pieces) or 0 for pieces in binned), default=0)
    end_ms = explained.evidence.batch.end_ms
    within = covered.start_ms < end_ms < covered.end_ms
    axis = times.ticks(*covered)
    return Timeline(
        covered.start_ms,
        covered.end_ms,
        [_bar([piece], covered, 1, numbers) for piece in batch],
        [_bar(pieces, covered, most, numbers) for pieces in binned],
        [Tick(covered.left(ms), label, i % 2 == 1) for i, (ms, label) in enumerate(axis)],
        covered.left(explained.tail_ms) if explained.feature.part.window else None,
        covered.left(explained.evidence.at_ms),
        covered.left(end_ms) if within else None,
        most or None,
    )


def _bins(pieces: Sequence[Piece], covered: Extent) -> Iterator[list[Piece]]:
    """Each piece by itself; if there are too many, the pieces of each bin of time together."""
    if len(pieces) <= MOST_BARS:
        yield from ([piece] for piece in pieces)
        return
    bin_ms = -(-(covered.end_ms - covered.start_ms) // MOST_BARS)
    ordered = sorted(pieces, key=lambda piece: piece.start_ms)
    for _, found in groupby(ordered, key=lambda piece: (piece.start_ms // bin_ms, piece.counts)):
        yield list(found)


def _events(pieces: Iterable[Piece]) -> int | None:
    known = [piece.events for piece in pieces if piece.events is not None]
    return sum(known) if known else None


def _bar(pieces: list[Piece], covered: Extent, most: int, numbers: dict[int, int]) -> Bar:
    left = covered.left(pieces[0].start_ms)
    width = max(covered.left(max(piece.end_ms for piece in pieces)) - left, _LEAST_WIDTH)
    events = _events(pieces)
    share = 0.5 if events is None or not most else max(events, 0) / most
    height = max(round(share * TILES_HEIGHT), _LEAST_HEIGHT)
    alone = numbers.get(id(pieces[0])) if len(pieces) == 1 else None
    return Bar(left, round(width, 3), height, _classes(pieces), _title(pieces, events), alone)


def _classes(pieces: Sequence[Piece]) -> str:
    """The kind of the pieces, and what is special about them, as names of CSS classes."""
    classes = [pieces[0].kind.value]
    if any(piece.is_corrected for piece in pieces):
        classes.append("corrected")
    elif any(piece.is_complete is False for piece in pieces):
        classes.append("open")
    if not pieces[0].counts:
        classes.append("outside")
    return " ".join(classes)


def _title(pieces: Sequence[Piece], events: int | None) -> str:
    first, last = pieces[0], pieces[-1]
    name = {PieceKind.COLLAPSED: "batch", PieceKind.HOP: "batch hop"}.get(first.kind, first.kind)
    said = [f"{len(pieces):,} {name}s" if len(pieces) > 1 else str(name)]
    if first.kind is PieceKind.ROW and len(pieces) == 1:
        said.append(times.stamp(first.start_ms))
    else:
        said.append(times.stretch(first.start_ms, last.end_ms))
    if events is not None and first.kind is not PieceKind.ROW:
        said.append(f"{events:,} event{'' if events == 1 else 's'}")
    said += _state(pieces)
    return ", ".join(said)


def _state(pieces: Sequence[Piece]) -> Iterator[str]:
    sizes = [piece.size_bytes for piece in pieces if piece.size_bytes is not None]
    if sizes:
        yield f"{sum(sizes):,} bytes"
    if len(pieces) == 1 and pieces[0].is_complete is not None:
        yield "complete" if pieces[0].is_complete else "isComplete = false"
    if any(piece.is_corrected for piece in pieces):
        yield "corrected by late events"
    if not pieces[0].counts:
        yield "outside the window"
