"""How a job does: several answers of Flink's REST API about it, put together for its user."""

import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from chronon_beam.pipeline.jobs import answers, reasons
from chronon_beam.pipeline.jobs.measured import Measurements, measurements_of
from chronon_beam.pipeline.jobs.rest import FlinkRest

_RESTARTS = "numRestarts"
_WAITING = ("created", "scheduled")
_STEP = re.compile(r"(?<![\w./])([A-Za-z_]\w*(?:\.\w+)+)/")
"""The name of a GroupBy, in Flink's name of a task: each step of ours is named `GROUP_BY/STEP`."""


class Summary(Struct, frozen=True):
    """One job of a list.

    Attributes:
        id: Flink's id of the job.
        group_bys: the GroupBys that it computes; empty for a job that is not ours.
        state: Flink's word for it.
        started_ms: when it was submitted.
        uptime_ms: how long it has been running without a failure; of one that has ended, how long
            it took; 0 if it is not running just now.
        restarts: how often it was started again after a failure; None if it has ended, or if Flink
            does not know yet.
        parallelism: how many subtasks its steps have at most.
        waiting: how many of its tasks have no slot yet.
    """

    id: str
    name: str
    group_bys: list[str]
    state: str
    started_ms: int
    uptime_ms: int
    restarts: int | None
    parallelism: int
    waiting: int


class LastCheckpoint(Struct, frozen=True):
    """The newest checkpoint or savepoint that is complete."""

    number: int
    at_ms: int
    duration_ms: int
    bytes: int
    path: str | None
    is_savepoint: bool


class CheckpointState(Struct, frozen=True):
    """How a job's checkpoints do.

    Attributes:
        completed: how many since the job was submitted; savepoints count as well.
        last: None if there is none yet.
        failed_ms: when one has failed last.
        failure: why.
    """

    completed: int
    failed: int
    in_progress: int
    last: LastCheckpoint | None
    failed_ms: int | None
    failure: str | None


class JobFailure(Struct, frozen=True):
    """Why and when a job has failed last; it may be running again."""

    at_ms: int
    reason: str


class JobStatus(Struct, frozen=True):
    """One job with all that is shown of it.

    Attributes:
        restored_from: the checkpoint or savepoint that it has gone on from, if it has.
        metrics: what its steps have measured since they were last started; empty once it has ended.
        failure: None if it has never failed.
    """

    job: Summary
    checkpoints: CheckpointState
    restored_from: str | None
    metrics: Measurements
    failure: JobFailure | None


def summaries(flink: FlinkRest) -> list[Summary]:
    """All jobs; those first that have not ended, and of each kind the newest first."""
    listed = sorted(flink.jobs(), key=lambda job: (job.has_ended, -job.started_ms))
    return [summary_of(flink, job) for job in listed]


def summary_of(flink: FlinkRest, job: answers.ListedJob) -> Summary:
    """A job of the list, with what Flink answers about this job alone."""
    running = flink.job(job.job_id)
    vertices = running.vertices
    own = {} if job.has_ended else flink.measurements(job.job_id, [_RESTARTS])
    return Summary(
        id=job.job_id,
        name=job.name,
        group_bys=group_bys_of(vertex.name for vertex in vertices),
        state=job.state,
        started_ms=job.started_ms,
        uptime_ms=job.ended_ms - job.started_ms if job.has_ended else running.uptime_ms,
        restarts=_number(own, _RESTARTS),
        parallelism=max((vertex.parallelism for vertex in vertices), default=0),
        waiting=0 if job.has_ended else sum(job.tasks.get(state, 0) for state in _WAITING),
    )


def _number(measurements: Mapping[str, str], name: str) -> int | None:
    """A number that Flink has measured; None if it has not, which it says by -1 or NaN."""
    text = measurements.get(name, "")
    return max(int(text), 0) if text.lstrip("-").isdecimal() else None


def status_of(flink: FlinkRest, job: answers.ListedJob) -> JobStatus:
    """One job with all that is shown of it."""
    checkpoints, summary = flink.checkpoints(job.job_id), summary_of(flink, job)
    restored = checkpoints.latest.restored
    return JobStatus(
        job=summary,
        checkpoints=_state_of(checkpoints),
        restored_from=restored.external_path if restored else None,
        metrics=measurements_of(flink, job.job_id, [] if job.has_ended else summary.group_bys),
        failure=failure_of(flink.failures(job.job_id)),
    )


def group_bys_of(task_names: Iterable[str]) -> list[str]:
    """The names of the GroupBys that a job's steps serve.

    >>> group_bys_of(["Source: Impulse -> [2]shop.orders.v1/{Read, Decode}"])
    ['shop.orders.v1']
    """
    return sorted({name for each in task_names for name in _STEP.findall(each)})


def latest_complete(checkpoints: answers.Checkpoints) -> answers.Checkpoint | None:
    """The newest checkpoint or savepoint that is there."""
    latest = checkpoints.latest
    there = [each for each in (latest.completed, latest.savepoint) if each and not each.discarded]
    return max(there, key=lambda each: each.number, default=None)


def _state_of(checkpoints: answers.Checkpoints) -> CheckpointState:
    last, failed = latest_complete(checkpoints), checkpoints.latest.failed
    counts = checkpoints.counts
    return CheckpointState(
        completed=counts.completed,
        failed=counts.failed,
        in_progress=counts.in_progress,
        last=last
        and LastCheckpoint(
            last.number,
            last.at_ms,
            last.duration_ms,
            last.size,
            last.path,
            last.is_savepoint,
        ),
        failed_ms=failed.failed_ms if failed else None,
        failure=reasons.checkpoint_reason(failed) if failed else None,
    )


def failure_of(failures: Sequence[answers.TaskFailure]) -> JobFailure | None:
    """The last failure in the user's terms."""
    last = reasons.last_cause(failures)
    return JobFailure(last.at_ms, reasons.reason_of(last.trace)) if last else None
