"""The parameters of a fetch: `?at=MS&features=a,b`, which Chronon's services do not have."""

import re
import time
from typing import NamedTuple
from urllib.parse import parse_qsl

from chronon_beam.fetcher.server.refusal import Refusal

_MS = re.compile(r"\d{1,15}", re.ASCII)
_AT_ALONE = re.compile(rb"at=(\d{1,15})")
_LAST_MS = 253_402_300_799_999
"""The end of the year 9999."""


class QueryParameters(NamedTuple):
    """The parameters of a request.

    Attributes:
        at_ms: the time of the query.
        features: the names of the features to give; None for all.
    """

    at_ms: int
    features: tuple[str, ...] | None = None


def parse_query(query: bytes) -> QueryParameters:
    """The parameters of a URL; without `at` the time of the query is now.

    Raises:
        Refusal: an unknown parameter, or a value that is not of its form.

    >>> parse_query(b"at=1000&features=a,b")
    QueryParameters(at_ms=1000, features=('a', 'b'))
    """
    if not query:
        return QueryParameters(int(time.time() * 1000))
    if alone := _AT_ALONE.fullmatch(query):  # by far the most frequent parameter
        return QueryParameters(_moment(alone[1].decode()))
    try:
        given = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=10))
    except ValueError:
        raise Refusal(422, "there are too many parameters: at and features are known") from None
    unknown = given.keys() - {"at", "features"}
    if unknown:
        raise Refusal(422, f"parameter {min(unknown)[:40]!r} is not known: at and features are")
    features = tuple(given["features"].split(",")) if "features" in given else None
    return QueryParameters(_moment(given.get("at")), features)


def _moment(text: str | None) -> int:
    if text is None:
        return int(time.time() * 1000)
    if not _MS.fullmatch(text) or int(text) > _LAST_MS:
        raise Refusal(422, f"at={text[:40]!r} is not a time in milliseconds since the epoch")
    return int(text)
