"""The parameters of a launch of a template, with a pattern that each value must match.

A launcher that has no Python checks values by the patterns, which refuse what is certainly wrong.
All other values are checked again by workers, with the code that opens the source, store or sink.
"""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Parameter:
    """One parameter of a launch.

    Attributes:
        name: as it is given: `--name=value`.
        help: what it is for, for people.
        pattern: a regular expression of Java and Python that the whole value matches; empty for a
            flag, which has no value.
        expected: what the pattern asks for, in words, with an example.
        required: whether each launch must give it.
        option: the pipeline option that takes the value; the name if it is empty.
        default: what holds where a launch does not give it.
    """

    name: str
    help: str
    pattern: str
    expected: str
    required: bool = False
    option: str = ""
    default: str = ""

    def to_json(self) -> dict[str, object]:
        """All fields."""
        return {**asdict(self), "option": self.option or self.name}


_NUMBER = r"[1-9][0-9]{0,17}"
_PATH = r"[a-z][a-z0-9+.-]*:/.*|/.*"
_KAFKA = r"kafka://[^/@?,]+:[0-9]{1,5}(,[^/@?,]+:[0-9]{1,5})*/[^/?]+(\?(?!(.*&)?stop=).*)?"

JOB = (
    Parameter(
        "source",
        "topics to read, and from where to where; schema and format are the template's",
        _KAFKA,
        "a source that never ends, without a password, for example "
        "kafka://broker:9092/orders?start=earliest",
        required=True,
    ),
    Parameter(
        "store",
        "where tiles are kept",
        r"[a-z][a-z0-9+.-]*:.*",
        "a store, for example bigtable://project/instance or sqlite:/data/features.db",
        required=True,
    ),
    Parameter(
        "dead_letters",
        "where events that cannot be used go",
        r"[a-z][a-z0-9+.-]*:.*",
        "a place for dead letters, for example kafka://broker:9092/dead or file:/data/dead.jsonl",
        default="log:",
    ),
    Parameter(
        "existing",
        "merge adds to tiles of earlier runs; right if the source begins where they stopped",
        r"merge|refuse",
        "merge or refuse; a launch empties no dataset: name another store to start anew",
    ),
)
"""The parameters of the job, on every runner."""

FLINK = (
    Parameter(
        "job_name",
        "the name that Flink lists",
        r"\S.*",
        "a name",
    ),
    Parameter(
        "parallelism",
        "task slots that the job uses; flink run -p says the same",
        _NUMBER,
        "a number from 1, for example 4; a job that starts with 1 is never restored at more",
        default="2",
    ),
    Parameter(
        "max_parallelism",
        "the most that a savepoint of the job may be restored at; fixed for the life of its state",
        _NUMBER,
        "a number from 1 to 32768, for example 128",
        default="128",
    ),
    Parameter(
        "checkpointing_interval",
        "milliseconds from one checkpoint to the next",
        _NUMBER,
        "milliseconds, for example 30000",
        default="30000",
    ),
    Parameter(
        "checkpoint_timeout_millis",
        "milliseconds after which a checkpoint has failed",
        _NUMBER,
        "milliseconds, for example 600000",
    ),
    Parameter(
        "min_pause_between_checkpoints",
        "milliseconds that lie at least between two checkpoints",
        _NUMBER,
        "milliseconds, for example 5000",
    ),
    Parameter(
        "state_backend",
        "where state is while the job runs",
        r"rocksdb|filesystem",
        "rocksdb or filesystem, with --state_backend_storage_path",
    ),
    Parameter(
        "state_backend_storage_path",
        "where checkpoints go",
        _PATH,
        "a URI that all machines of the cluster reach, for example s3://bucket/checkpoints",
    ),
    Parameter(
        "max_bundle_size",
        "how many batches one bundle takes",
        _NUMBER,
        "a number from 1, for example 1000",
    ),
    Parameter(
        "environment_type",
        "how Python workers are started: by the TaskManager, or by a pool that runs already",
        r"PROCESS|EXTERNAL",
        "PROCESS or EXTERNAL",
        default="PROCESS",
    ),
    Parameter(
        "environment_config",
        "PROCESS: the command that starts a worker; EXTERNAL: host:port of the pool",
        r"\S.*",
        "for example /opt/venv/bin/chronon-beam-worker, or localhost:50000 with "
        "--environment_type=EXTERNAL",
        default="chronon-beam-worker",
    ),
    Parameter(
        "log_level",
        "what Python workers log",
        r"DEBUG|INFO|WARNING|ERROR|CRITICAL",
        "DEBUG, INFO, WARNING, ERROR or CRITICAL",
        option="default_sdk_harness_log_level",
        default="INFO",
    ),
    Parameter(
        "metrics_port",
        "have each worker serve metrics for Prometheus, at this port or the next that is free",
        r"6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5]?[0-9]{1,4}",
        "a port, for example 9095; 0 takes any",
    ),
    Parameter(
        "metrics_host",
        "the address at which workers serve metrics; 0.0.0.0 lets other machines read them",
        r"[^\s/]+",
        "an address of the workers' machines, for example 0.0.0.0",
        default="127.0.0.1",
    ),
    Parameter(
        "allow_non_restored_state",
        "start from a savepoint that holds state of steps which the job no longer has",
        "",
        "no value",
    ),
)
"""The parameters of Flink, and of the workers that it starts."""
