"""The endpoints that give features: a request has rows, and its answer one result per row."""

import time
from collections.abc import Callable, MutableMapping
from typing import Any

from chronon_beam.fetcher.server.answers import Answers, Members, dumps, json_members
from chronon_beam.fetcher.server.bodies import Bodies, Receive, parse_rows
from chronon_beam.fetcher.server.compat import unknown_names
from chronon_beam.fetcher.server.fetch_runner import FetchRunner
from chronon_beam.fetcher.server.query import QueryParameters, parse_query
from chronon_beam.fetcher.server.refusal import BUSY, Refusal
from chronon_beam.fetcher.server.responses import Send, send_body
from chronon_beam.fetcher.server.served import ServedFeatures, ServedName
from chronon_beam.fetcher.server.settings import Settings

Scope = MutableMapping[str, Any]

ROWS = "chronon.rows"
"""Where a request's scope holds the number of its rows, for the access log."""


class FetchContext:
    """What all endpoints that give features share."""

    def __init__(
        self, served: ServedFeatures, settings: Settings, bodies: Bodies, runner: FetchRunner
    ) -> None:
        self.served, self.settings, self.bodies, self.runner = served, settings, bodies, runner


class FetchEndpoint:
    """The ASGI application of one path that gives features.

    Args:
        kind: `groupby` or `join`.
        members: the form that features have in an answer.
    """

    def __init__(self, context: FetchContext, kind: str, members: Members = json_members) -> None:
        served = context.served
        find: dict[str, Callable[[str], ServedName | None]] = {
            "groupby": served.group_by,
            "join": served.join,
        }
        self._context, self._kind, self._find = context, kind, find[kind]
        self._answers = Answers(context.settings.compat, members)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began_s = time.perf_counter()
        served = self._find(scope["path_params"]["name"])
        status, headers = 200, None
        try:
            body = await self._body(served, scope, receive)
        except Refusal as refusal:
            status, body, headers = refusal.status, refusal.body, refusal.headers
        if served is not None:
            served.metrics.request(status, time.perf_counter() - began_s)
        await send_body(send, body, status, headers=headers)

    async def _body(self, served: ServedName | None, scope: Scope, receive: Receive) -> bytes:
        asked = parse_query(scope["query_string"])
        self._check(served, scope["path_params"]["name"], asked)
        bodies = self._context.bodies
        body = await bodies.read(scope["headers"], receive)
        try:
            rows = parse_rows(body, self._context.settings.limits)
            scope[ROWS] = len(rows)
            if served is None:
                return dumps({"results": unknown_names(self._kind, scope["path"], rows)})
            outcomes = await self._context.runner.outcomes(served, rows, asked.at_ms)
            return dumps({"results": self._answers.results(served, rows, outcomes, asked.features)})
        finally:
            bodies.release(body)

    def _check(self, served: ServedName | None, name: str, asked: QueryParameters) -> None:
        """Refuse what is not served; with `--compat` an unknown name is answered, row by row."""
        if served is None:
            if not self._context.served.ready:
                raise Refusal(503, "the store has not been read yet: try again", BUSY)
            if not self._context.settings.compat:
                raise Refusal(404, f"nothing of the name {name[:200]!r} is served")
            return
        if served.reason:
            raise Refusal(503, served.reason)
        unknown = [each for each in asked.features or () if each not in served.output_names]
        if unknown:
            raise Refusal(422, f"{served.name} has no feature {unknown[0][:80]!r}")
