"""The life of a tile: its phases, and what a late event does in each of them.

All tiles of one shard and window are in the same phase. A phase ends when the runner's watermark
passes its end:

      window
    |--------|----- lateness -----|----- KEPT_MS = 24 h -----|
    start    end                  |                          |            watermark -->
       OPEN        CLOSED             CLOSED_FOR_GOOD             EXPIRED

    phase            an event in time             a late event                    the job keeps
    OPEN             is added to its tile: the    is added to its tile: that is   all tiles
                     whole tile is written        written if it has an event in
                                                  time, else as in CLOSED
    CLOSED           is added to its tile: the    is added to its tile, and       all tiles
                     whole tile is written        merged into the stored tile
    CLOSED_FOR_GOOD  is merged into the stored    is merged into the stored tile  the phase alone
                     tile, as a late event
    EXPIRED          begins a new tile, as in OPEN                                nothing

With a lateness of 0 there is no phase CLOSED. When the watermark passes `end`, all tiles are
written once more, with isComplete: this field of Chronon's tiles is true in exactly that write.

An event is *late* if its partition had promised, before the event, that no further event with a
time of `end + lateness - 1` or before would come (see `Messages.promised_ms`). So the log decides
whether an event is late, and not the watermark: the answer is the same each time the log is read.
The watermark never passes what the partitions have promised, so an event in time finds its window
OPEN or CLOSED each time. (A source that promises nothing, such as files, has no late events, and
its events may find any phase.) A late event may find any phase, and another one at each attempt.

Therefore a late event may be added to its tile by one attempt, and find the window closed in the
next one. It counts exactly once all the same, by three rules:

- A tile that has an event in time is written as a whole with the next event in time, and at the
  latest when it closes. This write replaces all that earlier attempts have stored.
- A tile that has late events only is never written as a whole, and has no closing write. Each of
  its events is merged into the stored tile, whose note names the events that were merged (see
  `io.repair`). The first event in time then replaces the stored tile by the whole one.
- In the phase CLOSED, a late event is merged into the stored tile in the same way. It is added to
  the job's own tile as well, so that the whole tile that the next event in time writes has it.
"""

from dataclasses import dataclass

from chronon_beam.api.records import Phase

KEPT_MS = 24 * 60 * 60 * 1000
"""How long the phase is kept after a window has closed for good. If an event of the window comes
after that, it begins a new tile, and that replaces the stored one."""


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
        """Whether an event is late whose partition had promised `promised_ms` before it."""
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
