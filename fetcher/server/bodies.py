"""Reads the body of a request, within limits of size and time, and the rows in it."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from chronon_beam.fetcher.server.refusal import BUSY, ClientDisconnect, Refusal
from chronon_beam.fetcher.server.settings import ServerLimits

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Bodies:
    """The bodies of requests that the server holds at the moment.

    Attributes:
        held_bytes: the size of all of them. A caller of `read` calls `release` when the request is
            answered.
    """

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self.held_bytes = 0

    async def read(self, headers: list[tuple[bytes, bytes]], receive: Receive) -> bytes:
        """The whole body.

        Raises:
            Refusal: the body is too large, too slow or encoded, or the server holds too many.
            ClientDisconnect: the client has left.
        """
        self._check(headers)
        held = 0
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(self._limits.body_s):
                more = True
                while more:
                    chunk, more = await _next(receive)
                    held += len(chunk)
                    self.held_bytes += len(chunk)
                    self._check_size(held)
                    chunks.append(chunk)
        except BaseException as error:
            self.held_bytes -= held
            if isinstance(error, TimeoutError):
                seconds = f"{self._limits.body_s:g} s"
                raise Refusal(408, f"the body has not come within {seconds}") from None
            raise
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def release(self, body: bytes) -> None:
        """Take a body that `read` has given out of `held_bytes`."""
        self.held_bytes -= len(body)

    def _check(self, headers: list[tuple[bytes, bytes]]) -> None:
        for name, value in headers:
            if name == b"content-length" and value.isdigit():
                self._check_size(int(value[:20]))
            elif name == b"content-encoding" and value != b"identity":
                raise Refusal(415, "the body is encoded: send JSON as it is")

    def _check_size(self, size: int) -> None:
        most = self._limits.body_bytes
        if size > most:
            raise Refusal(413, f"the body has more than {most} bytes: send fewer rows")
        if self.held_bytes > self._limits.held_bytes:
            raise Refusal(503, "the server holds too many bodies: try again", BUSY)


async def _next(receive: Receive) -> tuple[bytes, bool]:
    """The next part of a body, and whether more comes."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


def parse_rows(body: bytes, limits: ServerLimits) -> list[dict[str, object]]:
    """The rows of a body, which is a JSON list of objects.

    Raises:
        Refusal: the body is something else, or has too many rows.
    """
    try:
        rows = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"the body is not JSON: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Refusal(400, 'the body is not a list of objects such as [{"user_id": "5"}]')
    if len(rows) > limits.rows:
        raise Refusal(422, f"{len(rows)} rows: at most {limits.rows} are served at a time")
    return rows
