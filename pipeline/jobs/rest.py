"""A client of Flink's REST API: each method makes one kind of request, and gives a record.

Errors are sentences for the user:

    for job in FlinkRest("localhost:8081").jobs():
        print(job.name, job.state)
"""

import http.client
import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import msgspec

from chronon_beam.pipeline.jobs import answers
from chronon_beam.pipeline.runners.root_cause import root_cause

ANSWER_WITHIN_S = 10.0
"""How long a healthy cluster takes for an answer, at most."""

_SUBMIT_WITHIN_S = 300.0
"""The same, where a JobManager first receives a jar of 200 MB, or runs a jar's main program."""

_GATHERING, _GATHERING_S = 5, 0.3
"""How often metrics are asked for while Flink has none, and the seconds in between."""

GATHERED_WITHIN_S = 1.0
"""How long Flink takes, most of the time, to gather metrics from its TaskManagers."""

_PIECE = 1 << 20
_LONGEST = 3000
"""How long a list of names may be: Flink takes 4096 characters of an address."""

_Json = Mapping[str, object]
_T = TypeVar("_T")


class FlinkUnreachable(RuntimeError):
    """No Flink answers at the address."""


class FlinkRefused(RuntimeError):
    """Flink's answer is an error.

    Attributes:
        status: of HTTP.
        cause: the root cause in Flink's stack trace, in one line.
    """

    def __init__(self, question: str, status: int, cause: str) -> None:
        super().__init__(f"Flink answers {status} to {question}: {cause}")
        self.status = status
        self.cause = cause


