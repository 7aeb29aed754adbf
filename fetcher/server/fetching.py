"""Answers requests for features: rows in, one result per row out."""

import time
from collections.abc import Callable, MutableMapping
from typing import Any

from chronon_beam.fetcher.server.answers import Answers, Members, dumps, of_json
from chronon_beam.fetcher.server.bodies import Bodies, Receive, parse_rows
from chronon_beam.fetcher.server.compat import unknown_names
from chronon_beam.fetcher.server.fetches import Fetches
from chronon_beam.fetcher.server.query import QueryParameters, parse_query
from chronon_beam.fetcher.server.refusal import BUSY, Refusal
from chronon_beam.fetcher.server.responses import Send, send_body
from chronon_beam.fetcher.server.served import ServedFeatures, ServedName
from chronon_beam.fetcher.server.settings import Settings

Scope = MutableMapping[str, Any]

ROWS = "chronon.rows"
"""Where a request's scope holds the number of its rows, for the access log."""


class Fetching:
    """What all paths share that features are fetched by."""

    def __init__(
        self, served: ServedFeatures, settings: Settings, bodies: Bodies, fetches: Fetches
    ) -> None:
        self.served, self.settings, self.bodies, self.fetches = served, settings, bodies, fetches


class FetchRows:
    """The ASGI application of a path that features are fetched by.

    Args:
        kind: `groupby` or `join`.
        members: the form that features have in an answer.
    """

    def __init__(self, fetching: Fetching, kind: str, members: Members = of_json) -> None:
        served = fetching.served
        find: dict[str, Callable[[str], ServedName | None]] = {
            "groupby": served.group_by,
            "join": served.join,
        }
        self._fetching, self._kind, self._find = fetching, kind, find[kind]
        self._answers = Answers(fetching.settings.compat, members)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began_s = time.perf_counter()
        served = self._find(scope["path_params"]["name"])
        status, headers = 200, None
        try:
            body = await self._body(served, scope, receive)
        except Refusal as refused:
            status, body, headers = refused.status, refused.body, refused.headers
        if served is not None:
            served.measured.request(status, time.perf_counter() - began_s)
        await send_body(send, body, status, headers=headers)

    async def _body(self, served: ServedName | None, scope: Scope, receive: Receive) -> bytes:
        asked = parse_query(scope["query_string"])
        self._check(served, scope["path_params"]["name"], asked)
        bodies = self._fetching.bodies
        body = await bodies.read(scope["headers"], receive)
        try:
            rows = parse_rows(body, self._fetching.settings.limits)
            scope[ROWS] = len(rows)
            if served is None:
                return dumps({"results": unknown_names(self._kind, scope["path"], rows)})
            outcomes = await self._fetching.fetches.outcomes(served, rows, asked.at_ms)
            return dumps({"results": self._answers.results(served, rows, outcomes, asked.features)})
        finally:
            bodies.release(body)

    def _check(self, served: ServedName | None, name: str, asked: QueryParameters) -> None:
        """Refuse what is not served; Chronon's services answer for it, row by row."""
        if served is None:
            if not self._fetching.served.ready:
                raise Refusal(503, "the store has not been read yet: try again", BUSY)
            if not self._fetching.settings.compat:
                raise Refusal(404, f"nothing of the name {name[:200]!r} is served")
            return
        if served.reason:
            raise Refusal(503, served.reason)
        unknown = [each for each in asked.features or () if each not in served.output_names]
        if unknown:
            raise Refusal(422, f"{served.name} has no feature {unknown[0][:80]!r}")
