"""The life of a tile: its phases, and what a late event does in each of them.

The tiles of one shard and window live together. What moves them on is the runner's watermark:

      window
    |--------|----- lateness -----|----- KEPT_MS = 24 h -----|
    start    end                  |                          |            watermark -->
       OPEN        CLOSED             CLOSED_FOR_GOOD             EXPIRED

    phase            an event that comes      what is written then            what the job keeps
    OPEN             is added to its tile     the whole tile                  all tiles
    CLOSED           is added to its tile     the whole tile                  all tiles
    CLOSED_FOR_GOOD  is a tile of its own     the stored tile, merged with    the phase alone
                                              the tile of this event
    EXPIRED          as when the window was   as in OPEN                      nothing
                     new

With a lateness of 0 there is no phase CLOSED. When the watermark passes `end`, all tiles are
written once more, with isComplete: this field of Chronon's tiles is true in exactly that write.

An event is *late* if its partition had promised, before the event, that nothing at
`end + lateness - 1` or before would come (see `Messages.promised_ms`). So the log decides whether
an event is late, and not the watermark: the answer is the same each time the log is read. The
watermark never passes what the partitions have promised, so an event in time finds its window OPEN
or CLOSED, each time; a late event may find any phase, and each time another one.

Therefore a late event must be counted once although one attempt has added it to its tile, and a
later attempt finds the window closed. These rules see to it:

- A tile that has an event in time is written as a whole with the next event in time, and at the
  latest when it closes. So the store holds then what the last attempt has, and nothing of others.
- A tile that has no event in time is never written as a whole, and has no closing write. Each of
  its events is merged into the stored tile, which knows by name what was merged (see `io.repair`).
- In the phase CLOSED, a late event is merged by name, too. It is added to the kept tile as well, so
  that the next event in time writes a tile with all.
"""

from dataclasses import dataclass

from chronon_beam.api.records import Phase

KEPT_MS = 24 * 60 * 60 * 1000
"""How long the phase is kept after a window has closed for good. A source that promises nothing may
still give an event of the window: without the phase, the event would begin its tile anew."""


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

    def ends_ms(self, phase: Phase) -> int:
        """The watermark at which `phase` ends."""
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
