"""What the Kafka source costs, and how long an event takes from the topic to the store.

    python benchmarks/kafka.py --records 1000000 --rates 500,1000,5000 --seconds 12 --latency low

1. The source alone beside a bare loop of confluent-kafka's consume(1000), both over the same topic:
   CPU per record of this process, librdkafka's threads included.
2. The light job on local Flink with a checkpoint every 10 s and a store that notes when it is
   written to: how long tiles take to be written once an event closes them; and then, while no tile
   closes, the time from an event's creation to its write, by rate; CPU when idle; and how fast a
   backlog is worked off.

A broker is started, and its CPU and the producer's do not count. The last line is one JSON object.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from processes import cpu_s
from waits import Waits, percentiles
from workload import DDL, light

from chronon_beam.io.dead_letters.sinks import open_dead_letters
from chronon_beam.io.live import LiveSettings
from chronon_beam.io.sources import open_source
from chronon_beam.pipeline.job import Job, build
from chronon_beam.pipeline.runners.choose import runner_of
from chronon_beam.pipeline.runners.embedded import embedded_runner
from chronon_beam.pipeline.runners.latency import DEFAULT, Latency, parse_latency
from chronon_beam.transforms.evaluate import plan_of, sql_query
from chronon_beam.transforms.spark.compiled_query import compile_query
from chronon_beam.transforms.spark.session import parse_ddl
from chronon_beam.transforms.tiling.settings import Tiling

HERE = Path(__file__).parent
BROKER = HERE.parent / "tests" / "services" / "kafka_broker.py"
PARTITIONS = 2
BACKLOG = 200_000
CLOSING = 30_000
"""Events in the tiles that are closed."""

AGE_S = 3600
"""How old they are: older than events may be out of order."""

_WITHIN_S = 300.0
_SETTLE_S = 1.0


@contextmanager
def kafka_broker() -> Iterator[str]:
    """A broker's address."""
    command = [sys.executable, str(BROKER)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        address = process.stdout.readline().decode().split()[-1]
        try:
            yield address
        finally:
            process.terminate()


class Producing:
    """The producer, as a process of its own on a topic of its own.

    Attributes:
        sent: how many events it has produced.
    """

    def __init__(self, bootstrap: str, topic: str) -> None:
        admin = AdminClient({"bootstrap.servers": bootstrap})
        # A record's time is that of its append, so that the broker's part can be told.
        settings = {"message.timestamp.type": "LogAppendTime"}
        new = NewTopic(topic, PARTITIONS, 1, config=settings)
        admin.create_topics([new])[topic].result(30)
        script = [sys.executable, str(HERE / "kafka_load.py"), bootstrap, topic, str(PARTITIONS)]
        self._process = subprocess.Popen(
            script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.sent = 0

    def __call__(self, rate: float, amount: float, age_s: float = 0) -> int:
        """See `kafka_load`."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{rate} {amount} {age_s}\n")
        self._process.stdin.flush()
        sent = int(self._process.stdout.readline())
        self.sent += sent
        return sent

    def end(self) -> None:
        """Let it end."""
        self._process.communicate()


def bare_us(bootstrap: str, topic: str, records: int) -> float:
    """CPU per record of the loop that everybody writes."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "bare",
            "enable.auto.commit": False,
            "queued.max.messages.kbytes": 32_768,
        }
    )
    consumer.assign([TopicPartition(topic, each, 0) for each in range(PARTITIONS)])
    began, seen = time.process_time(), 0
    while seen < records:
        found = [
            (message.value(), message.offset(), message.timestamp()[1])
            for message in consumer.consume(1000, 1.0)
        ]
        seen += len(found)
    spent = time.process_time() - began
    consumer.close()
    return spent / records * 1e6


def source_us(bootstrap: str, topic: str, records: int) -> float:
    """CPU per record of the source, without what it costs to run a pipeline over nothing."""
    return (
        (_read_s(bootstrap, topic, "earliest") - _read_s(bootstrap, topic, "latest"))
        / records
        * 1e6
    )


def _read_s(bootstrap: str, topic: str, start: str) -> float:
    source = open_source(f"kafka://{bootstrap}/{topic}?start={start}&stop=end")
    began = time.process_time()
    with beam.Pipeline(runner=embedded_runner(False)) as root:
        _ = root | source.transform(pa.schema([])) | beam.Map(lambda messages: None)
    return time.process_time() - began


def spent_s(before: dict[str, float]) -> float:
    """CPU since then of the job: this process, Spark and Flink."""
    now = cpu_s()
    return sum(
        now[kind] - before.get(kind, 0.0) for kind in ("python", "spark", "flink") if kind in now
    )


