"""What an upload costs: CPU per row, and the memory of all its processes, for several sizes.

    python benchmarks/upload.py --rows 1000000 10000000

Rows are generated as Parquet files of a day each. Every size is uploaded by the command itself, in
processes of its own; then values of some keys are compared with what NumPy makes of the same rows.
The last line is one JSON object. CPU per row is that of the rows by which the last size exceeds the
first, start-up left out.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from processes import PeakMemory

from chronon_beam.api.load import load_group_by
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.fetcher.serving_info import load
from chronon_beam.io.kv_store import open_store

DAY_MS = 86_400_000
END_MS = 20_000 * DAY_MS
DS = "2024-10-03"
DAYS = 10
CHUNK = 250_000

GROUP_BY = """
from chronon_beam.api import *

WINDOWS = [Window(1, TimeUnit.DAYS), Window(7, TimeUnit.DAYS)]
upload = GroupBy(
    name="benchmark.upload",
    sources=Source(EventSource(query=Query(select("user", "amount"), time_column="created"))),
    keys=["user"],
    aggregations=[
        Aggregation("amount", Operation.COUNT, WINDOWS),
        Aggregation("amount", Operation.SUM, WINDOWS),
        Aggregation("amount", Operation.LAST, WINDOWS),
    ],
)
"""


@dataclass(frozen=True)
class Measured:
    """One size: seconds and megabytes."""

    rows: int
    wall_s: float
    cpu_s: float
    peak_rss_mb: dict[str, float]
    keys_checked: int


def day_of_rows(day: int, rows: int, keys: int) -> dict[str, np.ndarray[Any, Any]]:
    """The rows of one day, in order of time; the same ones every time."""
    chance = np.random.default_rng(day)
    start = END_MS - (DAYS - day) * DAY_MS
    return {
        "user": chance.integers(0, keys, rows),
        "amount": chance.integers(0, 1000, rows),
        "created": start + np.arange(rows, dtype=np.int64) * DAY_MS // rows,
    }


def generate(folder: Path, rows: int, keys: int) -> None:
    """One Parquet file a day."""
    for day in range(DAYS):
        table = pa.table(day_of_rows(day, rows // DAYS, keys))
        pq.write_table(table, folder / f"day-{day}.parquet", row_group_size=CHUNK)


def uploaded(folder: Path) -> tuple[float, float, dict[str, float]]:
    """Wall and CPU seconds, and peak memory by kind of process, of one upload."""
    command = [
        *(sys.executable, "-m", "chronon_beam.pipeline", "upload"),
        *("--group_by", str(folder / "group_by.py"), "--source", f"file:{folder}/*.parquet"),
        *("--store", _store(folder), "--ds", DS),
    ]
    began, before = time.monotonic(), _children_cpu_s()
    process = subprocess.Popen(command)
    with PeakMemory(process.pid) as peak:
        code = process.wait()
    if code:
        raise SystemExit(f"the upload failed with exit code {code}")
    return time.monotonic() - began, _children_cpu_s() - before, dict(peak.by_kind_mb)


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def check(folder: Path, rows: int, keys: int) -> int:
    """Compare the features of some keys at the batch's end; how many were compared."""
    days = [day_of_rows(day, rows // DAYS, keys) for day in range(DAYS)]
    columns = {name: np.concatenate([day[name] for day in days]) for name in days[0]}
    group_by, store = load_group_by(str(folder / "group_by.py")), open_store(_store(folder))
    chosen = [int(user) for user in np.linspace(0, keys - 1, 20)]
    fetcher = Fetcher.of(load(store, group_by), store)
    for user, found in zip(
        chosen, fetcher.fetch([{"user": user} for user in chosen], END_MS), strict=True
    ):
        wanted = expected(columns, user)
        if found != wanted:
            raise SystemExit(f"user {user}: {found} is not {wanted}")
    return len(chosen)


def expected(columns: dict[str, np.ndarray[Any, Any]], user: int) -> dict[str, Any]:
    """Features of a user at the batch's end, from all rows."""
    mine = columns["user"] == user
    amounts, times = columns["amount"][mine], columns["created"][mine]
    values: dict[str, Any] = {}
    for operation in ("count", "sum", "last"):
        for days in (1, 7):
            inside = amounts[times > END_MS - days * DAY_MS]
            of = {"count": len(inside), "sum": inside.sum(), "last": inside[-1:].sum()}
            values[f"amount_{operation}_{days}d"] = int(of[operation]) if len(inside) else None
    return values


def _store(folder: Path) -> str:
    return f"sqlite:{folder}/features.db"


def measured(rows: int, keys: int) -> Measured:
    """Generate, upload and check one size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "group_by.py").write_text(GROUP_BY)
        generate(folder, rows, keys)
        wall_s, cpu_s, peak = uploaded(folder)
        return Measured(rows, wall_s, cpu_s, peak, check(folder, rows, keys))


def result(arguments: argparse.Namespace, runs: list[Measured]) -> dict[str, Any]:
    """What the last line says."""
    small, large = runs[0], runs[-1]
    more = max(large.rows - small.rows, 1)
    return {
        "benchmark": "upload",
        "settings": vars(arguments),
        "events": large.rows,
        "events_per_s": round(more / max(large.wall_s - small.wall_s, 1e-9)),
        "cpu_us_per_event": round((large.cpu_s - small.cpu_s) * 1e6 / more, 2),
        "cpu_us_per_event_total": round(large.cpu_s * 1e6 / large.rows, 2),
        "runs": [asdict(run) for run in runs],
    }


def main(argv: list[str]) -> int:
    """Run every size once; print the result."""
    parser = argparse.ArgumentParser(description="What an upload costs.")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 4_000_000])
    parser.add_argument("--keys", type=int, default=2_000)
    arguments = parser.parse_args(argv)
    print(json.dumps(result(arguments, [measured(n, arguments.keys) for n in arguments.rows])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
