"""A schema registry within this process, for tests and measurements that need no real one."""

import json
import re
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

Json = dict[str, Any]
_BY_ID = re.compile(r"/schemas/ids/(\d+)")
_LATEST = re.compile(r"/subjects/([^/]+)/versions/latest")
_SUBJECT = re.compile(r"/subjects/([^/]+)(?:/versions)?")


class SmallRegistry:
    """Keeps schemas by id and by subject, as Confluent's API has it; a context manager.

    Attributes:
        url: the root of its API.
    """

    def __init__(self) -> None:
        self._by_id: list[Json] = []
        self._latest: dict[str, int] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def found(self, path: str) -> Json | None:
        """The answer to a question; None for what is not there."""
        if by_id := _BY_ID.fullmatch(path):
            number = int(by_id[1])
            return self._by_id[number - 1] if 0 < number <= len(self._by_id) else None
        latest = _LATEST.fullmatch(path)
        if latest is None or latest[1] not in self._latest:
            return None
        number = self._latest[latest[1]]
        return {**self._by_id[number - 1], "subject": latest[1], "version": 1, "id": number}

    def registered(self, path: str, schema: Json) -> Json | None:
        """The id of a schema of the subject in `path`, which is new each time it is another."""
        subject = _SUBJECT.fullmatch(path)
        if subject is None:
            return None
        if schema not in self._by_id:
            self._by_id.append(schema)
        number = self._by_id.index(schema) + 1
        self._latest[subject[1]] = number
        return {**schema, "subject": subject[1], "version": 1, "id": number}

    def __enter__(self) -> "SmallRegistry":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, registry: SmallRegistry, *connection: Any) -> None:
        self._registry = registry
        super().__init__(*connection)

    def do_GET(self) -> None:
        self._answer(self._registry.found(self.path.partition("?")[0]))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(self._registry.registered(self.path.partition("?")[0], body))

    def _answer(self, found: Json | None) -> None:
        missing = {"error_code": 40403, "message": "not there"}
        body = json.dumps(missing if found is None else found).encode()
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
