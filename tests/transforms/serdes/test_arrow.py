import json

import pyarrow as pa

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
