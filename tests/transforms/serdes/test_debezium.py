"""The serde `debezium`, on messages in the form of Debezium's JSON converter."""

import json
import pickle
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from chronon_beam.api.records import Messages
from chronon_beam.api.serde import Decoded, Format, SerDe
from chronon_beam.transforms.decode import decode_messages
from chronon_beam.transforms.envelope import is_envelope, unfold
from chronon_beam.transforms.serdes import open_serde

ROW = {
    "type": "struct",
    "optional": True,
    "fields": [
        {"field": "id", "type": "int32"},
        {"field": "email", "type": "string", "optional": True},
        {
            "field": "price",
            "type": "bytes",
            "name": "org.apache.kafka.connect.data.Decimal",
            "parameters": {"scale": "2"},
        },
        {"field": "changed", "type": "int64", "name": "io.debezium.time.MicroTimestamp"},
        {"field": "born", "type": "int32", "name": "org.apache.kafka.connect.data.Date"},
        {"field": "tags", "type": "array", "items": {"type": "string"}},
    ],
}
ENVELOPE = {
    "type": "struct",
    "name": "shop.public.sales.Envelope",
    "fields": [
        {**ROW, "field": "before"},
        {**ROW, "field": "after"},
        {"field": "op", "type": "string"},
        {"field": "ts_ms", "type": "int64"},
        {"field": "odd", "type": "complex"},
    ],
}
FIRST = {"id": 1, "email": "a@x", "price": "AP8=", "changed": 7, "born": 1, "tags": ["x"]}
SECOND = {**FIRST, "email": "b@x", "price": "/w=="}  # -1 without its decimal point
CHANGE = {"before": FIRST, "after": SECOND, "op": "u", "ts_ms": 1000}


@pytest.fixture
def serde(tmp_path: Path) -> SerDe:
    example = tmp_path / "example.json"
    example.write_text(json.dumps({"schema": ENVELOPE, "payload": CHANGE}))
    opened = open_serde(Format("debezium", {"example": str(example)}))
    return pickle.loads(pickle.dumps(opened))


def read(serde: SerDe, columns: pa.Schema, *changes: object) -> Decoded:
    payloads = [json.dumps(change).encode() for change in changes]
    return serde.decoder(columns).decode(Messages("sales/0", [0] * len(payloads), payloads))


def columns_of(serde: SerDe) -> pa.Schema:
    schema = serde.schema()
    assert schema is not None
    return pa.schema([field for field in schema if field.name != "odd"])


def test_columns_and_values_are_those_of_the_example(serde: SerDe):
    wrapped = {"schema": ENVELOPE, "payload": CHANGE}
    found = read(serde, columns_of(serde), wrapped, CHANGE)
    assert found.reasons == {}
    first, second = found.batch.to_pylist()
    assert first == second
    assert first["before"]["price"] == Decimal("2.55")
    assert first["after"]["price"] == Decimal("-0.01")
    assert (first["after"]["changed"], str(first["after"]["born"])) == (7, "1970-01-02")


def test_changes_unfold_to_rows_that_are_taken_back_and_added(serde: SerDe):
    columns = columns_of(serde)
    assert is_envelope(columns)
    deleted = {**CHANGE, "after": None, "op": "d"}
    payloads = [json.dumps(change).encode() for change in (CHANGE, deleted)]
    decoded = decode_messages(Messages("sales/0", [5, 6], payloads), serde.decoder(columns))
    rows = unfold(decoded.batch)
    assert decoded.failures == []
    assert rows.positions == [5, 5, 6]
    assert rows.batch.column("is_before").to_pylist() == [True, False, True]
    assert rows.batch.column("email").to_pylist() == ["a@x", "b@x", "a@x"]


def test_what_is_not_a_change_has_a_reason(serde: SerDe):
    bad = {**CHANGE, "after": {**FIRST, "price": "not base64"}}
    found = read(serde, columns_of(serde), CHANGE, bad, {"schema": None, "payload": [1]}, [1])
    assert found.batch.num_rows == 1
    assert "price" in found.reasons[1]
    assert "not base64" in found.reasons[1]
    assert found.reasons[2] == "not a change: its payload is not an object"
    assert "a JSON object is expected" in found.reasons[3]


def test_without_an_example_the_user_tells_the_columns():
    serde = open_serde(Format("debezium"))
    assert serde.schema() is None
    columns = pa.schema([("op", pa.string()), ("after", pa.struct([("id", pa.int64())]))])
    found = read(serde, columns, {"schema": {}, "payload": CHANGE})
    assert found.batch.to_pylist() == [{"op": "u", "after": {"id": 1}}]


def test_example_without_a_schema_is_refused(tmp_path: Path):
    path = tmp_path / "example.json"
    path.write_text(json.dumps(CHANGE))
    with pytest.raises(ValueError, match=r"example\.json: one message with its schema"):
        open_serde(Format("debezium", {"example": str(path)}))
