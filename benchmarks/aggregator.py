"""What aggregating costs: a row added, a tile encoded, two tiles merged; by GroupBy and operation.

    python benchmarks/aggregator.py
    python benchmarks/aggregator.py --only heavy UNIQUE_COUNT

One thread, no Beam. As in a job that writes a tile on every event, each row is added and its tile
encoded. `light` and `heavy` are the GroupBys of benchmarks/workload.py over all keys; operations
are measured alone, over strings where they take them, else doubles, on `--rows_per_tile` rows per
tile. The peer is fastavro, which writes the same bytes of the tiles of the first GroupBy measured.
The last line is one JSON object.
"""

import argparse
import io
import json
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import fastavro
from workload import COLUMNS, FLAVORS, TYPES, Workload

from chronon_beam.aggregator.operations.table import taking
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import Aggregation, EventSource, GroupBy, Operation, Query, Source
from chronon_beam.api.data_types import DOUBLE, STRING
from chronon_beam.api.dialect import AIRBNB, ZIPLINE

GROUP_BYS = ("light", "heavy")


class Added(NamedTuple):
    """A row and the tile that it is added to."""

    accumulator: list[Any]
    row: list[Any]
    ts_ms: int


class Costs(NamedTuple):
    """us of CPU for one row, tile or pair of tiles."""

    update: float
    encode: float
    merge: float


def us_each(work: Callable[[Any], Any], items: Iterable[Any]) -> float:
    """CPU of one call, in microseconds."""
    listed = list(items)
    began = time.process_time()
    for item in listed:
        work(item)
    return round((time.process_time() - began) * 1e6 / max(len(listed), 1), 2)


def rows_of_workload(kind: str, plan: Plan, events: int, keys: int) -> list[Added]:
    """The events of benchmarks/workload.py, with the tile of their key."""
    columns = [COLUMNS[name] for name in plan.inputs]
    live: dict[str, list[Any]] = {}
    return [
        Added(
            live.setdefault(event["customer_id"], plan.aggregator.zero()),
            [event[column] for column in columns],
            event["created"],
        )
        for event in Workload(kind, events, keys, 0.0).drawn()
    ]


