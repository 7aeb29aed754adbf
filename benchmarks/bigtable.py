"""What Bigtable costs: our sink beside Beam's own, and reading tiles as a fetcher does.

    python benchmarks/bigtable.py --rows 200000

Both sinks write the same cells to the emulator in one run, from the same pipeline but for the sink;
what the pipeline costs without any sink is taken off both. CPU of this process counts, the
emulator's does not. Then a day of 5-minute tiles of 1, 10 and 100 keys is read again and again. The
last line is one JSON object.

$BIGTABLE_EMULATOR_HOST says where an emulator is; without it one is started.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
from apache_beam.io.gcp.bigtableio import WriteToBigTable
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from emulator import bigtable_emulator
from google.cloud.bigtable.row import DirectRow

from chronon_beam.api.records import GetRequest, PutRequest
from chronon_beam.io.bigtable.cells import FAMILY, QUALIFIER, row_key
from chronon_beam.io.bigtable.write_to_bigtable import WriteToBigtable
from chronon_beam.io.kv_store import KVStore, open_store

PROJECT, INSTANCE = "bench", "bench"
URI = f"bigtable://{PROJECT}/{INSTANCE}?max_age=none"
DATASET = "BENCH_STREAMING"
DAY_MS = 86_400_000
TILE_MS = 300_000
TILES_A_DAY = DAY_MS // TILE_MS
MORNING_MS = 20_000 * DAY_MS
VALUE = random.Random(1).randbytes(60)


def put(number: int) -> PutRequest:
    """The tile of key `number`."""
    key = b"\x02\x16user%06d" % number
    return PutRequest(key, VALUE, DATASET, MORNING_MS + 7, MORNING_MS, TILE_MS)


def requests_of(batch: range) -> list[PutRequest]:
    """A list, as the job's Convert gives it."""
    return [put(number) for number in batch]


def direct_rows_of(batch: range) -> list[DirectRow]:
    """The same cells for Beam's sink."""
    at = datetime.fromtimestamp(MORNING_MS / 1000, UTC)
    rows = []
    for request in requests_of(batch):
        row = DirectRow(row_key(DATASET, request.key_bytes, MORNING_MS, TILE_MS))
        row.set_cell(FAMILY, QUALIFIER, request.value_bytes, at)
        rows.append(row)
    return rows


class NoSink(beam.PTransform):
    """What the pipeline costs without a sink."""

    def expand(self, elements: Any) -> Any:
        """Forget all."""
        return elements | beam.Map(lambda element: None)


def us_a_row(rows: int, made: Callable[[range], list[Any]], sink: Any, flat: bool) -> list[float]:
    """CPU in microseconds and wall time in seconds of a pipeline, by row and in all."""
    batches = [range(first, min(first + 1000, rows)) for first in range(0, rows, 1000)]
    began_cpu, began = time.process_time(), time.monotonic()
    with beam.Pipeline(runner=FnApiRunner()) as root:
        source = root | beam.Create(batches, reshuffle=False)
        _ = source | (beam.FlatMap(made) if flat else beam.Map(made)) | sink
    return [(time.process_time() - began_cpu) * 1e6 / rows, time.monotonic() - began]


def written(store: KVStore) -> int:
    """How many cells there are."""
    return sum(1 for _ in store.scan(DATASET))