class Measuring:
    """The light job on local Flink, under one load after another."""

    def __init__(self, producing: Producing, waits: Waits) -> None:
        self._producing = producing
        self._waits = waits

    def idle_cores(self, seconds: float) -> float:
        """CPU a second when nothing comes."""
        before = cpu_s()
        time.sleep(seconds)
        return round(spent_s(before) / seconds, 3)

    def rate(self, rate: float, seconds: float) -> dict[str, Any]:
        """Percentiles of what events waited at this rate, in all and by stage, and their CPU."""
        before, began = cpu_s(), time.time()
        sent = self._producing(rate, seconds)
        spent, ended = spent_s(before), time.time()
        time.sleep(_SETTLE_S)
        between = (began + 1) * 1000, (ended - 0.2) * 1000
        return {
            **percentiles(self._waits.in_all_ms(*between)),
            "stages": self._waits.by_stage(*between),
            "cpu_us_per_event": round(spent / sent * 1e6, 1),
        }

    def backlog(self, number: int) -> dict[str, float]:
        """How fast so many events are worked off that are there at once."""
        wanted = self._waits.number() + number
        before, began = cpu_s(), time.time()
        self._producing(0, number)
        _until(lambda: self._waits.number() >= wanted)
        rate = number / (time.time() - began)
        return {
            "max_events_per_s": round(rate),
            "cpu_us_per_event": round(spent_s(before) / number * 1e6, 1),
        }

    def closing(self) -> dict[str, float]:
        """How long tiles wait to be written once each partition has an event that closes them."""
        self._producing(0, CLOSING, AGE_S)
        _until(lambda: self._waits.number() >= self._producing.sent)
        tiles, self._waits.tiles = self._waits.tiles or set(), None
        before, closed_ms = cpu_s(), time.time() * 1000
        self._producing(0, PARTITIONS)
        _until(lambda: len(self._waits.closings_ms(closed_ms)) >= len(tiles))
        return {
            **percentiles(self._waits.closings_ms(closed_ms)),
            "tiles": len(tiles),
            "cpu_us_per_tile": round(spent_s(before) / len(tiles) * 1e6, 1),
        }

    def until_it_runs(self) -> None:
        """Old events until the first is written."""

        def runs() -> bool:
            self._producing(100, 0.5, AGE_S)
            return self._waits.number() > 0

        _until(runs)


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.time() + _WITHIN_S
    while not holds():
        assert time.time() < deadline, "the job stands still"
        time.sleep(0.05)


def light_job() -> Job:
    """The product's, into a store that keeps nothing."""
    group_by = light()
    query = sql_query(group_by, parse_ddl(DDL["light"]))
    plan = plan_of(group_by, compile_query(query), "tumbling").checked(tiled=True)
    return Job(plan, query, "null:", Tiling(shards=4))


@contextmanager
def running(bootstrap: str, topic: str, latency: Latency) -> Iterator[None]:
    """The light job, reading the topic on local Flink."""
    job = light_job()
    source = open_source(f"kafka://{bootstrap}/{topic}?start=earliest")
    source.live = LiveSettings(linger_ms=latency.linger_ms)
    with TemporaryDirectory() as folder:
        flags = ["--checkpointing_interval=10000", "--state_backend=filesystem"]
        flags += [f"--state_backend_storage_path=file://{folder}"]
        with runner_of("FlinkRunner", False, flags, live=True, latency=latency) as chosen:
            root = beam.Pipeline(runner=chosen.runner, options=PipelineOptions(chosen.flags))
            build(root, job, source, open_dead_letters(None))
            result = root.run()
            try:
                yield
            finally:
                result.cancel()


def source_figures(bootstrap: str, records: int) -> dict[str, Any]:
    """The source beside the bare loop."""
    producing = Producing(bootstrap, "source")
    producing(0, records)
    producing.end()
    peer = bare_us(bootstrap, "source", records)
    ours = source_us(bootstrap, "source", records)
    return {
        "cpu_us_per_record": round(ours, 2),
        "peer": {"name": "confluent-kafka consume(1000)", "cpu_us_per_record": round(peer, 2)},
        "ratio": round(ours / peer, 2),
    }


def job_figures(
    bootstrap: str, rates: list[float], seconds: float, latency: Latency
) -> dict[str, Any]:
    """The job on Flink under load."""
    waits = Waits()
    waits.watch()
    producing = Producing(bootstrap, "job")
    with running(bootstrap, "job", latency):
        measuring = Measuring(producing, waits)
        measuring.until_it_runs()
        closing = measuring.closing()
        measuring.rate(1000, 5)
        found = {
            "closing_ms": closing,
            "idle_cores": measuring.idle_cores(8),
            "latency_ms": {f"{rate:g}": measuring.rate(rate, seconds) for rate in rates},
            **measuring.backlog(BACKLOG),
        }
    producing.end()
    return found


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rates", default="500,1000,5000", help="events per second; none: no job")
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--latency", default=DEFAULT, help="as of the product")
    arguments = parser.parse_args()
    rates = [float(rate) for rate in filter(None, arguments.rates.split(","))]
    with kafka_broker() as bootstrap:
        figures = {"source": source_figures(bootstrap, arguments.records)}
        print(json.dumps(figures), flush=True)
        if rates:
            latency = parse_latency(arguments.latency)
            figures |= job_figures(bootstrap, rates, arguments.seconds, latency)
    print(json.dumps({"benchmark": "kafka", "settings": vars(arguments), **figures}))


if __name__ == "__main__":
    main()
