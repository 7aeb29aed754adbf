"""Answers requests for features: rows in, one result per row out."""

import time
from collections.abc import Callable, MutableMapping
from typing import Any

from chronon_beam.fetcher.rows import Cause, Failed, Outcome
from chronon_beam.fetcher.server.answers import Answers
from chronon_beam.fetcher.server.bodies import Bodies, Receive, parse_rows
from chronon_beam.fetcher.server.compat import without_renames
from chronon_beam.fetcher.server.fetches import Fetches
from chronon_beam.fetcher.server.query import QueryParameters, parse_query
from chronon_beam.fetcher.server.refusal import BUSY, Refused
from chronon_beam.fetcher.server.responses import Send, send_body
from chronon_beam.fetcher.server.served import ServedFeatures, ServedGroupBy
from chronon_beam.fetcher.server.settings import Settings

Scope = MutableMapping[str, Any]

ROWS = "chronon.rows"
"""Where a request's scope holds the number of its rows, for the access log."""


class FetchRows:
    """The ASGI application of a path that features are fetched by.

    Args:
        find: what is served under a name, or None.
    """

    def __init__(
        self,
        served: ServedFeatures,
        find: Callable[[str], ServedGroupBy | None],
        settings: Settings,
        bodies: Bodies,
        fetches: Fetches,
    ) -> None:
        self._served, self._find = served, find
        self._settings, self._bodies, self._fetches = settings, bodies, fetches
        self._answers = Answers(settings.compat)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began_s = time.perf_counter()
        served = self._find(scope["path_params"]["name"])
        status, headers = 200, None
        try:
            body = await self._body(served, scope, receive)
        except Refused as refused:
            status, body, headers = refused.status, refused.body, refused.headers
        if served is not None:
            served.measured.request(status, time.perf_counter() - began_s)
        await send_body(send, body, status, headers=headers)

    async def _body(self, served: ServedGroupBy | None, scope: Scope, receive: Receive) -> bytes:
        asked = parse_query(scope["query_string"])
        self._check(served, scope["path_params"]["name"], asked)
        body = await self._bodies.read(scope["headers"], receive)
        try:
            rows = parse_rows(body, self._settings.limits)
            scope[ROWS] = len(rows)
            if served is None:
                outcomes = _unknown(len(rows))
            else:
                outcomes = await self._fetches.outcomes(served, rows, asked.at_ms)
                if self._settings.compat and served.of_zipline:
                    outcomes = without_renames(outcomes)
            return self._answers.body(rows, outcomes, asked.features)
        finally:
            self._bodies.release(body)

    def _check(self, served: ServedGroupBy | None, name: str, asked: QueryParameters) -> None:
        """Refuse what is not served; Chronon's services answer for it, row by row."""
        if served is None:
            if not self._served.ready:
                raise Refused(503, "the store has not been read yet: try again", BUSY)
            if not self._settings.compat:
                raise Refused(404, f"nothing of the name {name[:200]!r} is served")
            return
        if served.reason:
            raise Refused(503, served.reason)
        unknown = [each for each in asked.features or () if each not in served.features]
        if unknown:
            raise Refused(422, f"{served.name} has no feature {unknown[0][:80]!r}")


def _unknown(rows: int) -> list[Outcome]:
    reason = "Couldn't fetch GroupByServingInfo: the store has nothing of this name"
    return [Failed(reason, Cause.QUERY)] * rows
