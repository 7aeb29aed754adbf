"""Starts jobs from the jars of `chronon-beam template flink`, anew or where a job has stopped."""

import hashlib
import json
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chronon_beam.pipeline.jobs.answers import FAILED, ListedJob
from chronon_beam.pipeline.jobs.rest import FlinkRefused, FlinkRest
from chronon_beam.pipeline.jobs.status import failure_of, latest_complete
from chronon_beam.pipeline.options import UsageError

LATEST = "latest"
"""Stands for the newest savepoint or checkpoint of the last job of that name."""

_MANIFEST = "BEAM-PIPELINE/pipeline-manifest.json"
_REFUSED = "The main method caused an error: "
_OTHER_STEPS = (
    "the savepoint is of a job with other steps: of another GroupBy, or of one at parallelism 1, "
    "of which Flink makes other steps than of one at 2 or more"
)
_POLL_S = 0.3
_RUNS_WITHIN_S = 60.0
"""How long the tasks of a job take to start, at most, if there are slots for them."""

Say = Callable[[str], None]


class NotStarted(RuntimeError):
    """The job was not started, or has failed at once; the message says why."""


@dataclass(frozen=True)
class Launch:
    """What a job is started with.

    Attributes:
        jar_id: the id of a jar on the cluster.
        arguments: what the jar's main program is given, each as `--name=value` or `--name`.
    """

    jar_id: str
    arguments: tuple[str, ...]

    def changed(self, arguments: Sequence[str]) -> "Launch":
        """The same jar, with some arguments changed or added.

        >>> Launch("j", ("--a=1", "--b=2")).changed(["--b=3"]).arguments
        ('--a=1', '--b=3')
        """
        names = {each.partition("=")[0] for each in arguments}
        kept = (each for each in self.arguments if each.partition("=")[0] not in names)
        return Launch(self.jar_id, (*kept, *arguments))


def as_arguments(words: Sequence[str]) -> list[str]:
    """Flags as they were typed, each as `--name=value`, or `--name` where no value follows.

    >>> as_arguments(["--source", "kafka://b/t", "--store=s:f", "--bare"])
    ['--source=kafka://b/t', '--store=s:f', '--bare']

    Raises:
        UsageError: a word is neither a flag nor the value of one.
    """
    arguments: list[str] = []
    for word in words:
        if word.startswith("--"):
            arguments.append(word)
        elif arguments and "=" not in arguments[-1]:
            arguments[-1] += f"={word}"
        else:
            raise UsageError(f"{word!r}: arguments of a job are written --name=value")
    return arguments


def uploaded(flink: FlinkRest, jar: Path) -> str:
    """The id of a jar on the cluster, to which it is uploaded unless it is there already.

    Raises:
        UsageError: as `job_name`.
    """
    job_name(jar)
    with jar.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    name = f"{jar.stem}-{content[:12]}.jar"
    there = next((each.jar_id for each in flink.jars() if each.name == name), None)
    return there or flink.upload(jar, name)


def job_name(jar: Path, arguments: Sequence[str] = ()) -> str:
    """The name that the job of a jar has when it is started with these arguments.

    Raises:
        UsageError: there is no such jar, or it is none of a Beam job.
    """
    given = [each.partition("=")[2] for each in arguments if each.startswith("--job_name=")]
    if not jar.is_file():
        raise UsageError(f"{jar}: no such jar: `chronon-beam template flink` makes one")
    try:
        with zipfile.ZipFile(jar) as archive:
            name = json.loads(archive.read(_MANIFEST))["defaultJobName"]
    except (zipfile.BadZipFile, KeyError):
        raise UsageError(
            f"{jar} is not the jar of a Beam job: `chronon-beam template flink` makes one"
        ) from None
    return given[-1] if given else name


def start(flink: FlinkRest, launch: Launch, savepoint: str | None, say: Say) -> str:
    """Start a job and wait until all of its tasks run; gives its id.

    Args:
        flink: the cluster.
        launch: the jar and its arguments.
        savepoint: the path of a savepoint or checkpoint to go on from; None starts anew.
        say: takes a line where tasks get no slots, or take long to start.

    Raises:
        NotStarted: the arguments or the savepoint are refused, or the job has failed at once.
    """
    try:
        job_id = flink.run(launch.jar_id, launch.arguments, savepoint)
    except FlinkRefused as refused:
        cause = refused.cause.rpartition(_REFUSED)[2]
        reason = _OTHER_STEPS if "Cannot map" in cause else cause
        raise NotStarted(f"the job was not started: {reason}") from None
    deadline = time.monotonic() + _RUNS_WITHIN_S
    while not ((job := _listed(flink, job_id)).has_ended or job.is_running):
        if time.monotonic() > deadline:
            say(_slow(flink, job))
            break
        time.sleep(_POLL_S)
    if job.state == FAILED:
        failure = failure_of(flink.failures(job_id))
        reason = failure.reason if failure else "Flink gives no reason"
        raise NotStarted(f"{job.name} ({job_id}) has failed: {reason}")
    return job_id


def _listed(flink: FlinkRest, job_id: str) -> ListedJob:
    return next(job for job in flink.jobs() if job.job_id == job_id)


def _slow(flink: FlinkRest, job: ListedJob) -> str:
    """Why a job does not run yet."""
    slots = flink.overview()
    if not slots.free_slots and job.tasks.get("scheduled"):
        return (
            f"{job.name} ({job.job_id}) waits for task slots: the cluster has {slots.slots}, and "
            "none is free. Add a TaskManager, or cancel it and start it with a lower --parallelism"
        )
    return f"{job.name} ({job.job_id}) is not running yet: `chronon-beam jobs status` says more"


def latest_by_name(flink: FlinkRest, name: str) -> str:
    """The newest savepoint or checkpoint of the last job of a name, which has ended.

    Raises:
        UsageError: there is no such job.
        NotStarted: it has left none.
    """
    named = [job for job in flink.jobs() if job.name == name]
    if not named:
        raise UsageError(f"--from_savepoint={LATEST}: the cluster knows no earlier job {name}")
    return latest_of(flink, max(named, key=lambda job: job.started_ms))


def latest_of(flink: FlinkRest, job: ListedJob) -> str:
    """The path of the newest savepoint or checkpoint of a job that has ended.

    Flink's answer may be from before the end of the job: with checkpoints that were deleted since,
    and without a savepoint that was made since. So Flink is asked twice, with so much time between
    that the second answer is from after the end.

    Raises:
        NotStarted: it has left none.
    """
    flink.checkpoints(job.job_id)
    time.sleep(flink.refresh_ms() / 1000)
    newest = latest_complete(flink.checkpoints(job.job_id))
    if newest is None or newest.path is None:
        raise NotStarted(
            f"{job.name} ({job.job_id}) has left no savepoint and no checkpoint to go on from: "
            "start it anew with `chronon-beam jobs start`"
        )
    return newest.path
