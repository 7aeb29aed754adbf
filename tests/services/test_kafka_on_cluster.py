"""The product's job on a Flink cluster takes a bad day from Kafka to Bigtable, whatever dies.

Two TaskManagers, a worker process on each, a steady rate of events. In an order and at moments that
are drawn, a TaskManager and a worker are killed with -9, twice each, the JobManager and a worker's
Spark once, the broker is killed and the store halts; the job is stopped with a savepoint and goes
on at another parallelism; a partition is added. Then every tile in the store must hold what its
events give.
"""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from accidents import Accident, Accidents
from bigtable_emulator import BigtableEmulator
from flink_cluster import FlinkCluster
from kafka_broker import KafkaBroker
from kafka_day import Day
from kafka_job import KafkaJob
from waiting import eventually

from chronon_beam.pipeline.runners import flink_state, maven
from chronon_beam.pipeline.runners.choose import Chosen, runner_of
from chronon_beam.pipeline.runners.flink import flink
from chronon_beam.pipeline.runners.flink_jar import LOCK
from chronon_beam.pipeline.verification.compare import SOUND
from chronon_beam.transforms.spark.cache_directory import cache_directory

EVENTS = 300_000
PER_S = 4_000


def flags(cluster: FlinkCluster, parallelism: int) -> list[str]:
    """By the cluster's own configuration it is restarted at once, whatever comes how often."""
    return [
        f"--flink_master={cluster.master}",
        f"--parallelism={parallelism}",
        "--checkpointing_interval=1000",
        f"--flink_conf_dir={cluster.configuration}",
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


@contextmanager
def producing(day: Day, until: float, partitions: list[int]) -> Iterator[None]:
    """Events at a steady rate meanwhile, up to an hour of the day; at the end all are sent."""
    with ThreadPoolExecutor(1) as thread:
        sent = thread.submit(day.produce_until, until, partitions, per_s=PER_S)
        yield
        sent.result()


def until_savepoint(job: KafkaJob, accidents: Accidents, order: list[Accident]) -> str:
    """Two thirds of the day."""
    cluster = accidents.cluster
    with runner_of("FlinkRunner", False, flags(cluster, 2), live=True) as chosen:
        accidents.job_id = job_id = started(job, cluster, chosen)
        with producing(job.day, 14, [0, 1]):
            assert eventually(lambda: both_read(cluster, job_id))
            accidents.checkpointed()
            strike(accidents, order)
        with producing(job.day, 15, [0, 1]):
            accidents.checkpointed()
            return cluster.stop_with_savepoint(job_id)


def strike(accidents: Accidents, order: list[Accident]) -> None:
    """One after the other; half of them once the job has got over the one before, as is drawn."""
    for accident in order:
        if accidents.chance.random() < 0.5:
            accidents.checkpointed()
        accidents.passed(accidents.chance.randrange(3 * PER_S))
        accident()


def go_on(job: KafkaJob, accidents: Accidents, order: list[Accident], savepoint: str) -> None:
    """The rest of the day, on a new partition, too."""
    cluster = accidents.cluster
    more = [*flags(cluster, 4), f"--savepoint_path={savepoint}"]
    with runner_of("FlinkRunner", False, more, live=True) as chosen:
        job.broker.add_partitions(job.topic, 4)
        with producing(job.day, 23, [0, 1, 3]):
            accidents.job_id = job_id = started(job, cluster, chosen)
            strike(accidents, order)
        job.day.produce_until(24, [0, 1, 3], per_s=PER_S)
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
    kafka_broker: KafkaBroker,
    bigtable_emulator: BigtableEmulator,
    bigtable: str,
    flink_cluster: FlinkCluster,
    tmp_path: Path,
    chance: random.Random,
) -> None:
    topic = kafka_broker.create_topic("cluster", 3)
    day = Day(kafka_broker, topic, EVENTS, seed=1914)
    store_uri = f"{bigtable}-cluster?max_age=none&attempt=2s"
    job = KafkaJob(kafka_broker, topic, day, tmp_path, store_uri)
    accidents = Accidents(flink_cluster, kafka_broker, bigtable_emulator, day, chance)
    order = accidents.drawn()
    print("in this order:", ", ".join(each.__name__ for each in order))
    flink_cluster.start_task_manager()
    savepoint = until_savepoint(job, accidents, order[:4])
    check_that_others_are_refused(flink_cluster, savepoint)
    go_on(job, accidents, order[4:], savepoint)
    flink_cluster.stop_task_manager()
    assert job.is_exact()
    assert job.has_all_tiles()
    job.note()
    found = job.verified()
    assert found.sound, found
    assert found.counts[SOUND] == len(day.tiles())
