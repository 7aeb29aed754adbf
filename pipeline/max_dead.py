"""How many dead letters a job may have before it counts as failed."""

import re
from typing import NamedTuple


class MaxDead(NamedTuple):
    """A limit for dead letters of events and rows.

    Attributes:
        number: the most dead letters; None if only their share is limited.
        percent: the most dead letters in percent of all events; None if their number is limited.
        least: with fewer events than this, the share is not looked at.
    """

    number: int | None = None
    percent: float | None = 50.0
    least: int = 100

    def exceeded(self, dead: int, events: int) -> bool:
        """Whether `dead` dead letters of `events` events are too many.

        >>> MaxDead().exceeded(50, 100), MaxDead().exceeded(51, 100), MaxDead().exceeded(99, 99)
        (False, True, False)
        """
        if self.number is not None:
            return dead > self.number
        assert self.percent is not None
        return events >= self.least and dead * 100 > self.percent * events

    def __str__(self) -> str:
        if self.number is not None:
            return f"{self.number:,}"
        return f"{self.percent:g} %" + (f" of {self.least} or more events" if self.least else "")


def parse_max_dead(text: str) -> MaxDead:
    """The limit that a text `N` or `P%` stands for; it holds for any number of events.

    >>> parse_max_dead("0"), parse_max_dead("2.5%").percent
    (MaxDead(number=0, percent=None, least=0), 2.5)

    Raises:
        ValueError: `text` is not such a limit, or is more than 100 %.
    """
    found = re.fullmatch(r"(?:(\d+)|(\d+(?:\.\d+)?)\s*%)", text.strip(), re.ASCII)
    if found is None or float(found[2] or 0) > 100:
        raise ValueError(f"{text!r}: write a number of events, as in 10, or a share, as in 2.5%")
    if found[1]:
        return MaxDead(int(found[1]), None, 0)
    return MaxDead(None, float(found[2]), 0)
