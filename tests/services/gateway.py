"""A gateway in front of a schema registry, which lets nothing pass until the registry is whole.

The registry of the tests keeps its schemas in memory: killed and started again, it answers before
it has them back, which a registry with a store of its own does not.
"""

import threading
import urllib.error
import urllib.request
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Gateway:
    """Started by the constructor.

    Attributes:
        url: takes the place of the registry's.
        open: whether questions reach the registry; else the answer is 503.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.open = True
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, path: str) -> tuple[int, bytes]:
        """Status and body of the registry's answer, or of the gateway's own."""
        if not self.open:
            return 503, b'{"error_code": 503, "message": "the gateway is closed"}'
        try:
            with urllib.request.urlopen(f"{self.upstream}{path}", timeout=30) as found:
                return found.status, found.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 502, b'{"error_code": 502, "message": "the registry is down"}'

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, gateway: Gateway, *connection: Any) -> None:
        self._gateway = gateway
        super().__init__(*connection)

    def do_GET(self) -> None:
        status, body = self._gateway.answer(self.path)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
