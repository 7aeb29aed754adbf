"""What it costs that runs add up: a run into an empty dataset, and runs that come to its tiles.

    python benchmarks/runs.py --events 100000

Three files of as many events each are run over one after the other, into a new SQLite file each
time. The first run is alone in its dataset. The second has the same keys and tiles, and adds to
every tile. The third has the same keys in the next hour, so that its tiles are new. Then all files
are run over again, where nothing is new. In the end every count is compared with what was
generated. CPU of all processes counts. The last line is one JSON object.
"""

import argparse
import json
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from processes import cpu_s

from chronon_beam.api.load import load_group_by
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.fetcher.serving_info import load
from chronon_beam.io.kv_store import open_store
from chronon_beam.pipeline.options import JobOptions
from chronon_beam.pipeline.run import run
from chronon_beam.transforms.tiling.settings import Tiling
from chronon_beam.transforms.tiling.triggers import parse_trigger

HOUR_MS = 3_600_000
BEGIN_MS = 472_222 * HOUR_MS

GROUP_BY = """
from chronon_beam.api import *

WINDOWS = [Window(1, TimeUnit.HOURS)]
runs = GroupBy(
    name="benchmark.runs",
    sources=Source(EventSource(query=Query(select("user", "amount"), time_column="created"))),
    keys=["user"],
    aggregations=[
        Aggregation("amount", Operation.COUNT, WINDOWS),
        Aggregation("amount", Operation.SUM, WINDOWS),
        Aggregation("amount", Operation.LAST, WINDOWS),
    ],
)
"""


class Bench:
    """A folder with the GroupBy and three files of events: two of one hour, one of the next."""

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        self.folder, self.keys = folder, arguments.keys
        self.group_by = folder / "group_by.py"
        self.group_by.write_text(GROUP_BY)
        self.tiling = Tiling(parse_trigger(arguments.trigger), shards=1)
        self.counts = np.zeros((2, self.keys), dtype=int)
        for number, hour in enumerate((0, 0, 1)):
            users = np.random.default_rng(number).integers(0, self.keys, arguments.events)
            self.counts[hour] += np.bincount(users, minlength=self.keys)
            self._write(number, users, BEGIN_MS + hour * HOUR_MS)

    def _write(self, number: int, users: Any, begin_ms: int) -> None:
        with (self.folder / f"{number}.jsonl").open("w") as file:
            for at, user in enumerate(users.tolist()):
                created = begin_ms + at * HOUR_MS // len(users)
                file.write(f'{{"user": {user}, "amount": {at % 97}, "created": {created}}}\n')

    def run(self, files: str, store: str) -> tuple[float, float]:
        """Seconds of CPU, and of time."""
        options = JobOptions(
            group_by=str(self.group_by),
            source=f"file:{self.folder}/{files}.jsonl",
            store=store,
            tiling=self.tiling,
        )
        began, before = time.monotonic(), sum(cpu_s().values())
        run(options, "DirectRunner", [])
        return sum(cpu_s().values()) - before, time.monotonic() - began

    def check(self, store_uri: str) -> None:
        """Compare the count of every key with what was generated."""
        group_by = load_group_by(str(self.group_by))
        with closing(open_store(store_uri)) as store:
            fetcher = Fetcher.of(load(store, group_by), store)
            keys = [{"user": user} for user in range(self.keys)]
            found = [
                [each["amount_count_1h"] for each in fetcher.fetch(keys, BEGIN_MS + end * HOUR_MS)]
                for end in (1, 2)
            ]
        if found != [[number or None for number in hour] for hour in self.counts.tolist()]:
            raise SystemExit("counts are not those of the events that were generated")


def measured(bench: Bench, rounds: int) -> dict[str, list[float]]:
    """Seconds of CPU for each round, by kind of run; and of time where nothing is new."""
    kinds = ("alone", "adding", "new_tiles", "nothing_new_s")
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    bench.run("0", f"sqlite:{bench.folder}/warm_up.db")
    for number in range(rounds):
        store = f"sqlite:{bench.folder}/{number}.db"
        seconds["alone"].append(bench.run("0", store)[0])
        seconds["adding"].append(bench.run("1", store)[0])
        seconds["new_tiles"].append(bench.run("2", store)[0])
        seconds["nothing_new_s"].append(bench.run("*", store)[1])
        bench.check(store)
    return seconds


def main(argv: list[str]) -> int:
    """Run all rounds; print the result."""
    parser = argparse.ArgumentParser(description="What it costs that runs add up.")
    parser.add_argument("--events", type=int, default=100_000, help="of each file")
    parser.add_argument("--keys", type=int, default=2_000)
    parser.add_argument("--trigger", default="every_event")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        seconds = measured(Bench(Path(name), arguments), arguments.rounds)
    alone, adding, new_tiles = (
        round(median(seconds[name]) * 1e6 / arguments.events, 2)
        for name in ("alone", "adding", "new_tiles")
    )
    result = {
        "benchmark": "runs",
        "settings": vars(arguments),
        "events": arguments.events,
        "cpu_us_per_event": adding,
        "cpu_us_per_event_of_new_tiles": new_tiles,
        "peer": {"name": "a run into an empty dataset", "cpu_us_per_event": alone},
        "ratio": round(adding / alone, 3),
        "seconds": seconds,
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
