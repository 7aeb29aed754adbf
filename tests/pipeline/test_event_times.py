"""What the times of events say about the time column."""

import datetime as dt

import pytest
from command_line import ANN, Cli, Flag
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.pipeline.event_times import event_times

NOON_S = 1_714_564_800
NOW_S = 1_800_000_000


@given(st.integers(-(2**43), 2**43), st.integers(0, 2**43))
def test_range_is_reported_with_a_warning_where_something_is_odd(first: int, length: int) -> None:
    told, *warnings = event_times(first, first + length, NOW_S)
    assert told.startswith("  event times from ")
    usual = first >= 365 * 86_400 and first + length <= NOW_S + 86_400
    assert bool(warnings) == (not usual)


@pytest.mark.parametrize(
    ("first_s", "last_s", "warning"),
    [
        (NOON_S // 1000, NOON_S // 1000 + 50, "they look like seconds (write TIME * 1000)"),
        (NOON_S * 1000, NOON_S * 1000, "they look like microseconds (write TIME DIV 1000)"),
        (1, 86_400, "warning: not all of them are between 1971 and 2099"),
        (-1, 2, "the time column is in milliseconds since the epoch"),
        (NOW_S, NOW_S + 200_000, "the latest is 2 days in the future"),
    ],
)
def test_what_is_odd_is_named(first_s: int, last_s: int, warning: str) -> None:
    (found,) = list(event_times(first_s, last_s, NOW_S))[1:]
    assert warning in found


@pytest.mark.parametrize(("first_s", "last_s"), [(0, 0), (1, 2), (0, 86_399)])
def test_times_that_count_from_0_are_reported_and_not_warned_of(first_s: int, last_s: int) -> None:
    (found,) = list(event_times(first_s, last_s, NOW_S))[1:]
    assert "they count from 0, as in examples" in found
    assert "warning" not in found


@pytest.mark.parametrize(
    ("factor", "told"),
    [
        (1, "  event times from 2024-05-01T12:00:00Z to 2024-05-01T13:00:00Z"),
        (1 / 1000, "they look like seconds (write TIME * 1000)"),
        (1000, "they look like microseconds (write TIME DIV 1000)"),
    ],
)
@pytest.mark.parametrize("trigger", ["every_event", "buffered:100ms"])
def test_summary_has_the_range_and_the_warning_on_both_embedded_runners(
    chronon_beam: Cli, declared: Flag, events: Flag, factor: float, told: str, trigger: str
) -> None:
    times = [int(ms * factor) for ms in (NOON_S * 1000, (NOON_S + 3600) * 1000)]
    source = events(*({**ANN, "t": time} for time in times))
    ran = chronon_beam("run", declared(), source, "--store=null:", f"--trigger={trigger}")
    assert ran.code == 0
    assert told in ran.err


def test_summary_of_an_upload_has_the_range_too(
    chronon_beam: Cli, declared: Flag, events: Flag, store: str
) -> None:
    noon = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
    source = events({**ANN, "t": int(noon.timestamp()) * 1000})
    ran = chronon_beam("upload", declared(), source, store, "--ds=2024-05-01")
    assert "event times from 2024-05-01T12:00:00Z to 2024-05-01T12:00:00Z" in ran.err
