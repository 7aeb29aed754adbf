"""The HTTP protocol of uvicorn, with limits that uvicorn expects of a proxy.

Without limits, clients that send a request or read an answer slowly would use up the connections,
and clients that send endless headers would use up the memory.
"""

import asyncio
from asyncio.events import TimerHandle

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chronon_beam.fetcher.server.refusal import errors_json
from chronon_beam.fetcher.server.settings import ServerLimits

LINGER_S = 0.5
"""How long a refused connection stays open for the client to read why."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection; its limits are in the state that the application's lifespan has yielded."""

    _head_bytes = 0
    _in_head = True
    _is_refused = False
    _head_timer: TimerHandle | None = None
    _stall_timer: TimerHandle | None = None

    @property
    def limits(self) -> ServerLimits:
        """The limits, which are the same for all connections."""
        return self.app_state["limits"]

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take a connection, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._refuse(b"503 Service Unavailable", "the server has too many connections")
        else:
            self._head_timer = self.loop.call_later(self.limits.head_s, self._abort)

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request."""
        if self._is_refused or self.transport.is_closing():
            return
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.head_bytes:
                self._refuse(b"431 Request Header Fields Too Large", "the headers are too large")

    def on_message_begin(self) -> None:
        """The first byte of a request has come."""
        self._in_head, self._head_bytes = True, 0
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.limits.head_s, self._abort)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The request can be answered."""
        self._in_head = False
        self._unset_head_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The whole request has come."""
        self._unset_head_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is sent, perhaps before the whole body of the request has come."""
        super().on_response_complete()
        if self.cycle.more_body and self._head_timer is None:
            # Closing at once would reset the connection, and the client would lose the answer.
            self._head_timer = self.loop.call_later(self.limits.head_s, self._abort)

    def pause_writing(self) -> None:
        """The client does not read its answer."""
        super().pause_writing()
        if self._stall_timer is None:
            self._stall_timer = self.loop.call_later(self.limits.stall_s, self._abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        self._unset_stall_timer()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """The connection has been idle for too long: close it, also if an answer is unread."""
        self._abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._unset_head_timer()
        self._unset_stall_timer()
        super().connection_lost(exc)

    def _unset_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _unset_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _abort(self) -> None:
        self.transport.abort()

    def _refuse(self, status: bytes, reason: str) -> None:
        """Answer before a request is complete, and close after the client had time to read."""
        self._is_refused = True
        self._unset_head_timer()
        body = errors_json(reason)
        head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
        more = b"retry-after: 1\r\nconnection: close\r\n\r\n"
        self.transport.write(head % (status, len(body)) + more + body)
        self.transport.write_eof()
        self._head_timer = self.loop.call_later(LINGER_S, self._abort)
