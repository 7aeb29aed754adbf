"""Starts jobs again where they have stopped, with the same jar and the same arguments.

The pipeline options of a job have the place of its jar and the arguments of its launch, and Flink
shows them. So no other record is needed, and any machine that reaches the cluster can restart jobs.
"""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from chronon_beam.pipeline.jobs import ending
from chronon_beam.pipeline.jobs.answers import ListedJob
from chronon_beam.pipeline.jobs.rest import FlinkRest
from chronon_beam.pipeline.jobs.starting import Launch, Say, latest_of, start
from chronon_beam.pipeline.options import UsageError

_JAR, _ARGUMENTS = "chrononJar", "chrononArguments"
"""The options in which `Launch.java` keeps them, by their names in Java."""


def launch_of(flink: FlinkRest, job: ListedJob) -> Launch | None:
    """What a job was started with; None if its pipeline is not in a jar of a template.

    Raises:
        UsageError: the job has failed before it had any options.
    """
    options = flink.options(job.job_id)
    if not options:
        raise UsageError(
            f"{job.name} ({job.job_id}) has never run: `chronon-beam jobs status` says why; name "
            "the job before it by its id, see `chronon-beam jobs list`"
        )
    if _JAR not in options:
        return None
    return Launch(options[_JAR].rpartition("/")[2], tuple(json.loads(options[_ARGUMENTS])))


@dataclass(frozen=True)
class Restarted:
    """A job that was started again.

    Attributes:
        job_id: the new one.
        savepoint: what it has gone on from.
    """

    job_id: str
    savepoint: str


def restart(
    flink: FlinkRest,
    job: ListedJob,
    arguments: Sequence[str],
    directory: str | None,
    say: Say,
) -> Restarted:
    """Start a job again, with the same jar and the same arguments, where it stopped.

    A job that has not ended is stopped with a savepoint; one that has ended goes on from its newest
    savepoint or checkpoint.

    Args:
        flink: the cluster.
        job: which.
        arguments: the arguments that change or are new.
        directory: where the savepoint is kept; see `ending.stop`.
        say: takes lines for the user: where the job goes on from, and why it is slow to start.

    Raises:
        UsageError: the job's pipeline is not in a jar on the cluster; the message says what to do.
        SavepointFailed: the job could not be stopped with a savepoint, and was not stopped.
        NotStarted: the job has left no savepoint, or it was stopped and does not run again.
    """
    launch = launch_of(flink, job)
    if launch is None or launch.jar_id not in {each.jar_id for each in flink.jars()}:
        raise UsageError(_by_hand(job, launch))
    savepoint = latest_of(flink, job) if job.has_ended else ending.stop(flink, job, directory)
    say(f"{job.name}: going on from {savepoint}")
    return Restarted(start(flink, launch.changed(arguments), savepoint, say), savepoint)


def _by_hand(job: ListedJob, launch: Launch | None) -> str:
    where = "" if job.has_ended else f"stop it with `chronon-beam jobs stop {job.job_id}`, and "
    if launch is None:
        return (
            f"{job.name} ({job.job_id}) was started by `chronon-beam run`, so its pipeline is not "
            f"on the cluster: {where}give that command again with --savepoint_path=PATH; "
            f"`chronon-beam jobs status {job.job_id}` has the path of its newest checkpoint"
        )
    arguments = shlex.join(launch.arguments)
    return (
        f"the jar of {job.name} ({job.job_id}) is not on the cluster: {where}start it with "
        f"`chronon-beam jobs start JAR --from_savepoint=PATH {arguments}`"
    )
