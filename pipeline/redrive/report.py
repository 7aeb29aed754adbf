"""What becomes of each letter when it is redriven, and the report about all of them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from chronon_beam.io.dead_letters.letter import Letter
from chronon_beam.pipeline.json_lines import to_json


class Fate(StrEnum):
    """What became of a letter, or would become of it."""

    REDRIVEN = "redriven"
    FILTERED = "filtered out"
    BEFORE = "redriven before"
    REMAINING = "remaining"  # for now: to be tried again
    LASTING = "not replayable"  # no redrive will ever take it


class Verdict(NamedTuple):
    """The fate of a letter.

    Attributes:
        why: for letters that remain.
    """

    letter: Letter
    fate: Fate
    why: str = ""


@dataclass
class Report:
    """The verdicts of one redrive.

    Attributes:
        dry_run: whether nothing was done.
        elsewhere: the number of letters of other GroupBys, which are left alone.
    """

    dry_run: bool
    verdicts: list[Verdict] = field(default_factory=list)
    elsewhere: int = 0

    @property
    def remaining(self) -> int:
        """How many letters are to be tried again."""
        return sum(each.fate is Fate.REMAINING for each in self.verdicts)

    def lines(self) -> Iterator[str]:
        """A line per fate, step and cause, and how many letters there are in all."""
        for (fate, step, why), number in self._numbers():
            said = "would be redriven" if self.dry_run and fate is Fate.REDRIVEN else fate
            yield f"{said}: {number:,} of {step}{f': {why}' if why else ''}"
        by_fate = Counter(each.fate for each in self.verdicts)
        fates = ", ".join(f"{by_fate[fate]:,} {fate}" for fate in Fate if by_fate[fate])
        more = f"; {self.elsewhere:,} of other GroupBys" if self.elsewhere else ""
        yield f"{len(self.verdicts):,} letters{f': {fates}' if fates else ''}{more}"

    def json(self) -> str:
        """The same as one JSON object."""
        letters = [
            {"fate": fate, "step": step, "why": why, "letters": number}
            for (fate, step, why), number in self._numbers()
        ]
        return to_json(
            {"dry_run": self.dry_run, "letters": letters, "of_other_group_bys": self.elsewhere}
        )

    def _numbers(self) -> Sequence[tuple[tuple[Fate, str, str], int]]:
        """The number of letters per fate, step and cause.

        Letters with the same class of error count as one cause, with the reason of the first one.
        """
        first: dict[tuple[Fate, str, str], str] = {}
        numbers: Counter[tuple[Fate, str, str]] = Counter()
        for letter, fate, why in self.verdicts:
            cause = letter.error if why == letter.failure.reason else why
            key = fate, letter.failure.step, cause
            first.setdefault(key, why)
            numbers[key] += 1
        order = list(Fate)
        ordered = sorted(numbers, key=lambda key: (order.index(key[0]), *key[1:]))
        return [
            ((fate, step, first[fate, step, cause]), numbers[fate, step, cause])
            for fate, step, cause in ordered
        ]
