"""What a job counts: the names of all metrics, and how a stage is told where to count.

In Beam every metric is in the namespace `chronon`, under the names that stand here. The counts of
a job add up (see `pipeline.summary`):

    messages + extra_rows = rows + filtered + dead_decode + dead_evaluate
"""

from collections.abc import Callable, Mapping
from enum import StrEnum

Count = Callable[[str, int], None]
"""Takes a metric's name and a number to add to it; called once per batch, in a worker."""


class Metric(StrEnum):
    """The metrics of a job, besides the dead letters of each step (`dead`)."""

    MESSAGES = "messages"
    """Messages that were read, each of which should be one event."""
    ROWS = "rows"
    """Rows that the query made of the events."""
    TOMBSTONES = "tombstones"
    """Kafka records without a value, which are not messages."""
    AHEAD = "ahead"
    """Kafka records with an event time too far ahead of theirs, or of now, to promise anything."""
    LOST = "lost"
    """Ranges of Kafka offsets that were deleted before they were read, each with a dead letter."""
    EXTRA_ROWS = "extra_rows"
    """Rows beyond the first of their event: `explode` makes such rows, and changes of entities."""
    FILTERED = "filtered"
    """Events without a row, because a where was not true or nothing was left to explode."""
    TILES = "tiles"
    """Tiles that were made to be written: the same tile counts each time."""
    LATE = "late"
    """Events that came after their tile had closed, and were merged into it."""
    DEAD_REPEATED = "dead_repeated"
    """Dead letters beyond the first of a row: where a row has several tiles, each may refuse it."""
    OUTSIDE = "outside"
    """Rows of an upload in no window, or after the batch's end."""
    VALUES = "values"
    """Batch values that an upload made, one per key."""
    WRITTEN = "written"
    """Requests that the store has taken."""
    RETRIED = "retried"
    """Requests that were sent again because the store had not taken them."""
    EARLIEST_S = "earliest_s"
    """The earliest time of a batch of rows, as a distribution: its least value is the job's."""
    LATEST_S = "latest_s"
    """The latest time of a batch of rows, as a distribution: its greatest value is the job's."""
    WRITE_BATCH_MS = "write_batch_ms"
    """How long the store took for a batch of requests, as a distribution."""


DISTRIBUTIONS = frozenset({Metric.WRITE_BATCH_MS, Metric.EARLIEST_S, Metric.LATEST_S})
"""Metrics whose numbers are values to be spread out, not to be added up."""

EXTREMES: Mapping[str, Callable[[int, int], int]] = {Metric.EARLIEST_S: min, Metric.LATEST_S: max}
"""Distributions of which one value is wanted, and how two of them become one."""


UNREAD = "unread: "
"""What the name of a metric begins with that says which input could not be read, and how far."""


def dead(step: str) -> str:
    """The metric of a step's dead letters; `step` is that of `Failure.step`.

    >>> dead("Decode")
    'dead_decode'
    """
    return f"dead_{step.lower()}"


def uncounted(name: str, number: int) -> None:
    """For a stage that stands alone: no count is kept."""
