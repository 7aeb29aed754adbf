"""How two times of a feature differ: the pieces that are in its window at one of them only."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from chronon_beam.fetcher.inspector import times
from chronon_beam.fetcher.inspector.explain import Explanation, Piece, PieceKind
from chronon_beam.fetcher.inspector.view import Look, step_row


class Difference(NamedTuple):
    """A piece that is in the window at one of two times only.

    Attributes:
        kind: of the piece.
        where: the time of the piece.
        holds: the piece's IR in words.
        at: the time at which the piece is in the window.
        why: why it is not in the window at the other time.
    """

    kind: str
    where: str
    holds: str
    at: str
    why: str


def differences(looks: Sequence[Look]) -> list[Difference]:
    """The pieces that are in the window at one of two times, in order of time, and why."""
    first, second = looks
    found = [*_only_at(first, second), *_only_at(second, first)]
    return [difference for _, difference in sorted(found, key=lambda each: each[0])]


def _only_at(here: Look, there: Look) -> Iterator[tuple[int, Difference]]:
    """The pieces that are in the window at `here` alone, with their starts."""
    known = {_identity(piece) for piece in there.explained.counting}
    counting = enumerate(here.explained.counting, start=1)
    numbers = {number for number, piece in counting if _identity(piece) not in known}
    for step in here.explained.steps(numbers):
        why = _why_not(step.piece, there.explained)
        row = step_row(step)
        yield step.piece.start_ms, Difference(row.kind, row.where, step.holds, here.at, why)


def _identity(piece: Piece) -> tuple[PieceKind, int, int, str]:
    row = repr(piece.ir) if piece.kind is PieceKind.ROW else ""
    return piece.kind, piece.start_ms, piece.end_ms, row


def _why_not(piece: Piece, explained: Explanation) -> str:
    at = times.stamp(explained.evidence.at_ms)
    if piece.start_ms >= explained.evidence.at_ms:
        return f"begins after {at}"
    if piece.start_ms < explained.tail_ms:
        return f"before the window of {at}, which begins {times.stamp(explained.tail_ms)}"
    return f"not the tile that a query at {at} reads"
