"""What an event costs: the product's real job, from JSON bytes in memory to the store.

    python benchmarks/pipeline.py --runner direct --group_by light --events 200000

Every stage is in it; final values are checked against a fold in plain Python, and a difference
fails the run. CPU of all processes counts: this one, workers, JVMs. The last line is one JSON
object (`cpu_us_per_event` is after warm-up, the last two thirds of the events;
`cpu_us_per_event_total` has start-up in it).
"""

import argparse
import json
import logging
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import wraps
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from emulator import bigtable_emulator
from memory_source import ReadFn, ReadMemory, fill
from processes import cpu_s
from workload import DDL, QUERY_MS, Workload, folded, same

from chronon_beam.api.counts import Metric
from chronon_beam.api.records import PutRequest
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.io import write
from chronon_beam.io.at_launch import value_of
from chronon_beam.io.dead_letters.sinks import open_dead_letters
from chronon_beam.io.kv_store import NullStore, open_store
from chronon_beam.pipeline.job import Job, build
from chronon_beam.pipeline.metrics import JobCounts
from chronon_beam.pipeline.runners.choose import runner_of
from chronon_beam.transforms import convert, decode, evaluate
from chronon_beam.transforms.evaluate import plan_of, sql_query
from chronon_beam.transforms.spark.compiled_query import compile_query
from chronon_beam.transforms.spark.session import parse_ddl
from chronon_beam.transforms.tiling import tile, tile_fn
from chronon_beam.transforms.tiling.settings import Tiling
from chronon_beam.transforms.tiling.triggers import parse_trigger

ANCHOR = {
    ("light", "tiled"): 33.18,
    ("heavy", "tiled"): 56.92,
    ("light", "untiled"): 10.5,
    ("heavy", "untiled"): 13.9,
}
"""Chronon's own FlinkJob on a MiniCluster, us of CPU an event after warm-up, in-memory source of
decoded rows, store that does nothing, 10,000 keys; measured on a machine of the same kind."""


class StageClock:
    """CPU of each stage's own code, without what it calls downstream.

    Stages are called for a batch, not for an event, so each call can be timed.
    """

    STAGES = (
        ("read", ReadFn, ("process",)),
        ("split", tile.SplitFn, ("process", "finish_bundle")),
        ("tile", tile_fn.EveryEventFn, ("process",)),
        ("tile", tile_fn.BufferedFn, ("process",)),
        ("write", write.WriteFn, ("process", "finish_bundle")),
    )
    FUNCTIONS = (
        ("decode", decode, "decode_messages"),
        ("evaluate", evaluate, "evaluate_events"),
        ("convert", convert, "row_requests"),
        ("convert", convert, "tile_requests"),
    )
    """Stages that are a function of one batch: the function is timed, not its DoFn."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        for name, kind, methods in self.STAGES:
            for method in methods:
                if method in vars(kind):
                    original = getattr(kind, method)
                    # Beam reads the parameters of the original, by `__wrapped__`.
                    setattr(kind, method, wraps(original)(self._timed(name, original)))
        for name, module, function in self.FUNCTIONS:
            self._time_function(name, module, function)

    def _time_function(self, name: str, module: Any, function: str) -> None:
        original = getattr(module, function)

        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.thread_time()
            result = original(*args, **kwargs)
            self._add(name, time.thread_time() - began)
            return result

        setattr(module, function, timed)

    def _timed(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Iterator[Any]:
            outputs = iter(method(*args, **kwargs) or ())
            while True:
                began = time.thread_time()
                output = next(outputs, self)
                self._add(name, time.thread_time() - began)
                if output is self:
                    return
                yield output

        return call

    def _add(self, name: str, seconds: float) -> None:
        with self._lock:
            self.seconds[name] += seconds


class Reading:
    """All clocks at one moment."""

    def __init__(self, done: int, clock: StageClock) -> None:
        self.done = done
        self.wall_s = time.monotonic()
        self.cpu_s = cpu_s()
        self.stages = defaultdict(float, clock.seconds)


class Meter(threading.Thread):
    """Reads the clocks when a third, and when all, of the events have been written."""

    def __init__(self, group_by: str, events: int, every_event: bool, clock: StageClock) -> None:
        super().__init__(daemon=True)
        self._counts = JobCounts([(group_by,)])
        self._events, self._every_event, self._clock = events, every_event, clock
        self.warm: Reading | None = None
        self.end: Reading | None = None
        self.over = threading.Event()

    def _done(self) -> int:
        counts = self._counts.so_far()
        rows = counts[Metric.ROWS] + counts[Metric.FILTERED]
        return min(rows, counts[Metric.WRITTEN]) if self._every_event else rows

    def run(self) -> None:
        """Poll until all is written, or the job is over."""
        while self.end is None:
            over = self.over.wait(0.02)
            done = self._done()
            if self.warm is None and done >= self._events // 3:
                self.warm = Reading(done, self._clock)
            if over or (self._every_event and done >= self._events):
                self.end = Reading(min(done, self._events), self._clock)


def flags(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """The benchmark's flags, and what is left for Beam."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--runner", choices=("direct", "flink", "prism"), default="direct")
    parser.add_argument("--group_by", choices=("light", "heavy"), default="light")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--skew", type=float, default=0.0, help="0 uniform, 1 Zipf")
    parser.add_argument("--bundle", type=int, default=1000, help="events per bundle of the source")
    parser.add_argument("--parts", type=int, default=1, help="partitions of the source")
    parser.add_argument("--trigger", default="every_event")
    parser.add_argument("--tiling", choices=("tiled", "untiled"), default="tiled")
    stores = ("null", "sqlite", "memory", "bigtable")
    parser.add_argument("--store", choices=stores, default="null")
    parser.add_argument("--shards", type=int, default=Tiling.shards)
    return parser.parse_known_args(argv)


