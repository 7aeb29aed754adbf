"""Answers to requests that are not served: a status and a reason, in Chronon's form of an error."""

import orjson

Headers = list[tuple[bytes, bytes]]

BUSY: Headers = [(b"retry-after", b"1")]


class Refusal(Exception):
    """A request that is answered by an error.

    Attributes:
        status: of HTTP.
        reason: a sentence for the caller.
        headers: of the answer, beside those of every answer.
    """

    def __init__(self, status: int, reason: str, headers: Headers | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers or []

    @property
    def body(self) -> bytes:
        """`{"errors": [reason]}`, the shape of Chronon's errors."""
        return errors_json(self.reason)


class ClientDisconnect(Exception):
    """The client has left before its request was whole."""


def errors_json(reason: str) -> bytes:
    """The body of an error, whatever text the reason is made of."""
    return orjson.dumps({"errors": [reason.encode(errors="replace").decode()]})
