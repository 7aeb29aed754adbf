"""The demo's job: `chronon-beam run`, as a user would type it, in a process of its own."""

import subprocess
import sys
from pathlib import Path
from shlex import quote

from apache_beam.utils.subprocess_server import pick_port

from chronon_beam.pipeline.demo.folder import DemoFailed, DemoFolder
from chronon_beam.pipeline.demo.kafka_broker import HOST
from chronon_beam.pipeline.demo.shop import DDL
from chronon_beam.pipeline.runners import guard
from chronon_beam.pipeline.runners.flink import configuration
from chronon_beam.pipeline.runners.latency import LEVELS

CHECKPOINT_MS = 5_000
JOB_NAME = "ice-cream"
LATENCY = "low"
_WIDTH = 80
_GRACE_S = 20.0
"""How long the job may take to end Flink, its workers and Spark in order."""


def write_flink_settings(folder: DemoFolder) -> str:
    """Write the settings of local Flink to the demo's folder; `HOST:PORT` of its REST API."""
    configuration(LEVELS[LATENCY], checkpointed=True, folder=folder.flink)
    (port,) = pick_port(None)
    with (folder.flink / "flink-conf.yaml").open("a", encoding="utf-8") as settings:
        settings.write(f"rest.address: {HOST}\nrest.bind-address: {HOST}\n")
        settings.write(f"rest.port: {port}\nrest.bind-port: {port}\n")
    return f"{HOST}:{port}"


def job_arguments(folder: DemoFolder, topic_uri: str) -> list[str]:
    """The words after `chronon-beam`.

    Args:
        folder: where the job finds its GroupBy and Flink's settings, and keeps all it writes.
        topic_uri: `kafka://HOST:PORT/TOPIC`.
    """
    return [
        "run",
        f"--group_by={folder.group_by}",
        f"--source={topic_uri}?start=earliest&schema={DDL}",
        f"--store={folder.store}",
        f"--dead_letters=file:{folder.dead_letters}",
        "--runner=FlinkRunner",
        f"--latency={LATENCY}",
        f"--job_name={JOB_NAME}",
        f"--flink_conf_dir={folder.flink}",
        f"--checkpointing_interval={CHECKPOINT_MS}",
        "--state_backend=filesystem",
        f"--state_backend_storage_path={folder.checkpoints.as_uri()}",
    ]


def shell_text(program: str, arguments: list[str]) -> str:
    r"""A command for a shell, in lines of 80 columns where its words are not longer.

    >>> print(shell_text("chronon-beam", ["fetch", "--keys=" + 40 * "k", "--store=a b", "--at=1"]))
      chronon-beam fetch --keys=kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk \
        --store='a b' --at=1
    """
    lines = [f"  {program}"]
    for argument in arguments:
        name, _, value = argument.partition("=")
        word = f"{name}={quote(value)}" if value else argument
        if len(lines[-1]) + len(word) < _WIDTH - len(" \\ "):
            lines[-1] += f" {word}"
        else:
            lines.append(f"    {word}")
    return " \\\n".join(lines)


class JobProcess:
    """The job while this context manager is entered; it ends with all it has started.

    Args:
        arguments: see `job_arguments`.
        folder: its log goes there.
    """

    def __init__(self, arguments: list[str], folder: DemoFolder) -> None:
        self._log: Path = folder.job_log
        self._command = [sys.executable, "-P", "-m", "chronon_beam.pipeline", *arguments]
        self._environment = {"TMPDIR": str(folder.scratch), "PYTHONUNBUFFERED": "1"}

    def __enter__(self) -> "JobProcess":
        self._guard: subprocess.Popen[bytes] = guard.start(
            self._command, self._log, self._environment, _GRACE_S
        )
        return self

    def __exit__(self, *exc_info: object) -> None:
        guard.stop(self._guard)

    def said(self) -> str:
        """The last line that it has printed."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def check(self) -> None:
        """Raise DemoFailed if it has ended."""
        code = self._guard.poll()
        if code is not None:
            raise DemoFailed(
                f"the job has ended with exit code {code}; it said last: {self.said()}"
            )
