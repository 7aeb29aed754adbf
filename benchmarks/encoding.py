"""What it costs to aggregate and encode one event's tile, beside fastavro on the same tiles.

    python benchmarks/encoding.py --group_by heavy

One thread, no Beam. The last line is one JSON object.
"""

import argparse
import io
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import fastavro
from workload import Workload

from chronon_beam.aggregator.avro import Decoder
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.data_types import DOUBLE, LONG, STRING

TYPES = {"customer_id": STRING, "flavor": STRING, "price": DOUBLE, "shop": STRING, "ts": LONG}
FROM = {
    "customer_id": "customer_id",
    "flavor": "ice_cream_flavor",
    "price": "price",
    "shop": "shop",
}


def us_each(work: Callable[[Any], Any], items: list[Any]) -> float:
    """CPU of one call, in microseconds."""
    began = time.process_time()
    for item in items:
        work(item)
    return round((time.process_time() - began) * 1e6 / len(items), 2)


def main(argv: list[str]) -> int:
    """Run once; print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--group_by", choices=("light", "heavy"), default="light")
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--keys", type=int, default=10_000)
    arguments = parser.parse_args(argv)
    workload = Workload(arguments.group_by, arguments.events, arguments.keys, 0.0)
    plan = Plan(workload.group_by, TYPES)
    columns = [FROM[name] for name in plan.inputs]
    live: dict[str, list[Any]] = {}
    rows = [
        (live.setdefault(e["customer_id"], plan.aggregator.zero()), [e[c] for c in columns], e)
        for e in workload.drawn()
    ]
    aggregate = us_each(lambda row: plan.aggregator.update(row[0], row[1], row[2]["created"]), rows)
    accumulators = [row[0] for row in rows]
    encode = us_each(plan.tiles.encode, accumulators)
    schema = fastavro.parse_schema(plan.tiles.schema)
    decode = Decoder(plan.tiles.schema)
    records = [decode(plan.tiles.encode(accumulator)) for accumulator in accumulators]
    peer = us_each(lambda record: fastavro.schemaless_writer(io.BytesIO(), schema, record), records)
    for accumulator, record in zip(accumulators[:1000], records, strict=False):
        written = io.BytesIO()
        fastavro.schemaless_writer(written, schema, record)
        assert written.getvalue() == plan.tiles.encode(accumulator)
    result = {
        "benchmark": "encoding",
        "settings": vars(arguments),
        "events": arguments.events,
        "events_per_s": round(1e6 / (aggregate + encode)),
        "cpu_us_per_event": round(aggregate + encode, 2),
        "stages": {"aggregate": aggregate, "encode": encode},
        "peer": {"name": "fastavro.schemaless_writer, same bytes", "cpu_us_per_event": peer},
        "ratio": round(encode / peer, 3),
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
