"""What closes the tiles of a job, in one sentence for `plan` and for the log of a live job."""

from chronon_beam.api.group_by import GroupBy
from chronon_beam.io.live import LiveSettings
from chronon_beam.io.sources import Source
from chronon_beam.pipeline.describe import duration


def closes_by(group_by: GroupBy, source: Source, live: LiveSettings, tiled: bool) -> str:
    """The sentence: by which time tiles close, and so which events are late.

    Args:
        group_by: what is computed.
        source: where its events come from.
        live: how far events may be out of order, and when a partition is idle.
        tiled: whether tiles are stored, rather than rows.
    """
    if not tiled:
        return "nothing closes: rows are stored as they come"
    if source.bounded:
        return "tiles close when all is read: no event is late"
    if not source.evaluates:
        return "tiles close by the times that the source promises"
    column = group_by.source.query.time_column or "ts"
    return (
        f"tiles close by event time ({column}, after the query); up to "
        f"{duration(live.disorder_ms)} out of order is not late, and a partition without an event "
        f"for {duration(live.idle_ms)} is passed over"
    )
