"""The answers of Flink's REST API, as records with the fields that this package reads.

Shapes: Flink's documentation, "Monitoring REST API", v1, of Flink 1.19. Sizes are bytes; durations
and times are milliseconds, times since the epoch; a time of -1 has not come.
"""

from msgspec import Struct, field

RUNNING = "RUNNING"
FAILED = "FAILED"
ENDED = frozenset({"FINISHED", "CANCELED", FAILED})
"""States that a job does not leave any more."""


class ListedJob(Struct, frozen=True):
    """One job of `/jobs/overview`.

    Attributes:
        job_id: 32 hex digits.
        name: not unique.
        state: as Flink calls it, for example RUNNING, RESTARTING, FINISHED.
        started_ms: when it was submitted.
        ended_ms: when it reached one of `ENDED`.
        tasks: how many tasks are in which state, and `total`.
    """

    job_id: str = field(name="jid")
    name: str
    state: str
    started_ms: int = field(name="start-time")
    ended_ms: int = field(name="end-time")
    tasks: dict[str, int]

    @property
    def has_ended(self) -> bool:
        """Whether the job is over for good."""
        return self.state in ENDED

    @property
    def is_running(self) -> bool:
        """Whether all of its tasks run; Flink calls a job RUNNING before that."""
        at_work = self.tasks.get("running", 0) + self.tasks.get("finished", 0)
        return self.state == RUNNING and at_work == self.tasks.get("total")


class ListedJobs(Struct, frozen=True):
    """`/jobs/overview`."""

    jobs: list[ListedJob]


class Vertex(Struct, frozen=True):
    """Steps of a job that Flink runs as one task per subtask.

    Attributes:
        name: the names of the steps, as Beam's translation has joined them.
        status: Flink's summary of the states of its subtasks.
    """

    vertex_id: str = field(name="id")
    name: str
    parallelism: int
    status: str


class RunningJob(Struct, frozen=True):
    """`/jobs/ID`.

    Attributes:
        now_ms: by the clock of the JobManager.
        entered_ms: when the job last came into each state; 0 for states that it never had.
    """

    job_id: str = field(name="jid")
    state: str
    vertices: list[Vertex]
    now_ms: int = field(name="now", default=0)
    entered_ms: dict[str, int] = field(name="timestamps", default={})

    @property
    def uptime_ms(self) -> int:
        """For how long it has been running; 0 if it is not."""
        return self.now_ms - self.entered_ms.get(RUNNING, 0) if self.state == RUNNING else 0


class ExecutionConfig(Struct, frozen=True):
    """The part of `/jobs/ID/config` that the program of the job has set.

    Attributes:
        user_config: Beam's pipeline options by their names in Java, as text.
    """

    user_config: dict[str, str] = field(name="user-config", default={})


class JobConfig(Struct, frozen=True):
    """`/jobs/ID/config`."""

    execution: ExecutionConfig = field(name="execution-config", default=ExecutionConfig())


class Checkpoint(Struct, frozen=True):
    """A checkpoint or a savepoint.

    Attributes:
        number: counted from 1 in each job, savepoints as well.
        at_ms: when it was begun.
        duration_ms: how long it took.
        size: the size of all its state, old and new.
        external_path: see `path`; a text in brackets if no job can be started from it.
        discarded: whether Flink has deleted it, because newer ones are there.
        failure: why it has failed; None unless it has.
    """

    number: int = field(name="id")
    is_savepoint: bool = False
    at_ms: int = field(name="trigger_timestamp", default=-1)
    duration_ms: int = field(name="end_to_end_duration", default=-1)
    size: int = field(name="state_size", default=-1)
    external_path: str | None = None
    discarded: bool = False
    failed_ms: int = field(name="failure_timestamp", default=-1)
    failure: str | None = field(name="failure_message", default=None)

    @property
    def path(self) -> str | None:
        """The place from which a job can be started; None if there is none."""
        return self.external_path if self.external_path and "/" in self.external_path else None


