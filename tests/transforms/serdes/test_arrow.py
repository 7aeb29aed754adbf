"""The serde `arrow`: tables are cast to the columns of the job."""

import json
from decimal import Decimal

import pyarrow as pa
import pytest

from chronon_beam.api.records import Failure, Messages
from chronon_beam.transforms.decode import Events, decode_messages
from chronon_beam.transforms.serdes.arrow import ArrowSerDe

ICE_CREAM = pa.schema([("customer_id", pa.string()), ("created", pa.int64())])


def table(columns: dict) -> Messages:
    batch = columns if isinstance(columns, pa.RecordBatch) else pa.RecordBatch.from_pydict(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    positions = list(range(1, batch.num_rows + 1))
    return Messages("a.avro", positions, [], table=sink.getvalue().to_pybytes())


def read(messages: Messages, schema: pa.Schema) -> tuple[Events, list[Failure]]:
    return decode_messages(messages, ArrowSerDe().decoder(schema))[:2]


def test_table_is_taken_as_it_is_when_it_has_the_schema():
    messages = table({"customer_id": ["Alice", None], "created": [1, 2]})
    events, failures = read(messages, ICE_CREAM)
    assert events.batch.to_pydict() == {"customer_id": ["Alice", None], "created": [1, 2]}
    assert (events.positions, events.payloads, failures) == ([1, 2], None, [])


def test_table_is_cast_and_values_that_do_not_fit_fail_alone():
    schema = pa.schema([("a", pa.int8()), ("missing", pa.string()), ("T", pa.timestamp("us"))])
    times = pa.array([1, 2_000_001, 3], pa.timestamp("ns"))
    batch = pa.RecordBatch.from_arrays([pa.array([1, 2, 300]), times], ["a", "t"])
    events, failures = read(table(batch), schema)
    assert events.batch.column("a").to_pylist() == [1, 2]
    assert events.batch.column("T").cast(pa.int64()).to_pylist() == [0, 2000]
    assert events.batch.column("missing").to_pylist() == [None, None]
    assert events.positions == [1, 2]
    assert failures[0].position == 3
    assert failures[0].reason == "column 'a': expected TINYINT, found 300"
    assert json.loads(failures[0].payload)["a"] == 300


def test_table_of_another_kind_is_refused_not_parsed():
    events, failures = read(table({"created": ["12", None]}), pa.schema([("created", pa.int64())]))
    assert events.positions == [2]
    assert "STRING is no BIGINT" in failures[0].reason


def test_of_a_damaged_table_each_message_is_a_dead_letter():
    messages = Messages("a.avro", [5, 6], [], table=b"no arrow")
    events, failures = read(messages, ICE_CREAM)
    assert events.batch.num_rows == 0
    assert [failure.position for failure in failures] == [5, 6]
    assert failures[0].reason.startswith("not an Arrow IPC stream: ")


@pytest.mark.parametrize(
    ("have", "want", "values"),
    [
        (
            pa.array([1.005, 2.5, None, float("nan")]),
            pa.decimal128(10, 2),
            ["1.01", "2.50", None, None],
        ),
        (pa.array([1, 2]), pa.decimal128(10, 2), ["1.00", "2.00"]),
        (
            pa.array([Decimal("1.25"), Decimal("-1.25")], pa.decimal128(5, 2)),
            pa.decimal128(5, 1),
            ["1.3", "-1.3"],
        ),
        (pa.array([[1.005], None]), pa.list_(pa.decimal128(4, 2)), [["1.01"], None]),
        (
            pa.array([{"a": 1, "B": "x"}, None]),
            pa.struct([("b", pa.string()), ("A", pa.int64()), ("more", pa.int8())]),
            [{"b": "x", "A": 1, "more": None}, None],
        ),
        (
            pa.array([[("k", {"a": 1})]], pa.map_(pa.string(), pa.struct([("a", pa.int32())]))),
            pa.map_(pa.string(), pa.struct([("A", pa.int64())])),
            [[("k", {"A": 1})]],
        ),
    ],
)
@pytest.mark.parametrize("start", [0, 1])
def test_casts_are_those_of_spark(have, want, values, start):
    batch = pa.RecordBatch.from_arrays([have], ["x"])[start:]
    events, failures = read(table(batch), pa.schema([("x", want)]))
    assert failures == []
    assert events.batch.column("x").to_pylist() == [exact(value) for value in values[start:]]


def exact(value: object) -> object:
    """Texts of numbers as decimals."""
    if isinstance(value, str) and value != "x":
        return Decimal(value)
    return (
        [exact(each) for each in value]
        if isinstance(value, list) and "k" not in str(value)
        else value
    )


@pytest.mark.parametrize(
    ("have", "want"),
    [
        (pa.array([1e30]), pa.decimal128(10, 2)),
        (pa.array([[1e30]]), pa.list_(pa.decimal128(10, 2))),
        (pa.array([{"a": ["1"]}]), pa.struct([("a", pa.list_(pa.int64()))])),
        (pa.array([1.5]), pa.int64()),
    ],
)
def test_what_does_not_fit_is_refused_alone(have, want):
    batch = pa.RecordBatch.from_arrays([pa.concat_arrays([have, pa.nulls(1, have.type)])], ["x"])
    events, failures = read(table(batch), pa.schema([("x", want)]))
    assert [failure.position for failure in failures] == [1]
    assert events.positions == [2]
