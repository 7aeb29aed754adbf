"""The outermost ASGI application: checks the bearer token, and writes the access log."""

import hmac
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TextIO

import orjson

from chronon_beam.fetcher.server.bodies import Receive
from chronon_beam.fetcher.server.fetch_endpoint import ROWS, Scope
from chronon_beam.fetcher.server.metrics import Metrics
from chronon_beam.fetcher.server.refusal import ClientDisconnect, HttpHeaders, errors_json
from chronon_beam.fetcher.server.responses import Send, send_body
from chronon_beam.fetcher.server.settings import Settings

App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN = frozenset(("/ping", "/healthz", "/readyz"))
"""Paths without a token, for load balancers."""

CHALLENGE: HttpHeaders = [(b"www-authenticate", b"Bearer")]
CLIENT_LEFT = 499
"""The status in the log of a request whose client has disconnected."""


class Front:
    """The ASGI application around all others."""

    def __init__(
        self, app: App, settings: Settings, metrics: Metrics, log: TextIO | None = None
    ) -> None:
        self._app, self._metrics = app, metrics
        token = settings.token
        self._expected = None if token is None else b"Bearer " + token.encode()
        self._log = (log or sys.stdout) if settings.access_log else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; pass on other ASGI events, as of the lifespan."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s, status = time.perf_counter(), CLIENT_LEFT

        async def send_and_note(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            if self._is_admitted(scope):
                await self._app(scope, receive, send_and_note)
            else:
                refusal = errors_json("a bearer token is needed, or this one is wrong")
                await send_body(send_and_note, refusal, 401, headers=CHALLENGE)
        except ClientDisconnect:
            pass
        if status >= 400:
            self._metrics.refused.labels(str(status)).inc()
        self._write(scope, status, time.perf_counter() - began_s)

    def _is_admitted(self, scope: Scope) -> bool:
        if self._expected is None or scope["path"] in OPEN:
            return True
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        return len(given) == 1 and hmac.compare_digest(given[0], self._expected)

    def _write(self, scope: Scope, status: int, seconds: float) -> None:
        """Write one JSON line, without body and query, which may hold keys of entities."""
        if self._log is None:
            return
        line = {
            "at_ms": int(time.time() * 1000),
            "client": (scope.get("client") or ("",))[0],
            "method": scope["method"],
            "path": scope["raw_path"][:200].decode("latin-1"),
            "status": status,
            "rows": scope.get(ROWS),
            "ms": round(seconds * 1000, 2),
        }
        self._log.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE).decode())
        self._log.flush()
