"""Sends answers that are whole in memory."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from chronon_beam.fetcher.server.refusal import HttpHeaders

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON = b"application/json"


async def send_body(
    send: Send,
    body: bytes,
    status: int = 200,
    kind: bytes = JSON,
    headers: HttpHeaders | None = None,
) -> None:
    """Send an answer; browsers must neither guess its type nor keep it."""
    head = [
        (b"content-type", kind),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    start = {"type": "http.response.start", "status": status, "headers": head + (headers or [])}
    await send(start)
    await send({"type": "http.response.body", "body": body})