_kept: list[tuple[tuple[Any, ...], ...]] = []


def keep_writes() -> None:
    """Let the null store remember what it was given, to be checked: a list append a batch.

    By column: requests would be a million objects for the garbage collector to go through.
    """

    def multi_put(self: NullStore, requests: list[PutRequest]) -> list[str | None]:
        _kept.append(tuple(zip(*requests, strict=True)))
        return [None] * len(requests)

    NullStore.multi_put = multi_put


def prepared(workload: Workload, arguments: argparse.Namespace, directory: str) -> Job:
    """The job, as `chronon-beam run` would make it; its store may lie in `directory`."""
    group_by = workload.group_by
    query = sql_query(group_by, parse_ddl(DDL[workload.kind]))
    tiled = arguments.tiling == "tiled"
    plan = plan_of(group_by, compile_query(query), "tumbling").checked(tiled)
    stores = {
        "null": "null:",
        "memory": "memory:bench",
        "sqlite": f"sqlite:{directory}/bench.db",
        "bigtable": f"bigtable://bench/bench-{time.time_ns()}?max_age=none",
    }
    tiling = Tiling(parse_trigger(arguments.trigger), shards=arguments.shards)
    return Job(plan, query, stores[arguments.store], tiling if tiled else None)


def run(job: Job, runner: str, bundle: int, beam_flags: list[str]) -> None:
    """Run the job to its end."""
    streaming = [*beam_flags] if runner == "direct" else ["--streaming", *beam_flags]
    name = {"direct": "DirectRunner", "flink": "FlinkRunner", "prism": "PrismRunner"}[runner]
    with runner_of(name, job.buffered, streaming) as chosen:
        pipeline = beam.Pipeline(runner=chosen.runner, options=PipelineOptions(chosen.flags))
        if runner == "direct":
            # One bundle holds all batches here: what is collected goes on after each of them.
            tile._FLUSH_ROWS = bundle
        build(pipeline, job, ReadMemory(pauses=runner != "direct"), open_dead_letters(None))
        pipeline.run().wait_until_finish()


def check(job: Job, workload: Workload) -> list[str]:
    """Differences between what was written and the fold; an event lost or doubled is one."""
    store = open_store("memory:checked" if job.store_uri == "null:" else value_of(job.store_uri))
    for columns in _kept:
        store.multi_put([PutRequest(*fields) for fields in zip(*columns, strict=True)])
    fetcher = Fetcher(job.plan, store, job.tiled)
    expected = folded(workload)
    found = fetcher.fetch([{"customer_id": name} for name in expected], QUERY_MS)
    differences = [
        f"{name}: {feature} is {values[feature]!r}, not {wanted!r}"
        for (name, features), values in zip(expected.items(), found, strict=True)
        for feature, wanted in features.items()
        if not same(values[feature], wanted)
    ]
    for difference in differences[:5]:
        print(difference, file=sys.stderr)
    return differences


def result(
    arguments: argparse.Namespace, meter: Meter, before: Reading, wrong: list[str]
) -> dict[str, Any]:
    """The object on the last line."""
    assert meter.end is not None
    warm = meter.warm or before
    end, events = meter.end, meter.end.done - warm.done
    anchor = ANCHOR[arguments.group_by, arguments.tiling]
    cost = _us(sum(end.cpu_s.values()) - sum(warm.cpu_s.values()), events)
    return {
        "benchmark": "pipeline",
        "settings": vars(arguments),
        "events": arguments.events,
        "events_per_s": round(events / (end.wall_s - warm.wall_s)),
        "cpu_us_per_event": cost,
        "cpu_us_per_event_total": _us(sum(end.cpu_s.values()), end.done),
        "stages": stages_us(warm, end),
        "values_wrong": len(wrong),
        "anchor": {
            "name": "Chronon's FlinkJob (JVM, MiniCluster, rows in memory, no-op store)",
            "cpu_us_per_event": anchor,
            "ratio": round(cost / anchor, 2),
        },
    }


def stages_us(warm: Reading, end: Reading) -> dict[str, float]:
    """Microseconds of CPU per event: of each stage, of the runner, of each other process."""
    events = end.done - warm.done
    processes = {
        name: _us(end.cpu_s[name] - warm.cpu_s.get(name, 0.0), events) for name in end.cpu_s
    }
    stages = {
        name: _us(seconds - warm.stages[name], events) for name, seconds in end.stages.items()
    }
    python = processes.pop("python", 0.0)
    stages["python_runner"] = round(python - sum(stages.values()), 2)
    return stages | {f"{name}_process": us for name, us in processes.items()}


def _us(seconds: float, events: int) -> float:
    return round(seconds * 1e6 / max(events, 1), 2)


def main(argv: list[str]) -> int:
    """Run once; print the result."""
    logging.basicConfig(level=logging.ERROR)
    arguments, beam_flags = flags(argv)
    workload = Workload(arguments.group_by, arguments.events, arguments.keys, arguments.skew)
    fill(workload, arguments.bundle, arguments.parts)
    keep_writes()
    clock = StageClock()
    emulator = bigtable_emulator() if arguments.store == "bigtable" else nullcontext()
    with tempfile.TemporaryDirectory() as directory, emulator:
        job = prepared(workload, arguments, directory)
        before = Reading(0, clock)
        meter = Meter(job.plan.group_by.name, arguments.events, not job.buffered, clock)
        meter.start()
        run(job, arguments.runner, arguments.bundle, beam_flags)
        meter.over.set()
        meter.join()
        wrong = check(job, workload)
    print(json.dumps(result(arguments, meter, before, wrong)))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
