"""What it costs to decode a message into Arrow columns, by serde, beside the library alone.

    python benchmarks/serdes.py
    python benchmarks/serdes.py --formats avro,protobuf --records 50000 --batch 100

One thread, no Beam and no Spark. The messages are those of tests/transforms/serdes/written.py, made
by other people's serializers: eight fields, among them an array of records and a map. `narrow` is
four columns, as a query reads them, `whole` all that the serde knows. The peer is what one would
write without a serde: a loop of the library's own reader over the same messages, and `pa.array` of
its records in the same columns. Of each the fastest of several rounds counts.
The last line is one JSON object; a ratio below 1 is in our favour.
"""

import argparse
import csv
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import pyarrow as pa

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests" / "transforms" / "serdes"))

from small_registry import SmallRegistry  # noqa: E402
from thrift.protocol.TBinaryProtocol import TBinaryProtocolAcceleratedFactory  # noqa: E402
from thrift.protocol.TCompactProtocol import TCompactProtocolAcceleratedFactory  # noqa: E402
from thrift.TSerialization import deserialize  # noqa: E402
from thrift_sale import ThriftSale  # noqa: E402
from written import AVRO, FORMATS, Place, protobuf_message, sale  # noqa: E402

from chronon_beam.api.records import Messages  # noqa: E402
from chronon_beam.api.serde import SerDe  # noqa: E402
from chronon_beam.transforms.serdes import open_serde  # noqa: E402

ROUNDS = 5
NARROW = pa.schema(
    [("user", pa.string()), ("id", pa.int64()), ("price", pa.float64()), ("at", pa.int64())]
)

Rows = Callable[[bytes], Mapping[str, Any]]
"""A library's reader: the values of one message, of the narrow columns at least."""


class Cost(NamedTuple):
    """CPU per message in microseconds; `peer` is that of `narrow`."""

    narrow: float
    whole: float
    peer: float


def readers(place: Place) -> dict[str, Rows]:
    """The peer of each format."""
    schema = fastavro.parse_schema(AVRO)
    message = protobuf_message(place)
    binary: Any = TBinaryProtocolAcceleratedFactory(fallback=False)
    compact: Any = TCompactProtocolAcceleratedFactory(fallback=False)

    def avro(skipped: int) -> Rows:
        return lambda each: fastavro.schemaless_reader(io.BytesIO(each[skipped:]), schema)

    def protobuf(skipped: int) -> Rows:
        return lambda each: _attributes(message.FromString(each[skipped:]))

    return {
        "json": json.loads,
        "json_registered": lambda each: json.loads(each[5:]),
        "avro": avro(0),
        "avro_single_object": avro(10),
        "avro_registered": avro(5),
        "protobuf": protobuf(0),
        "protobuf_registered": protobuf(7),
        "thrift_binary": lambda each: deserialize(ThriftSale(), each, binary).__dict__,
        "thrift_compact": lambda each: deserialize(ThriftSale(), each, compact).__dict__,
        "debezium": _change,
        "csv": _line,
    }


def _attributes(message: Any) -> dict[str, Any]:
    return {name: getattr(message, name) for name in NARROW.names}


def _change(payload: bytes) -> Any:
    message = json.loads(payload)
    return message.get("payload", message)["after"]


def _line(payload: bytes) -> dict[str, Any]:
    user, number, price, at, *_ = next(csv.reader([payload.decode()]))
    return {"user": user, "id": int(number), "price": float(price), "at": int(at)}


Work = Callable[[list[bytes]], object]
"""Reads a batch of messages."""


def us_each(works: Sequence[Work], batches: list[list[bytes]]) -> list[float]:
    """CPU of one message by each way to read it: the fastest of `ROUNDS`, taken in turns."""
    best = [float("inf")] * len(works)
    for _ in range(ROUNDS):
        for at, work in enumerate(works):
            began = time.process_time()
            for batch in batches:
                work(batch)
            best[at] = min(best[at], time.process_time() - began)
    return [round(each / sum(map(len, batches)) * 1e6, 2) for each in best]


def decoding(serde: SerDe, columns: pa.Schema) -> Work:
    """Our way: into `columns`."""
    decoder = serde.decoder(columns)

    def decode(batch: list[bytes]) -> None:
        found = decoder.decode(Messages("sales/0", list(range(len(batch))), batch))
        assert found.batch.num_rows == len(batch)

    return decode


def cost(name: str, place: Place, records: int, size: int) -> Cost:
    """Of one format."""
    written = FORMATS[name](place)
    payloads = [written.write(sale(number, records)) for number in range(records)]
    batches = [payloads[at : at + size] for at in range(0, records, size)]
    serde = open_serde(written.format)
    whole = serde.schema() or NARROW
    narrow = pa.schema([whole.field("after")]) if name == "debezium" else NARROW
    struct, read = pa.struct(list(NARROW)), readers(place)[name]

    def peer(batch: list[bytes]) -> object:
        return pa.array([read(each) for each in batch], struct)

    return Cost(*us_each([decoding(serde, narrow), decoding(serde, whole), peer], batches))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--formats", default=",".join(FORMATS))
    given = parser.parse_args()
    costs: dict[str, Cost] = {}
    with SmallRegistry() as registry, tempfile.TemporaryDirectory() as folder:
        for name in given.formats.split(","):
            place = Place(Path(folder), registry.url, name)
            found = costs[name] = cost(name, place, given.records, given.batch)
            print(
                f"{name:20} {found.narrow:6.2f} us, whole {found.whole:.2f}, peer {found.peer:.2f}"
            )
    print(json.dumps(_result(costs, vars(given))))
    return 0


def _result(costs: Mapping[str, Cost], settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "benchmark": "serdes",
        "settings": settings,
        "events": settings["records"],
        "cpu_us_per_event": {name: each.narrow for name, each in costs.items()},
        "whole": {name: each.whole for name, each in costs.items()},
        "peer": {
            "name": "the library's own reader per message, and pa.array",
            "cpu_us_per_event": {name: each.peer for name, each in costs.items()},
        },
        "ratio": {name: round(each.narrow / each.peer, 2) for name, each in costs.items()},
    }


if __name__ == "__main__":
    sys.exit(main())
