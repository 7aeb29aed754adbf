"""The summary of a job: what it says, and that it adds up."""

import pytest

from chronon_beam.api.counts import Metric
from chronon_beam.pipeline.summary import Totals, summary, upload_summary

PLAIN = {
    "messages": 1000,
    "rows": 900,
    "filtered": 90,
    "tiles": 900,
    Metric.LATE: 5,
    Metric.WRITTEN: 905,
}


def test_summary_accounts_for_every_event() -> None:
    assert summary({**PLAIN, Metric.DEAD_DECODE: 10}, 2.0).splitlines() == [
        "1,000 events in 2.0 s, start-up included",
        "  900 rows, 90 events filtered out, 10 dead letters (Decode 10)",
        "  900 tiles, 5 late events, 905 writes",
        "  1 % of the events are dead; --max_dead is 50 % of 100 or more events",
    ]
    assert summary({}, 0.0).startswith("0 events in 0.0 s, start-up included\n  0 rows, 0 events")


def test_row_that_is_dead_is_not_counted_as_a_row_as_well() -> None:
    totals = Totals({**PLAIN, Metric.DEAD_DECODE: 8, Metric.DEAD_EVALUATE: 2, Metric.DEAD_TILE: 7})
    assert (totals.rows, totals.dead, totals.missing) == (893, 17, 0)
    assert "  893 rows, 90 events filtered out, 17 dead letters (Decode 8, Evaluate 2, Tile 7)" in (
        summary(totals.counts, 1.0)
    )


def test_events_of_several_rows_are_reported() -> None:
    totals = Totals({"messages": 10, "rows": 25, "extra_rows": 16, "filtered": 1})
    assert totals.missing == 0
    assert "25 rows (16 more than one per event), 1 events filtered" in summary(totals.counts, 1.0)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("dead_read", "  2 dead letters of input that could not be read"),
        (Metric.DEAD_WRITE, "  2 requests that could not be written"),
        ("dead_delete", "  2 rows that were taken back from some columns only"),
        ("dead_unite", "  2 batch values that could not be made"),
        ("ahead", "  2 records with a time too far ahead to close any tile"),
        ("dead_repeated", "  2 more dead letters, of further tiles of such rows"),
    ],
)
def test_what_is_not_an_event_has_a_line_of_its_own(name: str, line: str) -> None:
    counts = {**PLAIN, Metric.DEAD_DECODE: 10, name: 2}
    for told in (summary(counts, 1.0), upload_summary(counts, 1.0)):
        assert told.splitlines()[1].endswith("10 dead letters (Decode 10)")
        assert told.splitlines()[3:-1] == [line]


def test_event_that_is_missing_is_reported() -> None:
    assert "10 events are unaccounted for" in summary(PLAIN, 1.0)
