"""What is inferred from a sample of JSON objects, as Spark would."""

import json

import pyarrow as pa
import pytest

from chronon_beam.api.formats.inferred_schema import infer_schema


def inferred(*values: object) -> pa.DataType:
    return infer_schema([json.dumps({"x": value}).encode() for value in values]).field("x").type


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, None], pa.int64()),
        ([1, 2.5], pa.float64()),
        ([2**63], pa.decimal128(20, 0)),
        ([2**64 - 1, 2**53 + 1, None], pa.decimal128(20, 0)),
        ([-(2**63), 2**63 - 1], pa.int64()),
        ([-(2**63) - 1, 10**37], pa.decimal128(38, 0)),
        ([10**38], pa.float64()),
        ([2**64, 0.5], pa.float64()),
        ([[2**64]], pa.list_(pa.decimal128(20, 0))),
        ([True], pa.bool_()),
        (["a"], pa.string()),
        ([None], pa.string()),
        ([[], [1]], pa.list_(pa.int64())),
        ([[]], pa.list_(pa.string())),
        ([{"a": 1}, {"b": [0.5]}], pa.struct([("a", pa.int64()), ("b", pa.list_(pa.float64()))])),
        ([{}], pa.map_(pa.string(), pa.string())),
        ([1, "a", 2], pa.int64()),
        (["a", 1, "b"], pa.string()),
    ],
)
def test_type_is_what_most_values_have(values, expected):
    assert inferred(*values) == expected


def test_lines_that_are_not_objects_do_not_count_and_fields_keep_their_order():
    schema = infer_schema([b"{bad", b"[1]", b'{"b": 1}', b'{"a": 1, "b": 2}'])
    assert schema.names == ["b", "a"]
