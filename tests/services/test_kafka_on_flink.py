"""The product's job on local Flink reads a bad day from a real topic exactly, and leaks nothing.

One job, since Spark and Flink take long to start: records come before it starts, while a broker is
killed and started again, hours late, and on a partition that is added later. One partition is
silent from the beginning, and tiles close nevertheless.
"""

from pathlib import Path

from checkpoints import Checkpoint, newest_complete
from jvm import jvm_with, live_bytes
from kafka_broker import KafkaBroker
from kafka_day import HOUR_MS, START_MS, Day
from kafka_job import KafkaJob
from waiting import eventually

from chronon_beam.pipeline.runners.choose import Chosen, runner_of
from chronon_beam.pipeline.runners.flink import parse_flags

EVENTS = 200_000
CHECKPOINTS = 200
HEAP_MORE = 8 << 20
"""Bytes; a job server that leaks holds four times as much more after so many checkpoints."""

SIZE_MORE = 1.1
"""A checkpoint of a job server that leaks is three times as large after so many."""


def flags(checkpoints: Path) -> list[str]:
    storage = f"--state_backend_storage_path={checkpoints.as_uri()}"
    return ["--checkpointing_interval=100", "--state_backend=filesystem", storage]


def read_a_bad_day(job: KafkaJob) -> None:
    """All of the day, with what goes wrong; partition 2 of 0 to 3 has nothing to say."""
    day = job.day
    assert eventually(lambda: job.counted() > 0)
    job.broker.kill()
    job.broker.start()
    day.produce_until(10, [0, 1])
    day.produce_until(14, [0, 1], held=1)
    # Partition 1 is silent; what 0 has in the meantime closes tiles.
    assert eventually(lambda: go_on(day) or job.has_closed(11))
    day.release(1)
    job.broker.add_partitions(job.topic, 4)
    day.produce_until(24, [0, 1, 3])
    assert eventually(job.is_exact), (job.counted(), day.sent)
    assert eventually(job.all_closed)
    assert job.repaired()
    assert eventually(lambda: job.committed(4) == day.sent)


def go_on(day: Day) -> bool:
    """A minute of the day passes on partition 0, as often as somebody looks."""
    day.produce_until(min((day.now_ms - START_MS) / HOUR_MS + 1 / 60, 20), [0], held=1)
    return False


def check_that_nothing_leaks(job: KafkaJob, chosen: Chosen) -> None:
    """A job server that leaks keeps one more state name, and its maps, for each bundle."""
    jvm = jvm_with(f"--job-port={parse_flags(chosen.flags)['job_endpoint'].rpartition(':')[2]}")
    seen: dict[int, Checkpoint] = {}

    def have_passed() -> bool:
        job.day.trickle(0)
        if newest := newest_complete(job.checkpoints):
            seen[newest.number] = newest
        return max(seen, default=0) - min(seen, default=0) >= CHECKPOINTS

    heap = live_bytes(jvm)
    assert eventually(have_passed)
    assert live_bytes(jvm) - heap < HEAP_MORE
    assert {name for each in seen.values() for name in each.residuals} == {b"sdf_checkpoint::0"}
    sizes = [each.size for _, each in sorted(seen.items())]
    assert max(sizes[-10:]) < SIZE_MORE * max(sizes[:10])


def test_every_record_counts_once(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    topic = kafka_broker.create_topic("flink", 3)
    job = KafkaJob(kafka_broker, topic, Day(kafka_broker, topic, EVENTS, seed=14), tmp_path)
    job.day.produce_until(8, [0, 1])
    with runner_of("FlinkRunner", False, flags(job.checkpoints), live=True) as chosen:
        result = job.start(chosen)
        try:
            read_a_bad_day(job)
            check_that_nothing_leaks(job, chosen)
        finally:
            result.cancel()
    assert job.is_exact()
