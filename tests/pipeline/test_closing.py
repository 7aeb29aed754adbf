"""Which time closes tiles, as `plan` and the log of a live job say it."""

import apache_beam as beam
import pyarrow as pa
import pytest
from declarations import events, group_by, windows

from chronon_beam.api import Aggregation, Operation
from chronon_beam.io.live import LiveSettings
from chronon_beam.io.sources import Source, open_source
from chronon_beam.pipeline.closing import closes_by

GROUP_BY = group_by(
    "t.closing",
    ["k"],
    [Aggregation("d", Operation.SUM, windows("1h"))],
    sources=events("k", "d", time_column="created * 1000"),
)
LIVE = LiveSettings(disorder_ms=60_000, idle_ms=5_000)


class OwnPromises(Source):
    """A live source of another package, which promises without the job's rows."""

    bounded = False

    def transform(self, columns: pa.Schema) -> beam.PTransform:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("uri", "begins"),
    [
        ("file:events.jsonl", "tiles close when all is read"),
        ("kafka://broker:9092/t?start=earliest&stop=end", "tiles close when all is read"),
        ("kafka://broker:9092/t", "tiles close by event time (created * 1000, after the query)"),
    ],
)
def test_what_closes_tiles(uri: str, begins: str) -> None:
    assert closes_by(GROUP_BY, open_source(uri), LIVE, tiled=True).startswith(begins)


def test_how_long_is_waited_for_events() -> None:
    said = closes_by(GROUP_BY, open_source("kafka://broker:9092/t"), LIVE, tiled=True)
    assert "up to 1 min out of order is not late" in said
    assert "a partition without an event for 5 s is passed over" in said


def test_a_source_that_promises_by_itself() -> None:
    said = closes_by(GROUP_BY, OwnPromises(), LIVE, tiled=True)
    assert said == "tiles close by the times that the source promises"


def test_rows_close_nothing() -> None:
    said = closes_by(GROUP_BY, open_source("kafka://broker:9092/t"), LIVE, tiled=False)
    assert said == "nothing closes: rows are stored as they come"
