"""The life of a tile: its phases, and what a late event does in each of them.

The tiles of one shard and window live together. What moves them on is the runner's watermark:

      window
    |--------|----- lateness -----|----- KEPT_MS = 24 h -----|
    start    end                  |                          |            watermark -->
       OPEN        CLOSED             CLOSED_FOR_GOOD             EXPIRED

    phase            an event that comes             what a write does          what the job keeps
    OPEN             is added to its tile            puts the whole tile        all tiles
    CLOSED           is added to its tile            puts the whole tile        all tiles
    CLOSED_FOR_GOOD  is added to a tile of the       merges the late tile into  the late tiles
                     late events of its key          the stored one
    EXPIRED          is a tile of its own            merges it into the stored  the phase alone,
                                                     one                        or nothing

With a lateness of 0 there is no phase CLOSED. When the watermark passes `end`, all tiles are
written once more, with isComplete: this field of Chronon's tiles is true in exactly that write.

An event is *late* if its partition had promised, before the event, that nothing at
`end + lateness - 1` or before would come (see `Messages.promised_ms`). So the log decides whether
an event is late, and not the watermark: the answer is the same each time the log is read.

What becomes of an event depends on the phase. Whether it is late matters only if the job has no
state of the window, because the window is new or has expired: a late event then finds the phase
EXPIRED, since a tile may be stored that must not be overwritten; any other event finds it OPEN.
"""

from dataclasses import dataclass

from chronon_beam.api.records import Phase

KEPT_MS = 24 * 60 * 60 * 1000
"""How long the state is kept after a window has closed for good. A source that promises nothing
may still give an event of the window: without state, the event would begin its tile anew."""


@dataclass(frozen=True)
class Life:
    """The life of the tiles of one window.

    Attributes:
        start_ms: the window's start.
        end_ms: the window's end, exclusive.
        lateness_ms: how long after its end a tile takes events.
    """

    start_ms: int
    end_ms: int
    lateness_ms: int

    def is_late(self, promised_ms: int) -> bool:
        """Whether an event of this window is late, if its partition has promised `promised_ms`."""
        return promised_ms >= self.end_ms + self.lateness_ms - 1

    def first_phase(self, late: bool) -> Phase:
        """The phase in which an event finds a window without state."""
        return Phase.EXPIRED if late else Phase.OPEN

    def ends_ms(self, phase: Phase) -> int:
        """The watermark at which `phase` ends; for EXPIRED, at which its state is cleared."""
        if phase is Phase.OPEN:
            return self.end_ms - 1
        if phase is Phase.CLOSED:
            return self.end_ms + self.lateness_ms
        return self.end_ms + self.lateness_ms + KEPT_MS

    def next_phase(self, phase: Phase) -> Phase:
        """The phase that follows `phase`."""
        if phase is Phase.OPEN and self.lateness_ms > 0:
            return Phase.CLOSED
        return Phase.CLOSED_FOR_GOOD if phase in (Phase.OPEN, Phase.CLOSED) else Phase.EXPIRED
