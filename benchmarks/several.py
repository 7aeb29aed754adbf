"""What several GroupBys cost in one job that reads once, and in a job for each of them.

    python benchmarks/several.py --events 100000

Three GroupBys over one file of JSON lines, with columns, filters and time columns of their own. In
each round all three run in one job, and then each in a job of its own, into new SQLite files; the
tiles of both ways are compared byte by byte. All jobs run in this process, whose Spark is warm.
CPU of all processes counts. The last line is one JSON object.
"""

import argparse
import json
import random
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from statistics import median

from processes import cpu_s

from chronon_beam.api.load import load_group_by
from chronon_beam.io.kv_store import open_store
from chronon_beam.pipeline.options import JobOptions
from chronon_beam.pipeline.run import run_together
from chronon_beam.transforms.tiling.settings import Tiling
from chronon_beam.transforms.tiling.triggers import parse_trigger

BEGIN_MS = 472_222 * 3_600_000
DDL = (
    "user BIGINT, item STRING, price DOUBLE, amount INT, note STRING, bought BIGINT, paid BIGINT, "
    "returned BOOLEAN"
)
NAMES = ("spending", "items", "returns")
DECLARED = """
from chronon_beam.api import *

WINDOWS = [Window(6, TimeUnit.HOURS), Window(30, TimeUnit.DAYS)]

def own(name, key, selects, time, aggregations, wheres=()):
    query = Query(selects, wheres=[*wheres], time_column=time)
    return GroupBy(
        name=f"benchmark.{name}", keys=[key], sources=Source(EventSource(query=query)),
        aggregations=[Aggregation(column, each, WINDOWS) for column, each in aggregations],
    )

spending = own(
    "spending", "user", select("user", total="price * amount"), "paid",
    [("total", Operation.SUM), ("total", Operation.LAST)],
)
items = own(
    "items", "item", select("item", "amount"), "bought",
    [("amount", Operation.COUNT), ("amount", Operation.MAX)],
)
returns = own(
    "returns", "user", select("user", "item"), "bought", [("item", Operation.LAST_K(5))],
    ["returned"],
)
"""


class Bench:
    """A folder with the GroupBys and a file of events."""

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        self.folder = folder
        self._tiling = Tiling(parse_trigger(arguments.trigger), shards=1)
        (folder / "own.py").write_text(DECLARED)
        drawn = random.Random(16)
        with (folder / "events.jsonl").open("w") as file:
            for at in range(arguments.events):
                bought_ms = BEGIN_MS + at * 3_600_000 // arguments.events
                event = {
                    "user": drawn.randrange(arguments.keys),
                    "item": f"item {drawn.randrange(arguments.keys)}",
                    "price": drawn.randrange(10_000) / 100,
                    "amount": 1 + at % 5,
                    "note": "leave it at the door",
                    "bought": bought_ms,
                    "paid": bought_ms + drawn.randrange(60_000),
                    "returned": at % 10 == 0,
                }
                file.write(f"{json.dumps(event)}\n")

    def run(self, names: tuple[str, ...], store: str) -> float:
        """One job for these GroupBys; seconds of CPU."""
        options = [
            JobOptions(
                group_by=f"{self.folder}/own.py:{name}",
                source=f"file:{self.folder}/events.jsonl?schema={DDL}",
                store=store,
                tiling=self._tiling,
            )
            for name in names
        ]
        before = sum(cpu_s().values())
        run_together(options, "DirectRunner", [])
        return sum(cpu_s().values()) - before

    def check(self, together: str, alone: str) -> None:
        """Compare all tiles."""
        with closing(open_store(together)) as one, closing(open_store(alone)) as other:
            for name in NAMES:
                dataset = load_group_by(f"{self.folder}/own.py:{name}").streaming_dataset
                if sorted(one.scan(dataset)) != sorted(other.scan(dataset)):
                    raise SystemExit(f"{name}: the tiles of one job are not those of three")


def measured(bench: Bench, rounds: int) -> dict[str, list[float]]:
    """Seconds of CPU for each round: in one job, and in three."""
    seconds: dict[str, list[float]] = {"together": [], "alone": []}
    bench.run(NAMES, f"sqlite:{bench.folder}/warm_up.db")
    for number in range(rounds):
        together, alone = (f"sqlite:{bench.folder}/{number}{way}.db" for way in seconds)
        seconds["together"].append(bench.run(NAMES, together))
        seconds["alone"].append(sum(bench.run((name,), alone) for name in NAMES))
        bench.check(together, alone)
    return seconds


def main(argv: list[str]) -> int:
    """Run all rounds; print the result."""
    parser = argparse.ArgumentParser(description="Three GroupBys in one job, and in three.")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--keys", type=int, default=2_000)
    parser.add_argument("--trigger", default="every_event")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        seconds = measured(Bench(Path(name), arguments), arguments.rounds)
    together, alone = (
        round(median(seconds[way]) * 1e6 / arguments.events, 2) for way in ("together", "alone")
    )
    result = {
        "benchmark": "several",
        "settings": vars(arguments),
        "events": arguments.events,
        "cpu_us_per_event": together,
        "peer": {"name": "three jobs of one GroupBy each", "cpu_us_per_event": alone},
        "ratio": round(together / alone, 3),
        "seconds": seconds,
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
