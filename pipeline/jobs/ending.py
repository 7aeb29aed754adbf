"""Ends jobs: with a savepoint from which they can go on, or without."""

import time

from chronon_beam.pipeline.jobs import reasons
from chronon_beam.pipeline.jobs.answers import ListedJob
from chronon_beam.pipeline.jobs.rest import FlinkRefused, FlinkRest

_POLL_S = 0.3
_RUNS_WITHIN_S = 30.0
"""How long a job that was just started, or has just failed, may take to run."""


class SavepointFailed(RuntimeError):
    """The savepoint was not made; the message says why, and what has become of the job."""


class HasEnded(RuntimeError):
    """The job is over already; the message says how it has ended, and what can be done."""


def stop(flink: FlinkRest, job: ListedJob, directory: str | None = None) -> str:
    """Stop a job with a savepoint, and give the path of the savepoint.

    Args:
        flink: the cluster.
        job: which.
        directory: where savepoints are kept; None means where the cluster's configuration says.

    Raises:
        HasEnded: it is over already.
        SavepointFailed: there is no savepoint. The job goes on, or is started again by Flink.
    """
    _refuse_ended(job)
    _wait_until_running(flink, job.job_id)
    try:
        request_id = flink.stop(job.job_id, directory)
        while (progress := flink.savepoint(job.job_id, request_id)).status.state != "COMPLETED":
            time.sleep(_POLL_S)
    except FlinkRefused as refused:
        raise SavepointFailed(_not_stopped(job, _meaning(refused.cause))) from None
    result = progress.result
    if result is None or result.location is None:
        trace = result.cause.trace if result and result.cause else ""
        raise SavepointFailed(_not_stopped(job, _meaning(reasons.reason_of(trace))))
    wait_until_ended(flink, job.job_id)
    return result.location


def cancel(flink: FlinkRest, job: ListedJob) -> None:
    """End a job at once, without a savepoint.

    Raises:
        HasEnded: it is over already.
    """
    _refuse_ended(job)
    flink.cancel(job.job_id)
    wait_until_ended(flink, job.job_id)


def _wait_until_running(flink: FlinkRest, job_id: str) -> None:
    """Wait until all tasks run, if they do so soon: a savepoint needs all of them."""
    deadline = time.monotonic() + _RUNS_WITHIN_S
    while time.monotonic() < deadline:
        if any(job.job_id == job_id and job.is_running for job in flink.jobs()):
            return
        time.sleep(_POLL_S)


def wait_until_ended(flink: FlinkRest, job_id: str) -> None:
    """Wait for the end of a job that was asked to end."""
    while not any(job.job_id == job_id and job.has_ended for job in flink.jobs()):
        time.sleep(_POLL_S)


def _refuse_ended(job: ListedJob) -> None:
    if job.has_ended:
        raise HasEnded(
            f"{job.name} ({job.job_id}) has ended already: it is {job.state}. "
            "`chronon-beam jobs status` says more, `chronon-beam jobs restart` starts it again"
        )


def _not_stopped(job: ListedJob, reason: str) -> str:
    return (
        f"there is no savepoint of {job.name} ({job.job_id}), and it was not stopped: {reason}. "
        "`chronon-beam jobs status` says whether it goes on"
    )


def _meaning(reason: str) -> str:
    """A reason of Flink's in the user's terms, with what to do."""
    if "state.savepoints.dir" in reason or "No savepoint directory" in reason:
        return "the cluster has no folder for savepoints: name one with --savepoint_dir"
    if "Not all required tasks are currently running" in reason:
        return "not all of its tasks are running: `chronon-beam jobs status` says why"
    return reason
