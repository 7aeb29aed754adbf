"""Refusals of requests: a status and a reason, answered in the form of Chronon's errors."""

import orjson

HttpHeaders = list[tuple[bytes, bytes]]

BUSY: HttpHeaders = [(b"retry-after", b"1")]


class Refusal(Exception):
    """Stops a request, which is then answered by an error.

    Attributes:
        status: the HTTP status.
        reason: a sentence for the caller.
        headers: headers that this answer has in addition.
    """

    def __init__(self, status: int, reason: str, headers: HttpHeaders | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers or []

    @property
    def body(self) -> bytes:
        """`{"errors": [reason]}`, the shape of Chronon's errors."""
        return errors_json(self.reason)


class ClientDisconnect(Exception):
    """The client has disconnected before its request was complete."""


def errors_json(reason: str) -> bytes:
    """The body of an error; a character that UTF-8 cannot hold is replaced by a question mark."""
    return orjson.dumps({"errors": [reason.encode(errors="replace").decode()]})
