"""Times and lengths of time as the page shows them; all times are UTC."""

from datetime import UTC, datetime, timedelta

from chronon_beam.api.dialect import DAY_MS, HOUR_MS

_EPOCH = datetime.fromtimestamp(0, UTC)
_MINUTE_MS = 60_000
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def _moment(ms: int) -> datetime | None:
    try:
        return _EPOCH + timedelta(milliseconds=ms)
    except OverflowError:
        return None


def stamp(ms: int) -> str:
    """Date and time, as exact as the time is.

    >>> stamp(1_500), stamp(3_600_000), stamp(-(1 << 62))
    ('1970-01-01 00:00:01.500', '1970-01-01 01:00', 'the beginning')
    """
    moment = _moment(ms)
    if moment is None:
        return "the beginning" if ms < 0 else "the end"
    return f"{moment:%Y-%m-%d} {_clock(ms, moment)}"


def clock(ms: int) -> str:
    """The time of the day, as exact as the time is; for times whose date is known."""
    moment = _moment(ms)
    return stamp(ms) if moment is None else _clock(ms, moment)


def _clock(ms: int, moment: datetime) -> str:
    precision = "minutes" if ms % _MINUTE_MS == 0 else "seconds" if ms % 1000 == 0 else None
    return moment.time().isoformat(precision or "milliseconds")


def day(ms: int) -> str:
    """The day alone.

    >>> day(1_357_250_400_000)
    '3 Jan'
    """
    moment = _moment(ms)
    return stamp(ms) if moment is None else f"{moment.day} {_MONTHS[moment.month - 1]}"


def stretch(start_ms: int, end_ms: int) -> str:
    """From one time to another; the day is said once if it is the same.

    >>> stretch(1_357_250_400_000, 1_357_250_700_000)
    '2013-01-03 22:00 – 22:05'
    """
    same_day = start_ms // DAY_MS == end_ms // DAY_MS
    return f"{stamp(start_ms)} – {clock(end_ms) if same_day else stamp(end_ms)}"


def length(ms: int) -> str:
    """A length of time.

    >>> length(21_600_000), length(300_000), length(129_600_000), length(1_500)
    ('6 h', '5 min', '1 d 12 h', '1.5 s')
    """
    sign, ms = ("-", -ms) if ms < 0 else ("", ms)
    parts = []
    for unit_ms, unit in ((DAY_MS, "d"), (HOUR_MS, "h"), (_MINUTE_MS, "min")):
        count, ms = divmod(ms, unit_ms)
        if count:
            parts.append(f"{count:,} {unit}")
    if ms or not parts:
        parts.append(f"{ms / 1000:g} s")
    return sign + " ".join(parts[:2])


_STEPS_MS = (
    *(seconds * 1000 for seconds in (1, 5, 15, 30)),
    *(minutes * _MINUTE_MS for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * HOUR_MS for hours in (1, 2, 3, 6, 12)),
    *(days * DAY_MS for days in (1, 2, 5, 10, 20, 50, 100, 365, 3650)),
)

MOST_TICKS = 9
"""How many ticks an axis has at most."""


def ticks(start_ms: int, end_ms: int) -> list[tuple[int, str]]:
    """Round times of an axis with their labels; the first of each day is labelled with the day.

    >>> ticks(39_600_000, 50_400_000)[:3]
    [(39600000, '1 Jan 11:00'), (41400000, '11:30'), (43200000, '12:00')]
    """
    wide = (end_ms - start_ms) / MOST_TICKS
    step_ms = next((step for step in _STEPS_MS if step >= wide), _STEPS_MS[-1])
    first_ms = -(-start_ms // step_ms) * step_ms
    moments = range(first_ms, end_ms + 1, step_ms)[: MOST_TICKS + 1]
    return [(ms, _label(ms, ms == first_ms)) for ms in moments]


def _label(ms: int, is_first: bool) -> str:
    if ms % DAY_MS == 0:
        return day(ms)
    return f"{day(ms)} {clock(ms)}" if is_first else clock(ms)
