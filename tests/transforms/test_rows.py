"""Rows as people read them in dead letters."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa

from chronon_beam.api.records import Messages
from chronon_beam.transforms.rows import row_json
from chronon_beam.transforms.serdes.json import JsonSerDe


def test_a_row_is_shown_whole_even_with_times_that_python_cannot_hold() -> None:
    days = pa.array([1, -719_163, 2**31 - 1], pa.int32()).view(pa.date32())
    moments = pa.array([0, 2**62, -(2**62)], pa.int64()).view(pa.timestamp("ms"))
    batch = pa.record_batch({"day": days, "moment": moments, "n": [1, 2, 3]})
    assert json.loads(row_json(batch, 0))["day"] == "1970-01-02"
    for index in range(3):
        shown = json.loads(row_json(batch, index))
        assert shown["n"] == index + 1
        assert all(shown.values())


def test_a_row_is_read_again_as_it_was() -> None:
    schema = pa.schema(
        {
            "b": pa.binary(),
            "d": pa.date32(),
            "t": pa.timestamp("us", "UTC"),
            "n": pa.decimal128(20, 3),
            "m": pa.map_(pa.string(), pa.list_(pa.int64())),
            "i": pa.map_(pa.int32(), pa.binary()),
            "s": pa.struct({"x": pa.float64(), "y": pa.string()}),
        }
    )
    row = {
        "b": b"\xff\0",
        "d": date(1969, 12, 31),
        "t": datetime(2024, 1, 2, 3, 4, 5, 678, UTC),
        "n": Decimal("12345678901234567.125"),
        "m": [("a", [1, None])],
        "i": [(7, b"z")],
        "s": {"x": 1.5, "y": None},
    }
    batch = pa.RecordBatch.from_pylist([row, dict.fromkeys(row)], schema)
    lines = [row_json(batch, index) for index in range(2)]
    read = JsonSerDe().decoder(schema).decode(Messages("s", [1, 2], lines))
    assert read.reasons == {}
    assert read.batch.to_pylist() == batch.to_pylist()
