"""Speaks HTTP over bare sockets, as slow and broken clients do."""

import socket
from dataclasses import replace

import httpx

from chronon_beam.fetcher.server.settings import ServerLimits

WAIT_S = 300.0


def connected(client: httpx.Client) -> socket.socket:
    """A connection to the client's server, which holds few bytes that nobody reads."""
    connection = socket.socket()
    connection.settimeout(WAIT_S)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.connect((client.base_url.host, client.base_url.port or 80))
    return connection


def head(path: str, length: int | None, *more: str) -> bytes:
    """The head of a POST request; without a length its body comes in chunks."""
    size = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    return "\r\n".join((f"POST {path} HTTP/1.1", "host: test", size, *more, "", "")).encode()


def answered(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of one answer."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(connection)
    front, _, body = received.partition(b"\r\n\r\n")
    lengths = [line for line in front.lower().split(b"\r\n") if line.startswith(b"content-length")]
    length = int(lengths[0].split(b":")[1])
    while len(body) < length:
        body += _more(connection)
    return int(front.split()[1]), body


def _more(connection: socket.socket) -> bytes:
    received = connection.recv(1 << 20)
    assert received, "the server has closed the connection"
    return received


def is_closed_by_server(connection: socket.socket) -> bool:
    """Waits until the server closes a connection, and reads what comes before."""
    try:
        while connection.recv(1 << 20):
            pass
    except ConnectionResetError:
        pass
    return True


PATIENT = ServerLimits(
    body_bytes=10_000,
    rows=100,
    body_s=WAIT_S,
    fetch_s=WAIT_S,
    in_flight=2,
    connections=10,
    head_bytes=5_000,
    head_s=WAIT_S,
    stall_s=WAIT_S,
    idle_s=int(WAIT_S),
)
"""Limits that tests reach, but for those of time."""

HASTY = replace(PATIENT, body_s=0.2, head_s=0.2, stall_s=0.2, idle_s=1)
"""Limits of the time that clients may take."""

IMPATIENT = replace(PATIENT, fetch_s=0.2)
"""A limit of the time that the store may take."""
