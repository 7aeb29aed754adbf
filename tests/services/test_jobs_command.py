"""The life of a job by `chronon-beam jobs`: start, stop with a savepoint, restart, cancel."""

from pathlib import Path

import pytest
from flink_cluster import FlinkCluster
from jobs_command import Cluster
from kafka_broker import KafkaBroker
from orders import DECLARED, GROUP_BY, SCHEMA, Orders
from waiting import eventually

from chronon_beam.pipeline.cli import main
from chronon_beam.pipeline.runners import worker_boot


@pytest.fixture(scope="module")
def jar(tmp_path_factory: pytest.TempPathFactory) -> str:
    jar = tmp_path_factory.mktemp("jar") / "job.jar"
    source = f"--source=kafka://not-there:9092/none?{SCHEMA}"
    assert main(["template", "flink", DECLARED, source, f"--output={jar}"]) == 0
    return str(jar)


def launch_of(orders: Orders, folder: Path) -> list[str]:
    """The arguments with which the jar is launched."""
    return [
        f"--source={orders.source}",
        *orders.kept,
        "--job_name=jobs_command",
        "--checkpointing_interval=1000",
        f"--environment_config={worker_boot.write_command(folder)}",
    ]


def test_job_is_started_stopped_restarted_and_cancelled(
    jar: str,
    kafka_broker: KafkaBroker,
    flink_cluster: FlinkCluster,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cluster, orders = Cluster(flink_cluster.master, capsys), Orders(kafka_broker, tmp_path, "jobs")
    orders.place(["vanilla", "lemon"])
    assert "did you mean --source?" in cluster.refused("start", jar, "--sorce=kafka://b/t")
    first = cluster.jobs("start", jar, *launch_of(orders, tmp_path))[0]["id"]
    assert eventually(lambda: orders.are(2, "lemon", capsys))
    (listed,) = [each for each in cluster.jobs("list") if each["id"] == first]
    assert (listed["name"], listed["group_bys"]) == ("jobs_command", [GROUP_BY])
    assert (listed["state"], listed["parallelism"]) == ("RUNNING", 2)
    assert eventually(lambda: cluster.has_measured(first, messages=2, rows=2))
    assert eventually(lambda: bool(cluster.jobs("status", first)[0]["checkpoints"]["last"]))
    no_folder = cluster.refused("stop", first, "--savepoint_dir=file:///proc/nowhere")
    assert "there is no savepoint of jobs_command" in no_folder
    (stopped,) = cluster.jobs("stop", "jobs_command")
    assert cluster.state(first) == "FINISHED"
    assert "has ended already" in cluster.refused("cancel", first)
    orders.place(["plum"])
    (again,) = cluster.jobs("restart", "jobs_command", "--parallelism=3")
    assert again["savepoint"] == stopped["savepoint"]
    assert eventually(lambda: orders.are(3, "plum", capsys))
    (status,) = cluster.jobs("status", again["id"])
    assert status["restored_from"] == stopped["savepoint"]
    assert status["failure"] is None
    cluster.jobs("cancel", "jobs_command")
    assert cluster.state(again["id"]) == "CANCELED"
    assert orders.are(3, "plum", capsys)
