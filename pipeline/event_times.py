"""Finds a wrong time column by the times of a job's events, for the summary."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from chronon_beam.api.time_text import parse_moment

_EPOCH = datetime.fromtimestamp(0, UTC)
_FIRST_S, _END_S = (parse_moment(day) // 1000 for day in ("1971-01-01", "2100-01-01"))
_LIKELY_S = parse_moment("1990-01-01") // 1000
_DAY_S = 86_400

_UNITS = {"seconds": (1000, "* 1000"), "microseconds": (1 / 1000, "DIV 1000")}
"""If the numbers of the time column are in this unit: milliseconds per unit, and the SQL for it."""


def event_times(earliest_s: int, latest_s: int, now_s: float) -> Iterator[str]:
    """Lines for the summary: the range of the events' times, and what is odd about it.

    Args:
        earliest_s: the time of the earliest event, in seconds since the epoch.
        latest_s: the time of the latest event.
        now_s: the time now.
    """
    yield f"  event times from {_text(earliest_s)} to {_text(latest_s)}"
    if earliest_s >= 0 and latest_s < _DAY_S:  # no real moments, in whatever unit they are
        yield "  they count from 0, as in examples: real times are milliseconds since the epoch"
    elif earliest_s < _FIRST_S or latest_s >= _END_S:
        yield (
            "  warning: not all of them are between 1971 and 2099: "
            f"{_unit_hint(earliest_s, latest_s)}the time column is in milliseconds since the epoch"
        )
    elif latest_s > now_s + _DAY_S:
        days = int((latest_s - now_s) / _DAY_S)
        yield f"  warning: the latest is {days:,} days in the future: no query of now counts it"


def _unit_hint(earliest_s: int, latest_s: int) -> str:
    """The unit in which the numbers would be times of our days; empty if there is none."""
    for unit, (factor, sql) in _UNITS.items():
        if earliest_s * factor >= _LIKELY_S and latest_s * factor < _END_S:
            return f"they look like {unit} (write TIME {sql}); "
    return ""


def _text(time_s: int) -> str:
    """A time for people; also of years that Python's dates do not have.

    >>> _text(1_777_629_600), _text(10**14)
    ('2026-05-01T10:00:00Z', 'about the year 3170844')
    """
    try:
        return (_EPOCH + timedelta(seconds=time_s)).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return f"about the year {1970 + round(time_s / (365.2425 * _DAY_S))}"
