"""Beam's FlinkRunner with options that are safe by default.

    with flink(["--flink_master=localhost:8081"], live=True) as argv:
        run(argv)

With `--flink_master=[local]`, all of Flink runs in the launcher's job server, and the workers run
in the launcher. With an address, the job runs on that cluster, whose TaskManagers start the
workers as plain processes. Neither needs Docker. Options that the user gives are kept.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from chronon_beam.pipeline.runners import latency, worker_boot
from chronon_beam.pipeline.runners.flink_jar import ASSEMBLED_VERSION, job_server_jar
from chronon_beam.pipeline.runners.flink_state import check_savepoint
from chronon_beam.pipeline.runners.job_server import JobServer
from chronon_beam.pipeline.runners.latency import Latency
from chronon_beam.pipeline.runners.own_metrics import stop_measuring
from chronon_beam.transforms.spark.cache_directory import cache_directory

LOCAL_MASTERS = ("[local]", "[auto]")
CHECKPOINT_INTERVAL_MS = 30_000
"""A restart repeats at most what was done since the last checkpoint."""

IDLE_MS = 1000
"""How long Flink keeps a source that has given all, in a job that ends and has checkpoints."""

MAX_PARALLELISM = 128
"""Fixed: Flink would derive it from the parallelism, and state restores at the same one only."""

CLUSTER_PARALLELISM = 2
"""Not less: Flink does not rescale a job with a live source from 1 to more."""

_BACKOFF = "restart-strategy.exponential-delay"
RESTARTS = {
    "restart-strategy.type": "exponential-delay",
    f"{_BACKOFF}.initial-backoff": "1 s",
    f"{_BACKOFF}.backoff-multiplier": "2.0",
    f"{_BACKOFF}.max-backoff": "1 min",
    f"{_BACKOFF}.reset-backoff-threshold": "10 min",
    f"{_BACKOFF}.attempts-before-reset-backoff": "12",
}
"""When Flink restarts a live job: a second after a first failure, then later each time, and no more
after about ten minutes of failures. By Flink's own default it would restart the job for ever, and
the reason would not be seen."""

Flags = Mapping[str, str | None]

_LATENCY = latency.LEVELS[latency.DEFAULT]


@contextmanager
def flink(
    argv: Sequence[str], live: bool = False, latency: Latency = _LATENCY
) -> Iterator[list[str]]:
    """Start a job server for the job of these options; gives all the options to run it with.

    Args:
        argv: Beam options of the user; `--flink_master` decides where the job runs.
        live: whether the source never ends, as a Kafka topic.
        latency: how long events of such a source may wait.

    Raises:
        NoJobServerJar: if there is no job server for this Flink version.
        JobServerFailed: if it does not come up.
        ValueError: a savepoint comes from another kind of job server.
    """
    complete = flink_arguments(argv, live, latency)
    flags = parse_flags(complete)
    with ExitStack() as opened:
        if live:
            stop_measuring()
            if "flink_conf_dir" not in flags and "output_executable_path" not in flags:
                folder = opened.enter_context(TemporaryDirectory(prefix="chronon_beam-flink-"))
                configuration(latency, "checkpointing_interval" in flags, Path(folder))
                complete.append(f"--flink_conf_dir={folder}")
        if flags.get("job_endpoint"):
            yield complete
            return
        jar, _ = job_server_jar(flags.get("flink_job_server_jar"), flags["flink_version"] or "")
        if savepoint := flags.get("savepoint_path"):
            check_savepoint(savepoint, jar, live)
        server = JobServer(jar, flags["flink_master"] or LOCAL_MASTERS[0])
        opened.enter_context(server)
        yield [*complete, f"--job_endpoint={server.endpoint}"]


def configuration(latency: Latency, checkpointed: bool, folder: Path) -> None:
    """Write Flink's settings that no option of Beam has into `folder`.

    Args:
        latency: how long rows may wait in Flink's buffers.
        checkpointed: whether the job has checkpoints. Without them it must not be restarted: it
            would begin with empty tiles, and overwrite those in the store.
        folder: for `--flink_conf_dir`.
    """
    lines = {"execution.buffer-timeout.interval": f"{latency.buffer_ms} ms"}
    lines |= RESTARTS if checkpointed else {"restart-strategy.type": "none"}
    text = "".join(f"{name}: {value}\n" for name, value in lines.items())
    (folder / "flink-conf.yaml").write_text(text, encoding="utf-8")


def flink_arguments(
    argv: Sequence[str], live: bool = False, latency: Latency = _LATENCY
) -> list[str]:
    """The user's options, and after them the safe ones that they leave open."""
    given = parse_flags(argv)
    master = given.get("flink_master") or LOCAL_MASTERS[0]
    defaults: dict[str, str | None] = {
        "runner": "FlinkRunner",
        "flink_master": master,
        "flink_version": ASSEMBLED_VERSION,
        "max_parallelism": str(MAX_PARALLELISM),
        **_environment(given, master in LOCAL_MASTERS),
    }
    defaults["parallelism"] = str(1 if master in LOCAL_MASTERS else CLUSTER_PARALLELISM)
    if live:
        defaults["max_bundle_time_mills"] = str(latency.bundle_ms)
    if live or master not in LOCAL_MASTERS:
        # As batch, a cluster would end the workers, and Spark with them, after each stage.
        defaults["streaming"] = None
    if live and master not in LOCAL_MASTERS:
        defaults["checkpointing_interval"] = str(CHECKPOINT_INTERVAL_MS)
        defaults["externalized_checkpoints_enabled"] = None
        defaults["retain_externalized_checkpoints_on_cancellation"] = None
    if "checkpointing_interval" in {**defaults, **given}:
        defaults |= _checkpointed(live)
    missing = {name: value for name, value in defaults.items() if name not in given}
    return [*argv, *(_flag(name, value) for name, value in missing.items())]


