"""The settings of tiling, in one record that travels from the flags to the stage."""

from dataclasses import dataclass, field
from enum import Enum

from chronon_beam.transforms.tiling.triggers import Trigger


class Late(Enum):
    """What becomes of a late event; `tiling.life` says which events are late."""

    REPAIR = "repair"
    """The event is merged into its tile."""
    DEAD_LETTER = "dead_letter"
    """The event is a failure of the step `Tile`."""


@dataclass(frozen=True)
class Tiling:
    """How rows become tiles. The defaults here are the defaults of the flags.

    Attributes:
        trigger: when tiles are written.
        lateness_ms: how long after its end a tile still takes events.
        late: what becomes of late events.
        shards: into how many parts keys are split; fixed for the life of a job's state.
    """

    trigger: Trigger = field(default_factory=Trigger)
    lateness_ms: int = 0
    late: Late = Late.REPAIR
    shards: int = 4
