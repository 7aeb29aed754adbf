"""The options of `bigtable://PROJECT/INSTANCE?name=value`: instance, time limits, size of calls."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from chronon_beam.api.plugins import refuse_unknown
from chronon_beam.io.uri import duration_ms, parse_uri

DAY_MS = 86_400_000
SCHEME = "bigtable:"

_NAME = re.compile(r"[a-z]([-a-z0-9.:]*[a-z0-9])?")
_EXAMPLE = "bigtable://my-project/my-instance"


class BigtableOptions(NamedTuple):
    """The settings of a Bigtable store; in a URI the parameters have the same names.

    Attributes:
        project: the project's id.
        instance: the instance's id.
        app_profile: routes the calls; empty for the instance's default.
        max_age_ms: new tables drop cells older than this, by the start of their tile; None keeps
            all cells. In a URI `5d` or `none`.
        wait_ms: how long a write waits for a store that is down before the write fails.
        attempt_ms: how long one call may take.
        read_wait_ms: how long a read is tried.
        rows: the most rows in one call.
        bytes: the most bytes in one call of several rows.
        age_ms: the longest that a row waits for other rows before it is sent.
        in_flight: the most calls under way at a time in one process.
    """

    project: str
    instance: str
    app_profile: str = ""
    max_age_ms: int | None = 5 * DAY_MS
    wait_ms: int = 600_000
    attempt_ms: int = 20_000
    read_wait_ms: int = 10_000
    rows: int = 2000
    bytes: int = 4 << 20
    age_ms: int = 200
    in_flight: int = 8

    @property
    def name(self) -> str:
        """The instance's full name, as Google's APIs write it."""
        return f"projects/{self.project}/instances/{self.instance}"


def bigtable_options(uri: str) -> BigtableOptions:
    """The options in `uri`.

    >>> bigtable_options("bigtable://shop/features?max_age=none&wait=2m").wait_ms
    120000

    Raises:
        ValueError: a malformed URI, an unknown parameter, or a value that makes no sense.
    """
    parsed = parse_uri(uri)
    refuse_unknown(parsed.parameters, tuple(_READERS), SCHEME)
    place = re.fullmatch(r"//([^/]+)/([^/]+)/?", parsed.location)
    if place is None:
        raise ValueError(f"{uri!r} names no project and instance: write for example {_EXAMPLE}")
    for name in place.groups():
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{uri!r} names no project and instance: {name!r} is no id: small letters, digits "
                f"and - are expected, for example {_EXAMPLE}"
            )
    return BigtableOptions(place[1], place[2])._replace(**_given(parsed.parameters, uri))


def _given(parameters: Mapping[str, str], uri: str) -> dict[str, object]:
    found = {}
    for name, text in parameters.items():
        field, read = _READERS[name]
        try:
            found[field] = read(text)
        except ValueError as error:
            raise ValueError(f"{name}={text} in {uri!r}: {error}") from error
    return found


def _profile(text: str) -> str:
    if not re.fullmatch(r"[-_.a-zA-Z0-9]+", text):
        raise ValueError("an app profile's id is expected")
    return text


def _age(text: str) -> int | None:
    return None if text == "none" else _duration(text)


def _duration(text: str) -> int:
    found = duration_ms(text)
    if not 0 < found <= 10_000 * DAY_MS:
        raise ValueError("more than nothing, and less than 10000d, is expected")
    return found


def _count(most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise ValueError(f"1 to {most} is expected")
        return int(text)

    return read


_READERS: dict[str, tuple[str, Callable[[str], object]]] = {
    "app_profile": ("app_profile", _profile),
    "max_age": ("max_age_ms", _age),
    "wait": ("wait_ms", _duration),
    "attempt": ("attempt_ms", _duration),
    "read_wait": ("read_wait_ms", _duration),
    "rows": ("rows", _count(50_000)),  # 100,000 mutations a call is Bigtable's limit
    "bytes": ("bytes", _count(200 << 20)),
    "age": ("age_ms", _duration),
    "in_flight": ("in_flight", _count(1000)),
}
"""Each parameter of a URI: its field, and the function that reads its text."""