def _checkpointed(live: bool) -> dict[str, str | None]:
    """What a job with checkpoints needs: without it, it stalls."""
    bundles: dict[str, str | None] = {"finish_bundle_before_checkpointing": None}
    # With checkpoints, Flink would keep sources open for ever that have given all.
    return bundles if live else {**bundles, "shutdown_sources_after_idle_ms": str(IDLE_MS)}


def _flag(name: str, value: str | None) -> str:
    return f"--{name}" if value is None else f"--{name}={value}"


def _environment(given: Flags, local: bool) -> dict[str, str | None]:
    """Where Python workers run: in the launcher, in a pool at an address, or as processes."""
    kind = given.get("environment_type")
    if address := given.get("environment_config"):
        return {"environment_type": "PROCESS" if address.startswith("{") else "EXTERNAL"}
    if kind is None and local and not given.get("output_executable_path"):
        return {"environment_type": "LOOPBACK"}
    if kind not in (None, "PROCESS"):
        return {}
    command = worker_boot.write_command(cache_directory())
    inherited = {"PYTHONPATH": path} if (path := os.environ.get("PYTHONPATH")) else {}
    config = json.dumps({"command": str(command), "env": inherited})
    return {"environment_type": "PROCESS", "environment_config": config}


def parse_flags(argv: Sequence[str]) -> dict[str, str | None]:
    """`--name=value`, `--name value` and bare `--name` (None) by name; the last one counts.

    >>> parse_flags(["--streaming", "--parallelism", "2", "--flink_version=1.19"])
    {'streaming': None, 'parallelism': '2', 'flink_version': '1.19'}
    """
    flags: dict[str, str | None] = {}
    pending = ""
    for word in argv:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            flags[name] = value if equals else None
            pending = "" if equals else name
        elif pending:
            flags[pending], pending = word, ""
    return flags


_BARE = (
    "finish_bundle_before_checkpointing",
    "externalized_checkpoints_enabled",
    "retain_externalized_checkpoints_on_cancellation",
    "object_reuse",
    "streaming",
)


def dangers(argv: Sequence[str], live: bool = False) -> list[str]:
    """What these options would do to the job: one line each, with cause and remedy.

    Args:
        argv: the options as they will be run: those of `flink_arguments`.
        live: whether the source never ends.
    """
    flags = parse_flags(argv)
    local = (flags.get("flink_master") or LOCAL_MASTERS[0]) in LOCAL_MASTERS
    found = [*_wrong_booleans(flags)]
    if live and "shutdown_sources_after_idle_ms" in flags:
        found.append(
            "--shutdown_sources_after_idle_ms with a live source: no checkpoint ever completes, "
            "and a restart begins at the first event; leave it out."
        )
    if live and not local:
        found += _fixed_parallelism(flags)
    return found + _missing_on_workers(flags, local)


def _wrong_booleans(flags: Flags) -> Iterator[str]:
    for name in _BARE:
        if flags.get(name) is not None:
            yield (
                f"--{name}={flags[name]}: the job server takes bare flags only and refuses the "
                f"job; write --{name}, or leave it out."
            )


def _fixed_parallelism(flags: Flags) -> Iterator[str]:
    if not (most := flags["max_parallelism"] or "").isdecimal():
        yield (
            f"--max_parallelism={most}: Flink derives it from the parallelism, and a savepoint may "
            f"then not restore at another one; leave it out for {MAX_PARALLELISM}."
        )
    if flags.get("parallelism") == "1":
        yield (
            "--parallelism=1: Flink does not restore such a job at a higher one; start with "
            f"--parallelism={CLUSTER_PARALLELISM} or more."
        )


def _missing_on_workers(flags: Flags, local: bool) -> list[str]:
    found = []
    if not local and flags.get("environment_type") == "LOOPBACK":
        found.append(
            "--environment_type=LOOPBACK on a cluster: the job ends with this launcher; leave it "
            "out to run the workers on the TaskManagers."
        )
    staged = [name for name in ("setup_file", "requirements_file") if flags.get(name)]
    if staged and flags.get("environment_type") == "PROCESS":
        found.append(
            f"--{staged[0]} with PROCESS workers: they run in {sys.executable}'s packages and "
            "install nothing; install the packages there, or use EXTERNAL workers in containers."
        )
    return found
