"""Why a job has failed, in one sentence for its user.

Flink gives a failure as Java's stack trace. The error of a Python worker is somewhere inside it, as
the cause of a cause. For causes that are Flink's own, the sentence says what they mean for the job.
"""

import re
from collections.abc import Sequence

from chronon_beam.pipeline.jobs.answers import Checkpoint, TaskFailure
from chronon_beam.pipeline.runners.root_cause import root_cause

_MEANINGS = (
    (
        r"NoResourceAvailableException|Could not acquire the minimum required resources",
        "the cluster has too few free task slots: add a TaskManager, or start the job with a lower "
        "--parallelism",
    ),
    (
        r"Heartbeat of TaskManager with id|TaskManager with id .* is no longer reachable"
        r"|TaskExecutor akka|The TaskExecutor is shutting down|lost the TaskManager",
        "a TaskManager was lost: its machine or process has ended, or does not answer",
    ),
    (
        r"Process died with exit code|SDK harness|SDK Harness|Call is in progress while the stream",
        "a Python worker has ended: its TaskManager's log, and worker.log beside the worker's "
        "command, say why",
    ),
    (
        r"Exceeded checkpoint tolerable failure threshold",
        "too many checkpoints have failed one after another",
    ),
)
"""What to look for in a trace without a worker's own error, and what it means."""

_RECOVERY = "Recovery is suppressed by"
_WORKER_ERROR = "Traceback (most recent call last)"


def reason_of(trace: str) -> str:
    r"""The reason in the stack trace of a failure.

    >>> reason_of("java.util.concurrent.CompletionException: org.apache.flink.runtime.jobmanager."
    ...           "scheduler.NoResourceAvailableException: Could not acquire")[:44]
    'the cluster has too few free task slots: add'
    """
    if _WORKER_ERROR not in trace:
        for pattern, meaning in _MEANINGS:
            if re.search(pattern, trace):
                return meaning
    return root_cause(trace) or next(iter(trace.splitlines()), "Flink gives no reason")


def last_cause(failures: Sequence[TaskFailure]) -> TaskFailure | None:
    """The newest failure that has a cause, rather than says that Flink does not restart the job."""
    causes = [each for each in failures if not each.trace.startswith(_RECOVERY)]
    return next(iter([*causes, *failures]), None)


def checkpoint_reason(checkpoint: Checkpoint) -> str:
    """Why a checkpoint has failed."""
    return reason_of(checkpoint.failure or "")
