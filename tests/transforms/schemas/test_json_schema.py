"""JSON Schemas as columns."""

import json

import pyarrow as pa
import pytest

from chronon_beam.api.serde import Format
from chronon_beam.transforms.schemas.json_schema import json_schema_columns
from chronon_beam.transforms.serdes import open_serde


def columns(properties: dict, **around: object) -> pa.Schema:
    return json_schema_columns(json.dumps({"properties": properties, **around}))


@pytest.mark.parametrize(
    ("schema", "column"),
    [
        ({"type": "integer"}, pa.int64()),
        ({"type": "number"}, pa.float64()),
        ({"type": "boolean"}, pa.bool_()),
        ({"type": "string"}, pa.string()),
        ({"type": ["null", "string"]}, pa.string()),
        ({"type": ["integer", "number", "null"]}, pa.float64()),
        ({"oneOf": [{"type": "null"}, {"type": "integer"}]}, pa.int64()),
        ({"type": "string", "format": "date"}, pa.date32()),
        ({"type": "string", "format": "date-time"}, pa.timestamp("us", tz="UTC")),
        ({"type": "string", "contentEncoding": "base64"}, pa.binary()),
        ({"type": "string", "format": "email"}, pa.string()),
        ({"type": "number", "format": "decimal"}, pa.decimal128(38, 18)),
        (
            {"type": "number", "format": "decimal", "precision": 9, "scale": 2},
            pa.decimal128(9, 2),
        ),
        ({"enum": ["a", "b"]}, pa.string()),
        ({"const": 7}, pa.int64()),
        ({"type": "array", "items": {"type": "integer"}}, pa.list_(pa.int64())),
        ({"type": "array"}, pa.list_(pa.string())),
        ({"type": "object"}, pa.map_(pa.string(), pa.string())),
        (
            {"type": "object", "additionalProperties": {"type": "number"}},
            pa.map_(pa.string(), pa.float64()),
        ),
        ({"properties": {"x": {"type": "integer"}}}, pa.struct([("x", pa.int64())])),
        ({"$ref": "#/$defs/money"}, pa.struct([("cents", pa.int64())])),
    ],
)
def test_types(schema: dict, column: pa.DataType):
    definitions = {"money": {"properties": {"cents": {"type": "integer"}}}}
    assert columns({"x": schema}, **{"$defs": definitions}).field("x").type == column


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"$ref": "#/$defs/node"}, "holds itself"),
        ({"$ref": "#/$defs/gone"}, "leads to no place"),
        ({"type": ["string", "integer"]}, "several types at once: string, int64"),
        ({}, "does not say its type"),
        (True, "does not say its type"),
        ({"type": "strange"}, "not a type of JSON Schema"),
    ],
)
def test_fields_that_are_not_columns_say_why_and_stop_no_other(schema: object, said: str):
    node = {"properties": {"next": {"$ref": "#/$defs/node"}}}
    found = columns({"odd": schema, "id": {"type": "integer"}}, **{"$defs": {"node": node}})
    assert found.field("id").type == pa.int64()
    (reason,) = (found.field("odd").metadata or {}).values()
    assert said in reason.decode()


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"type": "string"}'])
def test_schema_that_does_not_describe_an_object_is_refused(text: str):
    with pytest.raises(ValueError, match="the JSON Schema"):
        json_schema_columns(text)


def test_json_messages_have_the_columns_of_a_file(tmp_path):
    path = tmp_path / "sale.json"
    path.write_text(json.dumps({"properties": {"at": {"type": "string", "format": "date-time"}}}))
    serde = open_serde(Format("json", {"json_schema": str(path)}))
    assert serde.schema() == pa.schema([("at", pa.timestamp("us", tz="UTC"))])
