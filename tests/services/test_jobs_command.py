"""The life of a job by `chronon-beam jobs`: start, stop with a savepoint, restart, cancel."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from flink_cluster import FlinkCluster
from kafka_broker import KafkaBroker
from waiting import eventually

from chronon_beam.pipeline.cli import main
from chronon_beam.pipeline.runners import worker_boot

ICE_CREAM = Path(__file__).parents[2] / "examples" / "ice_cream"
GROUP_BY = "ice_cream.group_by.ice_cream_group_by"
SCHEMA = "schema=customer_id STRING, ice_cream_flavor STRING, created BIGINT"


class Cluster:
    """Commands about the jobs of a cluster, and what they print."""

    def __init__(self, master: str, capsys: pytest.CaptureFixture[str]) -> None:
        self._flags = [f"--flink_master={master}", "--json"]
        self._capsys = capsys

    def jobs(self, *words: str) -> list[dict[str, Any]]:
        """The objects that a command prints, which must succeed."""
        self._capsys.readouterr()
        code = main(["jobs", *words, *self._flags])
        printed = self._capsys.readouterr()
        assert code == 0, printed.err
        return [json.loads(line) for line in printed.out.splitlines()]

    def refused(self, *words: str) -> str:
        """What a command says that must fail."""
        self._capsys.readouterr()
        assert main(["jobs", *words, *self._flags]) == 1
        return self._capsys.readouterr().err

    def state(self, job_id: str) -> str:
        return next(each["state"] for each in self.jobs("list") if each["id"] == job_id)

    def has_measured(self, job_id: str, **expected: int) -> bool:
        """Whether that is what the job's steps have counted and measured."""
        numbers = self.jobs("status", job_id)[0]["metrics"][GROUP_BY]
        return all(numbers.get(name) == number for name, number in expected.items())


class Orders:
    """A topic of orders, and where a job keeps what it makes of them."""

    def __init__(self, broker: KafkaBroker, folder: Path) -> None:
        self._topic = broker.create_topic("jobs_command", 2)
        self._producer = Producer({"bootstrap.servers": broker.bootstrap})
        self._store = f"--store=sqlite:{folder}/features.db"
        self.arguments = [
            f"--source=kafka://{broker.bootstrap}/{self._topic}?start=earliest",
            self._store,
            f"--dead_letters=file:{folder}/dead.jsonl",
            "--job_name=jobs_command",
            "--checkpointing_interval=1000",
            f"--environment_config={worker_boot.write_command(folder)}",
        ]

    def place(self, flavors: Sequence[str]) -> None:
        """One order of Alice for each flavor, a millisecond apart."""
        now_ms = int(time.time() * 1000)
        for at, flavor in enumerate(flavors):
            order = {"customer_id": "Alice", "ice_cream_flavor": flavor, "created": now_ms + at}
            self._producer.produce(self._topic, json.dumps(order).encode(), partition=0)
        assert self._producer.flush(60) == 0

    def are(self, number: int, flavor: str, capsys: pytest.CaptureFixture[str]) -> bool:
        """Whether so many are counted, the last one of that flavor."""
        capsys.readouterr()
        given = [f"--group_by={ICE_CREAM / 'group_by.py'}", "--key=customer_id=Alice", self._store]
        code, out = main(["fetch", *given]), capsys.readouterr().out
        expected = {"customer_id_count_6h": number, "flavor_last_6h": flavor}
        return code == 0 and json.loads(out) == expected


@pytest.fixture(scope="module")
def jar(tmp_path_factory: pytest.TempPathFactory) -> str:
    jar = tmp_path_factory.mktemp("jar") / "job.jar"
    group_by = f"--group_by={ICE_CREAM / 'group_by.py'}"
    source = f"--source=kafka://not-there:9092/none?{SCHEMA}"
    assert main(["template", "flink", group_by, source, f"--output={jar}"]) == 0
    return str(jar)


def test_job_is_started_stopped_restarted_and_cancelled(
    jar: str,
    kafka_broker: KafkaBroker,
    flink_cluster: FlinkCluster,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cluster, orders = Cluster(flink_cluster.master, capsys), Orders(kafka_broker, tmp_path)
    orders.place(["vanilla", "lemon"])
    assert "did you mean --source?" in cluster.refused("start", jar, "--sorce=kafka://b/t")
    ((first,),) = [each.values() for each in cluster.jobs("start", jar, *orders.arguments)]
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
