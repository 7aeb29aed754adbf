"""The line that shows how a job is doing."""

import io
import time

from chronon_beam.api.counts import Metric
from chronon_beam.pipeline.progress import ProgressLine


def test_line_shows_counts_and_rate_until_it_is_left() -> None:
    out, counts = io.StringIO(), {"messages": 1500, Metric.WRITTEN: 1200, Metric.DEAD_DECODE: 3}
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


def test_line_of_several_group_bys_tells_whose_rows_they_are() -> None:
    out, counts = io.StringIO(), {Metric.MESSAGES: 1500, Metric.ROWS: 3000}
    with ProgressLine(lambda: counts, group_bys=2, interval_s=0.01, to=out):
        while not out.getvalue():
            time.sleep(0.01)
    assert "events 1,500  of 2 GroupBys: rows 3,000  tiles 0" in out.getvalue()


def test_line_says_so_while_the_counts_are_elsewhere() -> None:
    out = io.StringIO()
    with ProgressLine(lambda: None, interval_s=0.01, to=out):
        while not out.getvalue():
            time.sleep(0.01)
    assert "running; its workers' counts come with the summary" in out.getvalue()
    assert "events" not in out.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_terminal_has_one_live_line_and_nothing_is_left_of_it() -> None:
    out, counts = Terminal(), {"messages": 1500, Metric.WRITTEN: 1200}
    with ProgressLine(lambda: counts, interval_s=0.01, to=out):
        while "events 1,500" not in out.getvalue():
            time.sleep(0.01)
    assert "\n" not in out.getvalue()
    assert not out.getvalue().rpartition("\r")[0].rpartition("\r")[2].strip()


def test_where_events_stand_still_the_rate_is_that_of_what_moves() -> None:
    out, counts = io.StringIO(), {"messages": 1500, "tiles": 10, Metric.WRITTEN: 10}
    with ProgressLine(lambda: counts, interval_s=0.01, to=out):
        while "events/s" not in out.getvalue():
            time.sleep(0.01)
        counts = {**counts, "tiles": 900}
        while " tiles/s" not in out.getvalue():
            time.sleep(0.01)
    assert "tiles 900" in out.getvalue()
