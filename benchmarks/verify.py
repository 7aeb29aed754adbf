"""What it costs to verify a store: CPU per event and peak memory, beside the job that made it.

    python benchmarks/verify.py --events 500000 --keys 2000 --hours 50

Events of `keys` users over `hours` hours give a tile per user and hour. The command `run` stores
the tiles in SQLite, and the command `verify` compares them with the events; each is a process of
its own. Both are done with few events first, and CPU per event is that of the events by which the
second time exceeds the first: start-up is left out. Then an event is added to the file, and verify
must find the one tile that lacks it. The last line is one JSON object.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from processes import PeakMemory

HOUR_MS = 3_600_000
BEGIN_MS = 472_222 * HOUR_MS
FEW = 1_000

GROUP_BY = """
from chronon_beam.api import *

verified = GroupBy(
    name="benchmark.verified",
    sources=Source(EventSource(query=Query(select("user", "amount"), time_column="created"))),
    keys=["user"],
    aggregations=[
        Aggregation("amount", operation, [Window(15, TimeUnit.HOURS)])
        for operation in (Operation.COUNT, Operation.SUM, Operation.LAST, Operation.UNIQUE_COUNT)
    ],
)
"""


@dataclass(frozen=True)
class Command:
    """What a command has used: seconds, and megabytes by kind of process."""

    wall_s: float
    cpu_s: float
    peak_rss_mb: dict[str, float]
    said: str


class Bench:
    """A folder with a GroupBy, events and a store.

    Attributes:
        tiles: how many distinct tiles the events have.
    """

    def __init__(self, folder: Path, events: int, keys: int, hours: int) -> None:
        self._folder = folder
        folder.mkdir()
        (folder / "group_by.py").write_text(GROUP_BY)
        chance = np.random.default_rng(events)
        users = chance.integers(0, keys, events)
        times = np.sort(chance.integers(0, hours * HOUR_MS, events))
        self.tiles = len(np.unique(users * hours + times // HOUR_MS))
        amounts = chance.integers(0, 100, events)
        self._append(users.tolist(), amounts.tolist(), (BEGIN_MS + times).tolist())

    def _append(self, users: list[int], amounts: list[int], times: list[int]) -> None:
        with (self._folder / "events.jsonl").open("a") as file:
            for user, amount, created in zip(users, amounts, times, strict=True):
                file.write(f'{{"user": {user}, "amount": {amount}, "created": {created}}}\n')

    def command(self, name: str, code: int = 0) -> Command:
        """Run a command of chronon-beam, which must end with this exit code."""
        folder = self._folder
        given = {
            "group_by": f"{folder}/group_by.py",
            "source": f"file:{folder}/events.jsonl",
            "store": f"sqlite:{folder}/features.db",
        }
        flags = [f"--{flag}={value}" for flag, value in given.items()]
        began, before = time.monotonic(), _children_cpu_s()
        with (folder / name).open("w") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "chronon_beam.pipeline", name, *flags], stderr=said
            )
            with PeakMemory(process.pid) as peak:
                ended = process.wait()
        text = (folder / name).read_text()
        if ended != code:
            raise SystemExit(f"{name} ended with exit code {ended}:\n{text}")
        cpu_s = _children_cpu_s() - before
        return Command(time.monotonic() - began, cpu_s, dict(peak.by_kind_mb), text)

    def check_that_an_event_is_missed(self) -> None:
        """Add an event of a tile that is there; exactly this tile must be found."""
        self._append([0], [50], [BEGIN_MS])
        said = self.command("verify", code=1).said
        if not ("1 missing, 0 stale" in said or "0 missing, 1 stale" in said):
            raise SystemExit(f"one tile lacks an event, and verify says\n{said}")


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(few: Bench, every: Bench) -> tuple[dict[str, Command], dict[str, Command]]:
    """Both commands by their names, with few events and with all; verify must say what is so."""
    used = [{name: bench.command(name) for name in ("run", "verify")} for bench in (few, every)]
    said = used[1]["verify"].said
    if f"  {every.tiles:,} sound, 0 missing, 0 stale, 0 extra, 0 wrong" not in said:
        raise SystemExit(f"{every.tiles:,} tiles are right, and verify says\n{said}")
    every.check_that_an_event_is_missed()
    return used[0], used[1]


def result(
    events: int, tiles: int, few: dict[str, Command], every: dict[str, Command]
) -> dict[str, object]:
    """What the last line says."""
    verify_us, run_us = (
        round((every[name].cpu_s - few[name].cpu_s) * 1e6 / (events - FEW), 2)
        for name in ("verify", "run")
    )
    verified = every["verify"]
    return {
        "events": events,
        "tiles": tiles,
        "events_per_s": round(events / verified.wall_s),
        "cpu_us_per_event": verify_us,
        "cpu_us_per_event_total": round(verified.cpu_s * 1e6 / events, 2),
        "peak_rss_mb": verified.peak_rss_mb,
        "peak_rss_mb_of_few_events": few["verify"].peak_rss_mb,
        "peer": {
            "name": "the run that made the tiles",
            "cpu_us_per_event": run_us,
            "peak_rss_mb": every["run"].peak_rss_mb,
        },
        "ratio": round(verify_us / run_us, 3),
        "wall_s": {name: round(each.wall_s, 1) for name, each in every.items()},
    }


def main(argv: list[str]) -> int:
    """Measure; print the result."""
    parser = argparse.ArgumentParser(description="What it costs to verify a store.")
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--keys", type=int, default=2_000)
    parser.add_argument("--hours", type=int, default=50)
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        few, every = (
            Bench(Path(name) / str(events), events, arguments.keys, arguments.hours)
            for events in (FEW, arguments.events)
        )
        found = result(arguments.events, every.tiles, *measured(few, every))
    print(json.dumps({"benchmark": "verify", "settings": vars(arguments), **found}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