class FlinkRest:
    """The REST API of one cluster.

    Every method raises `FlinkUnreachable`, or `FlinkRefused` if the answer is an error.

    Args:
        address: `HOST:PORT`, or a URL where a proxy stands before Flink.
        within_s: how long the cluster may take for an answer.
    """

    def __init__(self, address: str, within_s: float = ANSWER_WITHIN_S) -> None:
        self.url = (address if "://" in address else f"http://{address}").rstrip("/")
        self._within_s = within_s

    def overview(self) -> answers.ClusterOverview:
        """The cluster's task slots."""
        return self._get("/overview", answers.ClusterOverview)

    def jobs(self) -> list[answers.ListedJob]:
        """All jobs that Flink knows; one that has ended is known for an hour by default."""
        return self._get("/jobs/overview", answers.ListedJobs).jobs

    def job(self, job_id: str) -> answers.RunningJob:
        """What a job consists of."""
        return self._get(f"/jobs/{job_id}", answers.RunningJob)

    def options(self, job_id: str) -> dict[str, str]:
        """Beam's pipeline options of a job, by their names in Java."""
        return self._get(f"/jobs/{job_id}/config", answers.JobConfig).execution.user_config

    def refresh_ms(self) -> int:
        """How old an answer about a job may be."""
        return self._get("/config", answers.ClusterConfig).refresh_ms

    def checkpoints(self, job_id: str) -> answers.Checkpoints:
        """A job's checkpoints; none of them for a job that takes none."""
        try:
            return self._get(f"/jobs/{job_id}/checkpoints", answers.Checkpoints)
        except FlinkRefused as refused:
            if "Checkpointing was not enabled" not in refused.cause:
                raise
            return answers.Checkpoints()

    def failures(self, job_id: str) -> list[answers.TaskFailure]:
        """When and why a job has failed, newest first; Flink keeps the last 16 by default."""
        return self._get(f"/jobs/{job_id}/exceptions", answers.Failures).history.entries

    def measurements(self, job_id: str, names: Sequence[str]) -> dict[str, str]:
        """Flink's own metrics of a job; those that Flink does not have yet are left out.

        A request for metrics has Flink gather them, and is answered before that is done: so it is
        repeated until there are some.
        """
        path = f"/jobs/{job_id}/metrics?get={','.join(names)}"
        for _ in range(_GATHERING):
            if found := self._get(path, list[answers.Measurement]):
                return {each.name: each.value for each in found}
            time.sleep(_GATHERING_S)
        return {}

    def gather_metrics(self, job_id: str) -> None:
        """Have Flink gather metrics anew, so that those that are read next are of now.

        Flink gathers metrics upon a request for them, at most every ten seconds. It answers the
        request at once, with the metrics of the time before, which may have been hours ago.
        """
        self._get(f"/jobs/{job_id}/metrics", list[answers.MetricName])
        time.sleep(GATHERED_WITHIN_S)

    def subtasks(self, job_id: str, vertex_id: str) -> list[answers.Subtask]:
        """The subtasks of a vertex."""
        path = f"/jobs/{job_id}/vertices/{vertex_id}"
        return self._get(path, answers.Subtasks).subtasks

    def step_metrics(self, job_id: str, vertex_id: str) -> list[str]:
        """The names of what is measured in the subtasks of a vertex; none once they have ended."""
        found = self._get(_step_metrics(job_id, vertex_id), list[answers.MetricName])
        return [each.name for each in found]

    def step_measurements(
        self, job_id: str, vertex_id: str, names: Sequence[str], subtasks: Sequence[int]
    ) -> Iterator[answers.AggregatedMetric]:
        """Metrics, each summed up over some subtasks of a vertex; some metrics may be missing."""
        chosen = ",".join(map(str, subtasks))
        path = f"{_step_metrics(job_id, vertex_id)}?agg=sum,max&subtasks={chosen}&get="
        for part in _parts([quote(name, safe="") for name in names]):
            yield from self._get(path + part, list[answers.AggregatedMetric])

    def cancel(self, job_id: str) -> None:
        """Ask Flink to end a job."""
        self._ask("PATCH", f"/jobs/{job_id}?mode=cancel")

    def stop(self, job_id: str, directory: str | None) -> str:
        """Ask Flink to stop a job with a savepoint; gives the number of the request."""
        body = {"drain": False, **({"targetDirectory": directory} if directory else {})}
        asked = self._ask("POST", f"/jobs/{job_id}/stop", body)
        return self._read(asked, answers.Triggered).request_id

    def savepoint(self, job_id: str, request_id: str) -> answers.SavepointProgress:
        """The progress of a savepoint, by the number of the request for it."""
        return self._get(f"/jobs/{job_id}/savepoints/{request_id}", answers.SavepointProgress)

    def jars(self) -> list[answers.JarFile]:
        """The jars that were uploaded since the JobManager has started."""
        return self._get("/jars", answers.JarFiles).files

    def upload(self, jar: Path, name: str) -> str:
        """Upload a jar under a name that ends in `.jar`; gives the jar's id.

        Raises:
            OSError: the jar cannot be read.
        """
        boundary = uuid.uuid4().hex
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="jarfile"; filename="{name}"\r\n'
            "Content-Type: application/x-java-archive\r\n\r\n"
        ).encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(head) + jar.stat().st_size + len(tail)),
        }
        with jar.open("rb") as file:
            pieces = chain([head], iter(partial(file.read, _PIECE), b""), [tail])
            answer = self._send("POST", "/jars/upload", pieces, headers, _SUBMIT_WITHIN_S)
        return self._read(answer, answers.UploadedFile).filename.rpartition("/")[2]

    def run(self, jar_id: str, arguments: Sequence[str], savepoint: str | None) -> str:
        """Run the main program of a jar, its job from a savepoint or anew; gives the job's id."""
        body: dict[str, object] = {"programArgsList": list(arguments)}
        if savepoint:
            body["savepointPath"] = savepoint
        started = self._ask("POST", f"/jars/{jar_id}/run", body, _SUBMIT_WITHIN_S)
        return self._read(started, answers.StartedJob).job_id

    def _get(self, path: str, answer: type[_T]) -> _T:
        return self._read(self._ask("GET", path), answer)

    def _read(self, body: bytes, answer: type[_T]) -> _T:
        try:
            return msgspec.json.decode(body, type=answer)
        except msgspec.MsgspecError as error:
            raise FlinkUnreachable(
                f"what answers at {self.url} is not the REST API of a Flink from 1.19 on: {error}"
            ) from None

    def _ask(
        self, method: str, path: str, body: _Json | None = None, within_s: float = 0.0
    ) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        return self._send(method, path, data, headers, within_s)

    def _send(
        self,
        method: str,
        path: str,
        data: bytes | Iterator[bytes] | None,
        headers: Mapping[str, str],
        within_s: float,
    ) -> bytes:
        request = urllib.request.Request(self.url + path, data, dict(headers), method=method)
        try:
            with urllib.request.urlopen(request, timeout=within_s or self._within_s) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            cause = _cause(error.read(), error.reason)
            raise FlinkRefused(f"{method} {path}", error.code, cause) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise FlinkUnreachable(
                f"no Flink answers at {self.url}: {_reason(error)}. Name the REST API of the "
                "JobManager with --flink_master=HOST:PORT"
            ) from None


def _step_metrics(job_id: str, vertex_id: str) -> str:
    return f"/jobs/{job_id}/vertices/{vertex_id}/subtasks/metrics"


def _parts(names: Sequence[str]) -> Iterator[str]:
    """The names joined by commas, in parts that fit into the address of a request."""
    part: list[str] = []
    for name in names:
        if part and len(",".join([*part, name])) > _LONGEST:
            yield ",".join(part)
            part = []
        part.append(name)
    if part:
        yield ",".join(part)


def _cause(body: bytes, reason: str) -> str:
    """Flink's errors are a list: a sentence, and perhaps a stack trace."""
    try:
        errors = msgspec.json.decode(body, type=_Errors).errors
    except msgspec.MsgspecError:
        return reason
    return root_cause("\n".join(errors)) or next((each for each in errors if each), reason)


class _Errors(msgspec.Struct):
    errors: list[str]


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it takes too long"
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, TimeoutError):
        return "it takes too long"
    return str(getattr(inner, "strerror", None) or inner)