def sinks(rows: int, rounds: int) -> dict[str, list[list[float]]]:
    """CPU and wall time of each pipeline, once a round; all see the same noise of the machine."""
    beams = WriteToBigTable(PROJECT, INSTANCE, "GROUPBY_STREAMING")
    ways: dict[str, tuple[Callable[[range], list[Any]], Any, bool]] = {
        "requests": (requests_of, NoSink(), False),
        "ours": (requests_of, WriteToBigtable(URI), False),
        "ours_single": (requests_of, WriteToBigtable(URI), True),
        "direct_rows": (direct_rows_of, NoSink(), True),
        "beam": (direct_rows_of, beams, True),
    }
    for way in ways.values():  # imports, connections
        us_a_row(1000, *way)
    found: dict[str, list[list[float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            found[name].append(us_a_row(rows, *way))
    return found


def fill(store: KVStore, keys: int) -> None:
    """A day of tiles of each key."""
    for number in range(keys):
        first = put(number)
        day = [
            first._replace(tile_start_ms=MORNING_MS + tile * TILE_MS) for tile in range(TILES_A_DAY)
        ]
        assert store.multi_put(day) == [None] * TILES_A_DAY


def read_ms(store: KVStore, keys: int, at_once: int, rounds: int) -> dict[str, float]:
    """How long reading the day of so many keys takes, and its CPU."""
    chance = random.Random(2)
    times = []
    began_cpu = time.process_time()
    for _ in range(rounds):
        asked = [
            GetRequest(put(key).key_bytes, DATASET, MORNING_MS, MORNING_MS + DAY_MS, TILE_MS)
            for key in chance.sample(range(keys), at_once)
        ]
        began = time.perf_counter()
        found = store.multi_get(asked)
        times.append((time.perf_counter() - began) * 1000)
        assert all(len(tiles) == TILES_A_DAY for tiles in found)
    cpu_ms = (time.process_time() - began_cpu) * 1000 / rounds
    return {**_quantiles(times), "cpu_ms": round(cpu_ms, 2)}


def read_together_ms(store: KVStore, keys: int, rounds: int) -> dict[str, float]:
    """How long one of 20 reads of a key takes that are under way at a time."""

    async def one(key: int) -> float:
        began = time.perf_counter()
        request = GetRequest(put(key).key_bytes, DATASET, MORNING_MS, MORNING_MS + DAY_MS, TILE_MS)
        assert len((await store.multi_get_async([request]))[0]) == TILES_A_DAY
        return (time.perf_counter() - began) * 1000

    async def all_of_them() -> list[float]:
        times: list[float] = []
        for _ in range(rounds):
            times += await asyncio.gather(*(one(key % keys) for key in range(20)))
        return times

    return _quantiles(asyncio.run(all_of_them()))


def _quantiles(times: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(times, n=100)
    return {"p50_ms": round(cuts[49], 2), "p99_ms": round(cuts[98], 2)}


def result(settings: dict[str, Any], rows: int, found: dict[str, list[list[float]]]) -> Any:
    """What the last line says of writing: medians of the rounds."""
    cpu = {name: statistics.median(run[0] for run in runs) for name, runs in found.items()}
    wall_s = statistics.median(run[1] for run in found["ours"])
    ours, peer = cpu["ours"] - cpu["requests"], cpu["beam"] - cpu["direct_rows"]
    return {
        "benchmark": "bigtable",
        "settings": settings,
        "events": rows,
        "events_per_s": round(rows / wall_s),
        "cpu_us_per_event": round(ours, 2),
        "cpu_us_per_event_total": round(cpu["ours"], 2),
        "stages": {name: round(us, 2) for name, us in cpu.items()},
        "peer": {
            "name": "apache_beam.io.gcp.bigtableio.WriteToBigTable",
            "cpu_us_per_event": round(peer, 2),
            "events_per_s": round(rows / statistics.median(run[1] for run in found["beam"])),
        },
        "ratio": round(ours / peer, 3),
    }


def main(argv: Sequence[str]) -> int:
    """Run once; print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="rows each sink writes")
    parser.add_argument("--rounds", type=int, default=3, help="how often; medians count")
    parser.add_argument("--keys", type=int, default=200, help="keys with a day of tiles")
    parser.add_argument("--reads", type=int, default=100, help="reads of each kind")
    arguments = parser.parse_args(argv)
    with bigtable_emulator():
        store = open_store(URI)
        found = sinks(arguments.rows, arguments.rounds)
        assert written(store) == arguments.rows
        fill(store, arguments.keys)
        reads = {
            f"{at_once}_keys": read_ms(store, arguments.keys, at_once, arguments.reads)
            for at_once in (1, 10, 100)
        }
        reads["1_key_20_at_a_time"] = read_together_ms(store, arguments.keys, 20)
        store.close()
    print(json.dumps({**result(vars(arguments), arguments.rows, found), "reads": reads}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
