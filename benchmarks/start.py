"""What a short command waits for: one fetch of derived features, with and without a quick start.

    python benchmarks/start.py --rounds 3

The command is `chronon-beam fetch` for one key with derivations by Spark, in a process
of its own. `plain` starts Spark as it comes; `quick_compiler` leaves Java's second compiler out;
`archive` starts from an archive of classes as well, which is what commands do. Every answer is
compared. Seconds of CPU of all processes, and of time: medians. The last line is one JSON object.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

GROUP_BY = """
from chronon_beam.api import *

sales = GroupBy(
    sources=Source(EventSource(query=Query(select("shop", "price"), time_column="sold_at"))),
    keys=["shop"],
    aggregations=[Aggregation("price", Operation.SUM, [Window(1, TimeUnit.DAYS)])],
    derivations=[Derivation("weekend", "dayofweek(ds) IN (1, 7)"),
                 Derivation("rounded", "round(price_sum_1d / 3, 2)")],
)
"""
EVENT = {"shop": "Nice", "price": 1.0, "sold_at": 1_704_585_600_000}
AT = ["--key=shop=Nice", "--at=2024-01-07T01:00:00Z"]
ANSWER = {"weekend": True, "rounded": 0.33}

COMMAND = "import sys; from chronon_beam.pipeline.entry import main; sys.exit(main())"
WITHOUT = (
    "from chronon_beam.transforms.spark import quick_start\n"
    "quick_start.found_archive = lambda jars: None\n"
    "quick_start.make_later = lambda jars: None\n"
)
PLAIN = f"{WITHOUT}quick_start._C1_ALONE = '-XX:+UseSerialGC'\n"
MAKE = "from chronon_beam.transforms.spark.make_archive import main; raise SystemExit(main())"


class Spent(NamedTuple):
    """Seconds."""

    cpu: float
    time: float


def run(program: str, argv: list[str], folder: Path) -> tuple[Spent, str]:
    """A process that has ended, with what it printed."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", program, *argv],
        cwd=folder,
        env=os.environ | {"CHRONON_BEAM_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{argv}: {done.stderr}")
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = now.ru_utime - before.ru_utime + now.ru_stime - before.ru_stime
    return Spent(cpu, time.monotonic() - began), done.stdout


def fetch(program: str, folder: Path) -> Spent:
    """One fetch, whose answer is compared."""
    declared = ["--group_by=sales.py", "--store=sqlite:sales.db"]
    spent, printed = run(f"{program}{COMMAND}", ["fetch", *declared, *AT], folder)
    if json.loads(printed) != ANSWER:
        raise SystemExit(f"the answer is {printed}, and {ANSWER} was expected")
    return spent


def prepared(folder: Path) -> Spent:
    """Fill the store and make the archive; what the archive costs."""
    (folder / "sales.py").write_text(GROUP_BY)
    (folder / "sales.jsonl").write_text(json.dumps(EVENT))
    words = ["--group_by=sales.py", "--store=sqlite:sales.db", "--source=file:sales.jsonl"]
    run(f"{WITHOUT}{COMMAND}", ["run", *words], folder)
    return run(MAKE, [], folder)[0]


def main(argv: list[str]) -> int:
    """Run all rounds, turn by turn; print the result."""
    parser = argparse.ArgumentParser(description="What a short command waits for.")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args(argv)
    ways = {"plain": PLAIN, "quick_compiler": WITHOUT, "archive": ""}
    spent: dict[str, list[Spent]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = prepared(folder)
        for _ in range(arguments.rounds):
            for way, program in ways.items():
                spent[way].append(fetch(program, folder))
    result = {
        "benchmark": "start",
        "settings": vars(arguments),
        "cpu_s": _medians(spent, lambda each: each.cpu),
        "time_s": _medians(spent, lambda each: each.time),
        "making_the_archive": {"cpu_s": round(made.cpu, 1), "time_s": round(made.time, 1)},
    }
    print(json.dumps(result))
    return 0


def _medians(spent: dict[str, list[Spent]], part: Callable[[Spent], float]) -> dict[str, float]:
    return {way: round(median(map(part, each)), 2) for way, each in spent.items()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
