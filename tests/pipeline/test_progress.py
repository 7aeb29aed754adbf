"""Counts: of the stages, as a line while the job runs, as a summary at its end."""

import io
import time
from typing import Any

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from chronon_beam.pipeline.progress import (
    ProgressLine,
    committed,
    count,
    summary,
    tallied_since,
    tally,
)


def test_what_stages_count_is_committed_and_tallied() -> None:
    before = dict(tally)
    pipeline = beam.Pipeline(runner=FnApiRunner())
    written = pipeline | beam.Create([3, 4, 0])
    _ = written | beam.Map(lambda number: count("written", number))
    result = pipeline.run()
    result.wait_until_finish()
    assert committed(result, before) == {"written": 7}
    assert tallied_since(before)["written"] == 7


def test_runner_without_metrics_is_counted_by_the_process() -> None:
    class NoMetrics:
        def metrics(self) -> Any:
            raise NotImplementedError

    tally["written"] += 5
    before = {**tally, "written": tally["written"] - 5}
    assert committed(NoMetrics(), before)["written"] == 5  # pyright: ignore[reportArgumentType]


def test_line_shows_counts_and_rate_until_it_is_left() -> None:
    out, counts = io.StringIO(), {"messages": 1500, "written": 1200, "dead": 3}
    with ProgressLine(lambda: counts, interval_s=0.01, to=out):
        deadline_s = time.monotonic() + 5
        while not out.getvalue() and time.monotonic() < deadline_s:
            time.sleep(0.01)
    line = out.getvalue().splitlines()[0]
    assert "events 1,500  rows 0  tiles 0  late 0  dead 3  written 1,200" in line
    assert line.endswith("events/s")
    shown = out.getvalue()
    time.sleep(0.05)
    assert out.getvalue() == shown


def test_summary_accounts_for_every_event() -> None:
    counts = {"messages": 1000, "rows": 900, "filtered": 90, "dead": 10, "tiles": 900, "late": 5}
    text = summary({**counts, "written": 905}, 2.0)
    assert text.splitlines() == [
        "1,000 events in 2.0 s, start-up included",
        "  900 rows, 90 events filtered out, 10 dead letters",
        "  900 tiles, 5 late events, 905 writes",
    ]
    assert summary({}, 0.0).startswith("0 events in 0.0 s, start-up included")


def test_line_says_so_while_the_counts_are_elsewhere() -> None:
    out = io.StringIO()
    with ProgressLine(lambda: None, interval_s=0.01, to=out):
        while not out.getvalue():
            time.sleep(0.01)
    assert "running; its workers' counts come with the summary" in out.getvalue()
    assert "events" not in out.getvalue()
