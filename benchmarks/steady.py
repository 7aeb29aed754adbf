"""Whether a job stays as it is under a steady load: memory, checkpoints, freshness.

    python benchmarks/steady.py --minutes 60 --rate 1000

The light job on local Flink reads a Kafka topic, with a checkpoint every 10 s and a store that
notes when it is written to. Events are of now, and tiles of five minutes close meanwhile. Each
`--every` seconds a line has the resident memory of every process, the size of the newest
checkpoint, and the freshness (from an event's creation to its write) since the line before. The
last line is one JSON object: each of these as first, last, median, most and slope per hour, once
`--warm_up` minutes have passed.

A figure is flat if its slope per hour is at most the share `--flat` of its mean. A short run cannot
tell a slow leak from noise, so the settings in the JSON say how long the run was.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from kafka import Producing, kafka_broker, light_job
from processes import resident_mb
from waits import percentiles

from chronon_beam.api.records import PutRequest
from chronon_beam.io.dead_letters.sinks import open_dead_letters
from chronon_beam.io.kv_store import NullStore
from chronon_beam.io.live import LiveSettings
from chronon_beam.io.sources import open_source
from chronon_beam.pipeline.job import build
from chronon_beam.pipeline.runners.choose import runner_of
from chronon_beam.pipeline.runners.latency import LEVELS

_STARTS_WITHIN_S = 300.0


class Freshness:
    """What writes to `null:` stores waited since their events were created, until it is taken."""

    def __init__(self) -> None:
        self.waited_ms: list[float] = []
        noted = self._note
        NullStore.multi_put = lambda _, requests: noted(requests)  # type: ignore[method-assign]

    def _note(self, requests: list[PutRequest]) -> list[str | None]:
        now_ms = time.time() * 1000
        # A closing write repeats the time of its tile's last event: it is not an event's own.
        self.waited_ms += [now_ms - each.ts_ms for each in requests if now_ms - each.ts_ms < 60_000]
        return [None] * len(requests)

    def taken(self) -> list[float]:
        """What was noted; from here on it is noted anew."""
        taken, self.waited_ms = self.waited_ms, []
        return taken


class Sample(NamedTuple):
    """What was seen at one moment.

    Attributes:
        at_s: seconds since the load began.
        figures: by name: MB of each kind of process, bytes of the checkpoint, ms of freshness.
    """

    at_s: float
    figures: dict[str, float]


def checkpoint_bytes(folder: Path) -> int:
    """Bytes of the newest checkpoint that is complete; 0 if there is none just now."""
    complete = {int(path.parent.name[4:]): path.parent for path in folder.glob("*/chk-*/_metadata")}
    try:
        newest = complete[max(complete)]
        return sum(path.stat().st_size for path in newest.iterdir())
    except (ValueError, FileNotFoundError):  # it has been deleted since
        return 0


def samples(
    freshness: Freshness, checkpoints: Path, every_s: float, until_s: float
) -> Iterator[Sample]:
    """One after each `every_s`."""
    began = time.monotonic()
    freshness.taken()
    while (at_s := time.monotonic() - began) < until_s:
        time.sleep(every_s)
        figures = {f"mb_{kind}": megabytes for kind, megabytes in resident_mb().items()}
        if size := checkpoint_bytes(checkpoints):
            figures["checkpoint_bytes"] = size
        if waited := freshness.taken():
            cuts = percentiles(waited)
            figures |= {"fresh_p50_ms": cuts["p50"], "fresh_p99_ms": cuts["p99"]}
            figures["written_per_s"] = len(waited) / every_s
        yield Sample(at_s + every_s, figures)


def course(points: Sequence[tuple[float, float]], flat: float) -> dict[str, Any]:
    """How a figure went: points of (seconds, value)."""
    values = [value for _, value in points]
    slope = statistics.linear_regression(*zip(*points, strict=True)).slope * 3600
    return {
        "first": round(values[0], 1),
        "last": round(values[-1], 1),
        "median": round(statistics.median(values), 1),
        "most": round(max(values), 1),
        "slope_per_h": round(slope, 1),
        "flat": abs(slope) <= flat * statistics.fmean(values),
    }


def courses(seen: Sequence[Sample], warm_up_s: float, flat: float) -> dict[str, Any]:
    """Each figure's course, once the job is warm."""
    warm = [sample for sample in seen if sample.at_s >= warm_up_s]
    names = dict.fromkeys(name for sample in warm for name in sample.figures)
    points = {
        name: [(each.at_s, each.figures[name]) for each in warm if name in each.figures]
        for name in names
    }
    return {name: course(found, flat) for name, found in points.items() if len(found) > 2}


@contextmanager
def running(bootstrap: str, checkpoints: Path, disorder_ms: int) -> Iterator[None]:
    """The light job, reading the topic on local Flink."""
    level = LEVELS["balanced"]
    source = open_source(f"kafka://{bootstrap}/steady?start=earliest")
    source.live = LiveSettings(linger_ms=level.linger_ms, disorder_ms=disorder_ms)
    flags = ["--checkpointing_interval=10000", "--state_backend=filesystem"]
    flags += [f"--state_backend_storage_path=file://{checkpoints}"]
    with runner_of("FlinkRunner", False, flags, live=True, latency=level) as chosen:
        root = beam.Pipeline(runner=chosen.runner, options=PipelineOptions(chosen.flags))
        build(root, light_job(), source, open_dead_letters(None))
        result = root.run()
        try:
            yield
        finally:
            result.cancel()


def started(freshness: Freshness, producing: Producing) -> None:
    """Send events until the first is written."""
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while not freshness.waited_ms:
        producing(100, 0.5)
        assert time.monotonic() < deadline, "the job does not start"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=1000, help="events per second")
    parser.add_argument("--every", type=float, default=30, help="seconds between two samples")
    parser.add_argument("--warm_up", type=float, default=8, help="minutes that do not count")
    parser.add_argument("--disorder_ms", type=int, default=60_000)
    parser.add_argument("--flat", type=float, default=0.1, help="part of the mean, an hour")
    arguments = parser.parse_args()
    freshness = Freshness()
    seen: list[Sample] = []
    with kafka_broker() as bootstrap, TemporaryDirectory() as folder:
        producing = Producing(bootstrap, "steady")
        with running(bootstrap, Path(folder), arguments.disorder_ms):
            started(freshness, producing)
            seconds = arguments.minutes * 60
            load = Thread(target=producing, args=(arguments.rate, seconds), daemon=True)
            load.start()
            for sample in samples(freshness, Path(folder), arguments.every, seconds):
                seen.append(sample)
                print(json.dumps(sample._asdict()), file=sys.stderr, flush=True)
            load.join()
        producing.end()
    found = courses(seen, arguments.warm_up * 60, arguments.flat)
    print(json.dumps({"benchmark": "steady", "settings": vars(arguments), **found}))


if __name__ == "__main__":
    main()
