"""A template's jar, built once, is launched with other sources, stores and settings each time."""

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from confluent_kafka import Producer
from flink_cluster import FlinkCluster
from kafka_broker import KafkaBroker
from waiting import eventually

from chronon_beam.pipeline.cli import main
from chronon_beam.pipeline.jobs.rest import FlinkRefused, FlinkRest
from chronon_beam.pipeline.runners import worker_boot

ICE_CREAM = Path(__file__).parents[2] / "examples" / "ice_cream"
GROUP_BY = "ice_cream.group_by.ice_cream_group_by"
SCHEMA = "schema=customer_id STRING, ice_cream_flavor STRING, created BIGINT"


@pytest.fixture(scope="module")
def jar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by a source that is not there, in a folder that is gone when the jar is launched."""
    folder, jar = tmp_path_factory.mktemp("builder"), tmp_path_factory.mktemp("jar") / "job.jar"
    shutil.copytree(ICE_CREAM, folder / "ice_cream")
    group_by = f"--group_by={folder / 'ice_cream' / 'group_by.py'}"
    source = f"--source=kafka://not-there:9092/none?{SCHEMA}"
    assert main(["template", "flink", group_by, source, f"--output={jar}"]) == 0
    shutil.rmtree(folder)
    return jar


class Shop:
    """A topic with orders, and what a launch of its own makes of them.

    Args:
        broker: where the topic is made.
        name: that of the topic.
        folder: where the launch keeps what it writes.
    """

    def __init__(self, broker: KafkaBroker, name: str, folder: Path) -> None:
        self._topic = broker.create_topic(name, 2)
        self._folder = folder / name
        self._folder.mkdir()
        self._broker = broker
        self._store = f"--store=sqlite:{self._folder}/features.db"

    def order(self, flavors: Sequence[str]) -> None:
        """One order of Alice per flavor, a millisecond apart, and one record that is no order."""
        producer = Producer({"bootstrap.servers": self._broker.bootstrap})
        now_ms = int(time.time() * 1000)
        for at, flavor in enumerate(flavors):
            order = {"customer_id": "Alice", "ice_cream_flavor": flavor, "created": now_ms + at}
            producer.produce(self._topic, json.dumps(order).encode(), partition=0)
        producer.produce(self._topic, b"no order", partition=1)
        assert producer.flush(60) == 0

    def arguments(self, *more: str) -> list[str]:
        return [
            f"--source=kafka://{self._broker.bootstrap}/{self._topic}?start=earliest",
            self._store,
            f"--dead_letters=file:{self._folder}/dead.jsonl",
            f"--environment_config={worker_boot.write_command(self._folder)}",
            *more,
        ]

    def has(self, orders: int, flavor: str, capsys: pytest.CaptureFixture[str]) -> bool:
        """Whether that is what is known of Alice, and the one bad record is a dead letter."""
        capsys.readouterr()
        given = [f"--group_by={ICE_CREAM / 'group_by.py'}", "--key=customer_id=Alice", self._store]
        code, out = main(["fetch", *given]), capsys.readouterr().out
        expected = {"customer_id_count_6h": orders, "flavor_last_6h": flavor}
        return code == 0 and json.loads(out) == expected and len(self._letters()) == 1

    def run(self) -> tuple[str, str]:
        """The GroupBy and the run that its dead letter fell in."""
        (letter,) = self._letters()
        return letter["group_by"], letter["run"]

    def _letters(self) -> list[dict[str, str]]:
        path = self._folder / "dead.jsonl"
        return list(map(json.loads, path.read_text().splitlines())) if path.exists() else []


def test_one_jar_is_launched_for_two_shops(
    jar: Path,
    kafka_broker: KafkaBroker,
    flink_cluster: FlinkCluster,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    north, south = (Shop(kafka_broker, name, tmp_path) for name in ("shop_north", "shop_south"))
    north.order(["vanilla", "lemon"])
    south.order(["mango"])
    rest = FlinkRest(flink_cluster.master)
    uploaded = rest.upload(jar, "shops.jar")
    with pytest.raises(FlinkRefused, match="--store is missing: give a store"):
        rest.run(uploaded, ["--source=kafka://broker:9092/orders"], None)
    jobs = [rest.run(uploaded, north.arguments("--job_name=north"), None)]
    master = f"--flink_master={flink_cluster.master}"
    assert main(["jobs", "start", str(jar), master, *south.arguments("--parallelism=1")]) == 0
    jobs.append(capsys.readouterr().out.split()[-1])
    assert eventually(lambda: north.has(2, "lemon", capsys))
    assert eventually(lambda: south.has(1, "mango", capsys))
    assert north.run()[0] == south.run()[0] == GROUP_BY
    assert north.run() != south.run()
    assert {each.name for each in rest.jobs() if each.job_id in jobs} == {"north", GROUP_BY}
    for job in jobs:
        flink_cluster.cancel(job)
