"""What becomes of a job on a cluster when the command that started it dies."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

import pytest
from apache_beam.utils.subprocess_server import pick_port
from flink_cluster import FlinkCluster
from jobs_command import Cluster
from kafka_broker import KafkaBroker
from orders import DECLARED, GROUP_BY, SCHEMA, Orders
from processes import eventually_none, processes_with
from prometheus_client.parser import text_string_to_metric_families
from waiting import WITHIN_S, eventually

from chronon_beam.pipeline.cli import main

PORTS = 20
"""A worker serves its metrics at one of so many ports, since others may have taken the first."""


class Launcher:
    """`chronon-beam run` as a process of its own.

    Args:
        arguments: of the command.
        log: the file for what the command tells the user.

    Attributes:
        process: the command itself, without what it has started.
    """

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        self._log = log
        self._mark = f"launcher of {log}"  # in the environment of all that the command starts
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "chronon_beam.pipeline", "run", *arguments],
                stderr=file,
                env={**os.environ, "CHRONON_BEAM_TEST_LAUNCHER": self._mark},
                start_new_session=True,
            )

    def kill(self) -> None:
        """Kill -9 the command, and wait until all that it has started is gone."""
        self.process.kill()
        self.process.wait()
        assert eventually_none(self._mark, WITHIN_S)

    def kill_job_server(self) -> None:
        """Kill -9 the Flink job server that the command has started."""
        (job_server,) = [each for each in processes_with(self._mark) if is_job_server(each)]
        os.kill(job_server, signal.SIGKILL)

    def said(self) -> str:
        return self._log.read_text()


def is_job_server(process: int) -> bool:
    """Whether a process is the job server's JVM, and not the Python process that guards it."""
    with suppress(OSError):
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
        return b"java" in words[0] and any(word.startswith(b"--job-port") for word in words)
    return False


Launch = Callable[[Sequence[str], Path], Launcher]
"""Starts the command."""


@pytest.fixture
def launch() -> Iterator[Launch]:
    started: list[Launcher] = []

    def start(arguments: Sequence[str], log: Path) -> Launcher:
        started.append(Launcher(arguments, log))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()


def scraped(port: int, name: str) -> float:
    """A counter of the GroupBy, added up over all processes that serve their metrics."""
    total = 0.0
    for each in range(port, port + PORTS):
        url = f"http://127.0.0.1:{each}/metrics"
        with suppress(OSError, HTTPException, ValueError), urlopen(url, timeout=10) as answer:
            for family in text_string_to_metric_families(answer.read().decode()):
                total += sum(
                    sample.value
                    for sample in family.samples
                    if sample.name == name and sample.labels.get("feature_group") == GROUP_BY
                )
    return total


def arguments_of(orders: Orders, cluster: FlinkCluster) -> list[str]:
    return [
        DECLARED,
        f"--source={orders.source}&{SCHEMA}",
        *orders.kept,
        "--runner=FlinkRunner",
        f"--flink_master={cluster.master}",
        "--checkpointing_interval=1000",
    ]


def test_a_job_outlives_its_launcher_and_is_taken_over(
    kafka_broker: KafkaBroker,
    flink_cluster: FlinkCluster,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    launch: Launch,
) -> None:
    cluster, orders = Cluster(flink_cluster.master, capsys), Orders(kafka_broker, tmp_path, "taken")
    arguments, (port,) = arguments_of(orders, flink_cluster), pick_port(None)
    orders.place(["vanilla", "lemon"])
    first = launch([*arguments, f"--metrics_port={port}"], tmp_path / "first.log")
    assert eventually(lambda: orders.are(2, "lemon", capsys)), first.said()
    first.kill()
    orders.place(["plum"])
    assert eventually(lambda: orders.are(3, "plum", capsys))
    # Only the job's workers, which their TaskManager has started, are left to tell.
    assert eventually(lambda: scraped(port, "chronon_messages_total") == 3)
    assert main(["run", *arguments]) == 1
    assert f"{GROUP_BY} runs already" in capsys.readouterr().err

    (stopped,) = cluster.jobs("stop", GROUP_BY)
    orders.place(["mint"])
    more = [*arguments, f"--savepoint_path={stopped['savepoint']}"]
    second = launch(more, tmp_path / "second.log")
    assert eventually(lambda: orders.are(4, "mint", capsys)), second.said()
    second.kill_job_server()
    assert eventually(lambda: second.process.poll() == 1), second.said()
    assert "has ended: the job goes on on the Flink cluster" in second.said()
    orders.place(["olive"])
    assert eventually(lambda: orders.are(5, "olive", capsys))
    cluster.jobs("cancel", GROUP_BY)
