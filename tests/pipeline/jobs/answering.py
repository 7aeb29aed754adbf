"""A REST API that answers as a Flink 1.19 has answered, cut to a few fields."""

import json
import threading
from collections.abc import Callable, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

JOB = "ba9f4dad690be04d60d82320d2384dcc"
ORDERS = "shop.orders.v1"
STARTED_MS = 1_795_811_162_486


class Given(NamedTuple):
    """One answer.

    Attributes:
        body: what is sent as JSON; text is sent as it is.
        status: of HTTP.
    """

    body: object
    status: int = 200


def job(name: str = ORDERS, job_id: str = JOB, state: str = "RUNNING", after_ms: int = 0) -> dict:
    """One entry of `/jobs/overview`, of a job whose three tasks run."""
    ended_ms = STARTED_MS + 60_000 if state in ("FINISHED", "CANCELED", "FAILED") else -1
    return {
        "jid": job_id,
        "name": name,
        "start-time": STARTED_MS + after_ms,
        "end-time": ended_ms,
        "duration": 52_942,
        "state": state,
        "tasks": {"running": 3, "total": 3, "scheduled": 0, "created": 0, "failed": 0},
    }


CHECKPOINT = {
    "className": "completed",
    "id": 12,
    "status": "COMPLETED",
    "is_savepoint": False,
    "trigger_timestamp": 1_795_811_214_904,
    "state_size": 57_247,
    "end_to_end_duration": 323,
    "external_path": f"file:/checkpoints/{JOB}/chk-12",
    "discarded": False,
}
CHECKPOINTS = {
    "counts": {"restored": 0, "total": 23, "in_progress": 1, "completed": 12, "failed": 10},
    "latest": {"completed": CHECKPOINT, "savepoint": None, "failed": None, "restored": None},
}
LOST_WORKER = (
    "java.io.IOException: Could not perform checkpoint 17 for operator [5]shop.orders.v1/{Rows}.\n"
    "\tat org.apache.flink.streaming.runtime.tasks.StreamTask.run(StreamTask.java:1326)\n"
    "Caused by: java.lang.RuntimeException: SDK Harness connection lost.\n"
    "\tat org.apache.beam.runners.flink.DoFnRunner.finishBundle(DoFnRunner.java:1056)\n"
    "Caused by: io.grpc.StatusRuntimeException: CANCELLED: client cancelled\n"
)
BAD_STORE = (
    "java.lang.RuntimeException: Failed to finish remote bundle\n"
    "\tat org.apache.beam.runners.flink.DoFnRunner.finishBundle(DoFnRunner.java:1056)\n"
    "Caused by: java.lang.RuntimeException: Error received from SDK harness for instruction 9: "
    "Traceback (most recent call last):\n"
    '  File "/venv/apache_beam/runners/worker/sdk_worker.py", line 309, in _execute\n'
    "    response = task()\n"
    "chronon_beam.io.sqlite.NoSpace: /data/features.db: the disk is full "
    f"[while running '{ORDERS}/Written/Write']\n"
    "\n\tat org.apache.beam.runners.fnexecution.control.FnApiControlClient.accept(F.java:183)\n"
)
WORKING: dict[tuple[str, str], Given | list[Given]] = {
    ("GET", "/jobs/overview"): Given({"jobs": [job()]}),
    ("GET", f"/jobs/{JOB}"): Given(
        {
            "jid": JOB,
            "state": "RUNNING",
            "now": STARTED_MS + 52_942,
            "timestamps": {"RUNNING": STARTED_MS + 871, "RESTARTING": 0},
            "vertices": [
                {"id": "bc76", "name": "Source: Impulse", "parallelism": 1, "status": "RUNNING"},
                {
                    "id": "5eb9",
                    "name": f"[2]{ORDERS}/Rows/Read/Read/ParDo(_LiveReadFn)/{{Pair, Split}}",
                    "parallelism": 2,
                    "status": "RUNNING",
                },
            ],
        }
    ),
    ("GET", f"/jobs/{JOB}/metrics"): Given([{"id": "numRestarts"}]),
    ("GET", f"/jobs/{JOB}/metrics?get=numRestarts"): [
        Given([]),
        Given([{"id": "numRestarts", "value": "2"}]),
    ],
    ("GET", "/config"): Given({"refresh-interval": 1}),
    ("GET", f"/jobs/{JOB}/vertices/bc76/subtasks/metrics"): Given([{"id": "numRecordsOut"}]),
    ("GET", f"/jobs/{JOB}/vertices/5eb9/subtasks/metrics"): Given([{"id": "numRecordsIn"}]),
    ("GET", f"/jobs/{JOB}/checkpoints"): Given(CHECKPOINTS),
    ("GET", f"/jobs/{JOB}/exceptions"): Given(
        {"exceptionHistory": {"entries": [{"stacktrace": BAD_STORE, "timestamp": STARTED_MS}]}}
    ),
}


Questions = Mapping[tuple[str, str], Given | list[Given]]
"""Answers by the method and path of a question; of a list, the last one is given for ever."""


class Answers:
    """Answers questions until `stop`.

    Args:
        given: what it answers.

    Attributes:
        url: where it answers.
        asked: the questions that have come, with their bodies.
    """

    def __init__(self, given: Questions) -> None:
        self._given = {
            question: list(answer) if isinstance(answer, list) else [answer]
            for question, answer in given.items()
        }
        self.asked: list[tuple[str, str, bytes]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def next(self, question: tuple[str, str]) -> Given:
        """The next answer to a question; Flink's own to one that it does not know."""
        found = self._given.get(question)
        if found is None:
            return Given({"errors": ["Not found: " + question[1]]}, 404)
        return found.pop(0) if len(found) > 1 else found[0]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


Flink = Callable[[Questions], Answers]
"""Starts a Flink."""


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, answers: Answers, *connection: Any) -> None:
        self._answers = answers
        super().__init__(*connection)

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self._answers.asked.append((self.command, self.path, body))
        given = self._answers.next((self.command, self.path))
        text = given.body if isinstance(given.body, str) else json.dumps(given.body)
        self.send_response(given.status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_POST = do_PATCH = do_GET

    def log_message(self, *_: object) -> None:
        pass
