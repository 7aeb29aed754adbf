"""How large the state of a tile is, for the sizing in docs/operating.md.

    python benchmarks/sizing.py --keys 2000 --events 1 10 100

For the GroupBys of benchmarks/workload.py, per key and tile: the bytes in the log that the runner
keeps and puts into its checkpoints, just after a snapshot and at its longest; and the memory that
the worker's cache of it takes. One thread, no Beam. The last line is one JSON object.
"""

import argparse
import json
import tracemalloc
from typing import Any

from workload import COLUMNS, TYPES, Workload

from chronon_beam.aggregator.plan import Plan
from chronon_beam.transforms.keyed_rows import INPUTS_FROM, KeyedRow
from chronon_beam.transforms.tiling.state import LogBlob
from chronon_beam.transforms.tiling.tile_log import TileLog

BATCH = 1000
TOKEN = b"twelve bytes"


def keyed_rows(workload: Workload, plan: Plan) -> list[KeyedRow]:
    """The events as the stage of tiles gets them."""
    names = plan.group_by.aggregation_inputs
    encode = plan.keys.encode
    return [
        (
            encode((event["customer_id"],)),
            event["created"],
            "",
            *(event[COLUMNS[name]] for name in names),
        )
        for event in workload.drawn()
    ]


def filled(plan: Plan, rows: list[KeyedRow]) -> tuple[TileLog, int]:
    """Rows added in batches; the cache of the log, and how many bytes the log had at most."""
    log = TileLog(plan.row_aggregator(offset=INPUTS_FROM), plan.tiles)
    log.load(None, list)
    kept = longest = 0
    for at in range(0, len(rows), BATCH):
        log.add_each(rows[at : at + BATCH])
        blob, replaces = log.commit(TOKEN)
        log.load(TOKEN, list)
        kept = len(blob or b"") + (0 if replaces else kept)
        longest = max(longest, kept)
    return log, longest


def measured(workload: Workload) -> dict[str, float]:
    """Bytes per tile of the log and of the memory, after all events of the workload."""
    plan = Plan(workload.group_by, TYPES)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    # The rows are made meanwhile, because the log keeps values and keys of theirs.
    log, longest = filled(plan, keyed_rows(workload, plan))
    memory = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    tiles = log.complete()
    number = len(tiles.keys)
    snapshot = LogBlob(tiles, plan.tiles.fingerprint)
    return {
        "tiles": number,
        "value_bytes": round(sum(map(len, tiles.values)) / number, 1),
        "log_bytes_after_a_snapshot": round(len(snapshot.pack()) / number, 1),
        "log_bytes_at_most": round(longest / number, 1),
        "memory_bytes": round(memory / number, 1),
    }


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--keys", type=int, default=2_000)
    parser.add_argument("--events", type=int, nargs="+", default=[1, 10, 100], help="per key")
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    for kind in ("light", "heavy"):
        for events in arguments.events:
            workload = Workload(kind, events * arguments.keys, arguments.keys, skew=0)
            found[f"{kind}, {events} events a key"] = measured(workload)
    print(json.dumps({"benchmark": "sizing", "settings": vars(arguments), "per_tile": found}))


if __name__ == "__main__":
    main()
