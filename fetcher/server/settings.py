"""The settings of a feature server, which stay the same while it runs."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ServerLimits:
    """The limits beyond which a server refuses, so that its memory stays bounded.

    Attributes:
        body_bytes: size of the body of one request; status 413 beyond.
        rows: of one request; 422 beyond.
        body_s: how long a client may take to send a body; 408 beyond.
        fetch_s: how long a fetch may take; 503 beyond.
        in_flight: fetches at a time; 503 beyond.
        held_bytes: bodies of all requests at a time; 503 beyond.
        connections: at a time; 503 beyond.
        head_bytes: of the first line and headers of a request; 431 beyond.
        head_s: how long a client may take to send them; the connection is closed beyond.
        idle_s: how long a connection stays open without a request.
        stall_s: how long a client may leave an answer unread; the connection is closed beyond.
        drain_s: how long requests may take to finish when the server stops.
    """

    body_bytes: int = 1 << 20
    rows: int = 1_000
    body_s: float = 10.0
    fetch_s: float = 5.0
    in_flight: int = 256
    held_bytes: int = 64 << 20
    connections: int = 5_000
    head_bytes: int = 64 << 10
    head_s: float = 10.0
    idle_s: int = 60
    stall_s: float = 30.0
    drain_s: int = 30


@dataclass(frozen=True)
class Settings:
    """How a server answers.

    Attributes:
        compat: give Chronon's own answers where this project's differ.
        local: whether the store is read in this process, without waiting for a network: small
            requests then read it at once, and larger ones in a thread.
        refresh_s: seconds between two reads of the store's catalog.
        silence_s: how long a read of the catalog may take before the server is no longer ready.
        token: the bearer token that callers must send; None lets every caller in.
        access_log: write one line per request to standard output.
        threads: how many threads a process has for large requests and for the catalog.
    """

    compat: bool = False
    local: bool = False
    refresh_s: float = 5.0
    silence_s: float = 30.0
    token: str | None = field(default=None, repr=False)
    access_log: bool = True
    threads: int = 4
    limits: ServerLimits = ServerLimits()
