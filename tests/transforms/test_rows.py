"""Rows as people read them in dead letters."""

import json

import pyarrow as pa

from chronon_beam.transforms.rows import row_json


def test_a_row_is_shown_whole_even_with_times_that_python_cannot_hold() -> None:
    days = pa.array([1, -719_163, 2**31 - 1], pa.int32()).view(pa.date32())
    moments = pa.array([0, 2**62, -(2**62)], pa.int64()).view(pa.timestamp("ms"))
    batch = pa.record_batch({"day": days, "moment": moments, "n": [1, 2, 3]})
    assert json.loads(row_json(batch, 0))["day"] == "1970-01-02"
    for index in range(3):
        shown = json.loads(row_json(batch, index))
        assert shown["n"] == index + 1
        assert all(shown.values())
