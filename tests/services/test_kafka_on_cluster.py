"""The product's job on a Flink cluster reads a bad day from Kafka exactly, whatever dies.

Two TaskManagers, a worker process on each. At moments that are drawn, a TaskManager, the workers
and the broker are killed with -9; a partition is added; the job is stopped with a savepoint and
goes on at another parallelism.
"""

import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from flink_cluster import FlinkCluster
from kafka_broker import KafkaBroker
from kafka_day import Day
from kafka_job import KafkaJob
from waiting import eventually

from chronon_beam.pipeline.runners import flink_state, maven
from chronon_beam.pipeline.runners.choose import Chosen, runner_of
from chronon_beam.pipeline.runners.flink import flink
from chronon_beam.pipeline.runners.flink_jar import LOCK
from chronon_beam.transforms.spark.cache_directory import cache_directory

EVENTS = 40_000


@dataclass
class Accidents:
    """What dies, and what is done about it then."""

    cluster: FlinkCluster
    broker: KafkaBroker
    job_id: str

    def task_manager(self) -> None:
        self._restored_after(self.cluster.kill_task_manager)
        self.cluster.start_task_manager()

    def workers(self) -> None:
        def kill() -> None:
            for worker in self.cluster.workers():
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)

        self._restored_after(kill)

    def kafka(self) -> None:
        self.broker.kill()
        self.broker.start()

    def _restored_after(self, kill: Callable[[], None]) -> None:
        before = self._checkpoints("restored")
        assert eventually(lambda: self._checkpoints("completed") > 0)
        kill()
        assert eventually(lambda: self._checkpoints("restored") > before)

    def _checkpoints(self, kind: str) -> int:
        return self.cluster.checkpoints_of(self.job_id)[kind]


def flags(cluster: FlinkCluster, parallelism: int) -> list[str]:
    return [
        f"--flink_master={cluster.master}",
        f"--parallelism={parallelism}",
        "--checkpointing_interval=1000",
    ]


def started(job: KafkaJob, cluster: FlinkCluster, chosen: Chosen) -> str:
    """Start the job; its id on the cluster."""
    known = set(cluster.jobs())
    job.start(chosen)
    assert eventually(lambda: bool(set(cluster.jobs()) - known))
    (job_id,) = set(cluster.jobs()) - known
    return job_id


def both_read(cluster: FlinkCluster, job_id: str) -> bool:
    """Whether each of the two readers has a TaskManager of its own, and has read."""
    given = cluster.outputs_of(job_id, "{Rows")
    return len({task_manager for task_manager, _ in given}) == 2 and all(given.values())


def until_savepoint(job: KafkaJob, cluster: FlinkCluster, chance: random.Random) -> str:
    """Two thirds of the day with all accidents, in an order and at moments that are drawn."""
    with runner_of("FlinkRunner", False, flags(cluster, 2), live=True) as chosen:
        job_id = started(job, cluster, chosen)
        assert eventually(lambda: both_read(cluster, job_id))
        accidents = Accidents(cluster, job.broker, job_id)
        order = [accidents.task_manager, accidents.workers, accidents.kafka]
        chance.shuffle(order)
        for part, accident in enumerate(order):
            counted = job.counted()
            job.day.produce_until(6 + 4 * part, [0, 1])
            enough = counted + chance.randrange(1, EVENTS // 18)
            assert eventually(lambda enough=enough: job.counted() >= enough), job.counted()
            accident()
        job.day.produce_until(16, [0, 1])
        assert eventually(job.is_exact), (job.counted(), job.day.sent)
        return cluster.stop_with_savepoint(job_id)


def go_on(job: KafkaJob, cluster: FlinkCluster, savepoint: str) -> None:
    """The rest of the day, on a new partition, too."""
    more = [*flags(cluster, 4), f"--savepoint_path={savepoint}"]
    with runner_of("FlinkRunner", False, more, live=True) as chosen:
        job_id = started(job, cluster, chosen)
        job.broker.add_partitions(job.topic, 4)
        job.day.produce_until(24, [0, 1, 3])
        assert eventually(job.is_exact), (job.counted(), job.day.sent)
        assert eventually(job.all_closed)
        assert eventually(lambda: job.committed(4) == job.day.sent)
        cluster.cancel(job_id)


def check_that_others_are_refused(cluster: FlinkCluster, savepoint: str) -> None:
    """A job server as Beam has published them keeps under other names what is left to read."""
    (part,) = (each for each in maven.read_lock(LOCK) if each.artifact == HOLDS_NAMES)
    (jar,) = maven.fetch([part], cache_directory() / "jars")
    assert flink_state.residual_names(jar) is flink_state.ResidualNames.LEAKING
    other = [f"--savepoint_path={savepoint}", f"--flink_job_server_jar={jar}"]
    with (
        pytest.raises(ValueError, match="comes from a job server of another kind"),
        flink([*flags(cluster, 2), *other], live=True),
    ):
        pass


HOLDS_NAMES = "beam-runners-java-fn-execution"


@pytest.mark.usefixtures("modules_on_workers")
def test_every_record_counts_once_whatever_dies(
    kafka_broker: KafkaBroker, flink_cluster: FlinkCluster, tmp_path: Path, chance: random.Random
) -> None:
    topic = kafka_broker.create_topic("cluster", 3)
    job = KafkaJob(kafka_broker, topic, Day(kafka_broker, topic, EVENTS, seed=1914), tmp_path)
    job.day.produce_until(2, [0, 1])
    flink_cluster.start_task_manager()
    savepoint = until_savepoint(job, flink_cluster, chance)
    check_that_others_are_refused(flink_cluster, savepoint)
    go_on(job, flink_cluster, savepoint)
    flink_cluster.stop_task_manager()
    assert job.is_exact()