class Restored(Struct, frozen=True):
    """The checkpoint that a job has last gone on from."""

    number: int = field(name="id")
    at_ms: int = field(name="restore_timestamp")
    is_savepoint: bool = False
    external_path: str | None = None


class LatestCheckpoints(Struct, frozen=True):
    """The newest of each kind."""

    completed: Checkpoint | None = None
    savepoint: Checkpoint | None = None
    failed: Checkpoint | None = None
    restored: Restored | None = None


class CheckpointCounts(Struct, frozen=True):
    """How many there were since the job was submitted, savepoints as well."""

    completed: int = 0
    failed: int = 0
    restored: int = 0
    in_progress: int = 0


class Checkpoints(Struct, frozen=True):
    """`/jobs/ID/checkpoints`."""

    counts: CheckpointCounts = CheckpointCounts()
    latest: LatestCheckpoints = LatestCheckpoints()


class TaskFailure(Struct, frozen=True):
    """One time that tasks of a job have failed.

    Attributes:
        trace: Java's stack trace, a Python worker's inside it.
        task: the steps of the task that failed first, if one did.
    """

    trace: str = field(name="stacktrace")
    at_ms: int = field(name="timestamp")
    task: str | None = field(name="taskName", default=None)


class FailureHistory(Struct, frozen=True):
    """The newest failures, newest first."""

    entries: list[TaskFailure] = []


class Failures(Struct, frozen=True):
    """`/jobs/ID/exceptions`."""

    history: FailureHistory = field(name="exceptionHistory", default=FailureHistory())


class Measurement(Struct, frozen=True):
    """One metric of Flink's own."""

    name: str = field(name="id")
    value: str = ""


class Triggered(Struct, frozen=True):
    """The answer to a request that takes a while: the number by which to ask for its progress."""

    request_id: str = field(name="request-id")


class OperationState(Struct, frozen=True):
    """The progress of a request that takes a while: IN_PROGRESS or COMPLETED."""

    state: str = field(name="id")


class FailureCause(Struct, frozen=True):
    """Why something could not be done."""

    trace: str = field(name="stack-trace", default="")


class SavepointResult(Struct, frozen=True):
    """A savepoint: either a place or a cause."""

    location: str | None = None
    cause: FailureCause | None = field(name="failure-cause", default=None)


class SavepointProgress(Struct, frozen=True):
    """`/jobs/ID/savepoints/REQUEST`."""

    status: OperationState
    result: SavepointResult | None = field(name="operation", default=None)


class ClusterOverview(Struct, frozen=True):
    """`/overview`."""

    slots: int = field(name="slots-total")
    free_slots: int = field(name="slots-available")


class ClusterConfig(Struct, frozen=True):
    """`/config`.

    Attributes:
        refresh_ms: how old an answer about a job may be.
    """

    refresh_ms: int = field(name="refresh-interval")


class JarFile(Struct, frozen=True):
    """One jar of `/jars`.

    Attributes:
        name: as it was uploaded; not unique.
    """

    jar_id: str = field(name="id")
    name: str


class JarFiles(Struct, frozen=True):
    """`/jars`."""

    files: list[JarFile]


class UploadedFile(Struct, frozen=True):
    """The answer to an upload.

    Attributes:
        filename: a path; its last part is the jar's id.
    """

    filename: str


class StartedJob(Struct, frozen=True):
    """The answer to a jar that was run."""

    job_id: str = field(name="jobid")


class Subtask(Struct, frozen=True):
    """One subtask of a vertex.

    Attributes:
        number: counted from 0.
        task_manager: the id of the TaskManager in which it runs.
    """

    number: int = field(name="subtask")
    task_manager: str = field(name="taskmanager-id", default="")


class Subtasks(Struct, frozen=True):
    """`/jobs/ID/vertices/VERTEX`."""

    subtasks: list[Subtask]


class MetricName(Struct, frozen=True):
    """One metric of `/jobs/ID/vertices/VERTEX/subtasks/metrics`."""

    name: str = field(name="id")


class AggregatedMetric(Struct, frozen=True):
    """A metric of several subtasks."""

    name: str = field(name="id")
    sum: float = 0.0
    max: float = 0.0
