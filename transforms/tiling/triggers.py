"""Triggers: when the job writes a tile that events have changed; the flag `--trigger` names one.

`every_event` writes a tile for each of its events, like Chronon's AlwaysFireOnElementTrigger.
`buffered:100ms` writes a changed tile at most once per interval, like Chronon's
BufferedProcessingTimeTrigger. With both, a tile is written once more when its window closes.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Trigger:
    """`every_event`, or at most once per interval.

    Attributes:
        interval_ms: the interval; None for every event.
    """

    interval_ms: int | None = None

    @property
    def every_event(self) -> bool:
        """Whether each event writes its tile."""
        return self.interval_ms is None

    def __str__(self) -> str:
        return "every_event" if self.every_event else f"buffered:{self.interval_ms}ms"


def parse_trigger(text: str) -> Trigger:
    """Read `every_event` or `buffered:100ms`; raises ValueError for anything else.

    >>> parse_trigger("buffered:100ms").interval_ms
    100
    """
    if text == "every_event":
        return Trigger()
    found = re.fullmatch(r"buffered:(\d+)(ms)?", text)
    if not found or int(found[1]) == 0:
        raise ValueError(
            f"unknown trigger {text!r}: give every_event, or buffered:100ms with the interval "
            "between two writes of a tile"
        )
    return Trigger(int(found[1]))
