"""Times as text: what users give for a time, and how a time is printed."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta

_EPOCH = datetime.fromtimestamp(0, UTC)


def parse_moment(text: str) -> int:
    """Milliseconds since the epoch, from such a number or an ISO 8601 time (UTC by default).

    >>> parse_moment("1500"), parse_moment("2026-05-01"), parse_moment("2026-05-01T12:00:00+02:00")
    (1500, 1777593600000, 1777629600000)

    Raises:
        ArgumentTypeError: `text` is not a number and not such a time.
    """
    try:
        return int(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r} is no time: give milliseconds since the epoch, or for example "
            "2026-05-01T12:00:00Z"
        ) from None
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (zoned - _EPOCH) // timedelta(milliseconds=1)


def moment_text(ms: int) -> str:
    """A time as text that `parse_moment` reads.

    >>> moment_text(1_777_629_600_000), moment_text(1500), moment_text(10**17)
    ('2026-05-01T10:00:00Z', '1970-01-01T00:00:01.500Z', '100000000000000000')
    """
    try:
        moment = _EPOCH + timedelta(milliseconds=ms)
    except OverflowError:
        return str(ms)
    precision = "milliseconds" if ms % 1000 else "seconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")