def rows_of_operation(plan: Plan, events: int, rows_per_tile: int) -> list[Added]:
    """Values of twenty flavors or prices, `rows_per_tile` to a tile."""
    of_strings = plan.inputs["v"] == STRING
    tiles = [plan.aggregator.zero() for _ in range(max(events // rows_per_tile, 1))]
    return [
        Added(
            tiles[i % len(tiles)],
            [FLAVORS[i * 7 % len(FLAVORS)] if of_strings else i * 37 % 1009 / 16],
            i,
        )
        for i in range(events)
    ]


def costs(plan: Plan, rows: list[Added]) -> Costs:
    """What rows cost in turn, and their tiles encoded and merged in pairs.

    Adding and encoding take turns, as in a job; what adding alone costs is measured on fresh
    tiles, and encoding is the rest.
    """
    update, encode = plan.aggregator.update, plan.tiles.encode
    us_adding(plan, rows, new_tiles(plan, rows))  # fills the caches of encoded values
    fresh = new_tiles(plan, rows)
    adding = us_adding(plan, rows, fresh)

    def add_and_encode(added: Added) -> None:
        update(added.accumulator, added.row, added.ts_ms)
        encode(added.accumulator)

    both = us_each(add_and_encode, rows)
    decode, whole = plan.tiles.decode, [encode(accumulator) for accumulator in fresh.values()]
    pairs = [(decode(a)[0], decode(b)[0]) for a, b in zip(whole, whole[1:], strict=False)]
    merging = us_each(lambda pair: plan.aggregator.merge(*pair), pairs)
    return Costs(adding, round(both - adding, 2), merging)


def new_tiles(plan: Plan, rows: list[Added]) -> dict[int, list[Any]]:
    """An empty accumulator instead of each one of `rows`, by the id of that one."""
    return {id(added.accumulator): plan.aggregator.zero() for added in rows}


def us_adding(plan: Plan, rows: list[Added], fresh: dict[int, list[Any]]) -> float:
    """What it takes to add each row to its tile in `fresh`."""
    update = plan.aggregator.update
    alone = [added._replace(accumulator=fresh[id(added.accumulator)]) for added in rows]
    return us_each(lambda added: update(added.accumulator, added.row, added.ts_ms), alone)


def peer_us(plan: Plan, rows: list[Added]) -> float:
    """What fastavro takes for a tile; its bytes must be ours."""
    schema = fastavro.parse_schema(plan.tiles.schema)
    tiles = [plan.tiles.encode(added.accumulator) for added in rows[:20_000]]
    records = [fastavro.schemaless_reader(io.BytesIO(tile), schema, None) for tile in tiles]
    for tile, record in zip(tiles[:1000], records, strict=False):
        written = io.BytesIO()
        fastavro.schemaless_writer(written, schema, record)
        assert written.getvalue() == tile
    return us_each(lambda record: fastavro.schemaless_writer(io.BytesIO(), schema, record), records)


def plan_of(operation: Operation) -> Plan:
    """A GroupBy of this operation alone."""
    dialect = AIRBNB if operation in AIRBNB.operations.values() else ZIPLINE
    data_type = STRING if operation.name in taking(STRING, dialect) else DOUBLE
    declared = GroupBy(
        name="bench.one",
        sources=Source(EventSource(query=Query(time_column="ts"))),
        keys=["key"],
        aggregations=[Aggregation("v", operation(10))],
        dialect=dialect,
    )
    return Plan(declared, {"key": STRING, "v": data_type})


def measured(name: str, arguments: argparse.Namespace) -> tuple[Plan, list[Added], Costs]:
    """The costs of a GroupBy or of an operation."""
    if name in GROUP_BYS:
        plan = Plan(Workload(name, 1, 1, 0.0).group_by, TYPES)
        rows = rows_of_workload(name, plan, arguments.events, arguments.keys)
    else:
        plan = plan_of(Operation[name])
        rows = rows_of_operation(plan, arguments.operation_events, arguments.rows_per_tile)
    return plan, rows, costs(plan, rows)


def flags(argv: list[str]) -> argparse.Namespace:
    """What to measure."""
    names = [*GROUP_BYS, *(operation.name for operation in Operation)]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--events", type=int, default=50_000, help="of light and heavy")
    parser.add_argument("--keys", type=int, default=10_000, help="of light and heavy")
    parser.add_argument("--operation_events", type=int, default=20_000, help="of an operation")
    parser.add_argument("--rows_per_tile", type=int, default=20, help="of an operation")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Measure; print a line per GroupBy and operation, and the result."""
    arguments = flags(argv)
    stages: dict[str, float] = {}
    peer, first = 0.0, Costs(0.0, 0.0, 0.0)
    print(f"{'us of CPU for one':<24} {'update':>8} {'encode':>8} {'merge':>8}")
    for name in arguments.only:
        plan, rows, found = measured(name, arguments)
        if not stages:
            first, peer = found, peer_us(plan, rows)
        stages |= {f"{name} {stage}": us for stage, us in found._asdict().items()}
        print(f"{name:<24} {found.update:>8} {found.encode:>8} {found.merge:>8}", flush=True)
    print(json.dumps(result(arguments, stages, first, peer)))
    return 0


def result(
    arguments: argparse.Namespace, stages: dict[str, float], first: Costs, peer: float
) -> dict[str, object]:
    """The object on the last line; its figures are those of the first name."""
    each = first.update + first.encode
    return {
        "benchmark": "aggregator",
        "settings": vars(arguments),
        "events": arguments.events,
        "events_per_s": round(1e6 / each),
        "cpu_us_per_event": round(each, 2),
        "stages": stages,
        "peer": {
            "name": f"fastavro.schemaless_writer, same bytes ({arguments.only[0]})",
            "cpu_us_per_event": peer,
        },
        "ratio": round(first.encode / peer, 3),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
