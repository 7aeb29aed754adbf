"""Sends requests to a server at a fixed rate, or as fast as it answers: a process of its own.

    echo '{"url": "http://127.0.0.1:8080/x", "bodies": ["[]"], "rate": 200, "seconds": 5}' |
        python benchmarks/serving_load.py

At a fixed rate each request has a time when it is due, whether or not those before it have been
answered, and its latency counts from then: a slow answer makes the requests behind it slow too, and
hides none of them. Rate 0 sends the next request of a connection when it has the answer.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Load:
    """One run.

    Attributes:
        url: where to post.
        bodies: JSON texts, posted in turn.
        rate: requests per second; 0 for as many as are answered.
        seconds: how long.
        connections: at a time.
        latencies_s: of each answered request.
        errors: answers of another status than 200.
    """

    url: str
    bodies: list[str]
    rate: float
    seconds: float
    connections: int
    latencies_s: list[float] = field(default_factory=list)
    errors: int = 0
    _next: int = 0

    async def run(self) -> float:
        """Send all; gives the seconds that it took."""
        began = time.perf_counter() + 0.05
        await asyncio.gather(*(self._connection(began) for _ in range(self.connections)))
        return time.perf_counter() - began

    async def _connection(self, began: float) -> None:
        parts = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        heads = f"POST {parts.path}?{parts.query} HTTP/1.1\r\nHost: bench\r\n"
        heads += "Content-Type: application/json\r\nContent-Length: "
        while True:
            number, self._next = self._next, self._next + 1
            now = time.perf_counter()
            due = began + number / self.rate if self.rate else max(now, began)
            if due >= began + self.seconds:
                break
            if due > now:
                await asyncio.sleep(due - now)
            body = self.bodies[number % len(self.bodies)].encode()
            writer.write(f"{heads}{len(body)}\r\n\r\n".encode() + body)
            self.errors += await _status(reader) != 200
            self.latencies_s.append(time.perf_counter() - due)
        writer.close()


async def _status(reader: asyncio.StreamReader) -> int:
    """Read an answer; gives its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])


def main() -> int:
    """Run what standard input asks for; print the latencies' quantiles as JSON."""
    load = Load(**json.load(sys.stdin))
    took_s = asyncio.run(load.run())
    ordered = sorted(load.latencies_s)
    found = {
        "answers": len(ordered),
        "errors": load.errors,
        "per_s": round(len(ordered) / took_s, 1),
        "p50_ms": round(ordered[len(ordered) // 2] * 1000, 2),
        "p99_ms": round(ordered[len(ordered) * 99 // 100] * 1000, 2),
    }
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
