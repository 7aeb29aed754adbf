"""The columns of Avro records, and the schemas that they are read by."""

import io
import json

import fastavro

from chronon_beam.api.formats.avro_columns import AvroColumns, parsed_schema

MONEY = {
    "type": "record",
    "name": "Money",
    "fields": [{"name": "of", "type": "bytes"}, {"name": "cents", "type": "int"}],
}
DEFAULTS = [
    {"name": "text", "type": "string", "default": "ä"},
    {"name": "raw", "type": "bytes", "default": "\u007f"},
    {"name": "list", "type": {"type": "array", "items": "string"}, "default": ["ä"]},
    {"name": "either", "type": ["long", "string"], "default": 3},
    {"name": "none", "type": ["null", "string"], "default": None},
    {"name": "money", "type": MONEY, "default": {"of": "x", "cents": 5}},
]


def test_fields_that_the_writer_lacks_have_their_default():
    first = {"type": "record", "name": "A", "fields": [{"name": "id", "type": "int"}]}
    later = {**first, "fields": [{"name": "id", "type": "long"}, *DEFAULTS]}
    columns = AvroColumns(parsed_schema(json.dumps(later)))
    writer = AvroColumns(parsed_schema(json.dumps(first))).writer
    record = fastavro.schemaless_reader(io.BytesIO(bytes([14])), writer, columns.target)
    assert columns.batch([record]).to_pylist() == [
        {
            "id": 7,
            "text": "ä",
            "raw": b"\x7f",
            "list": ["ä"],
            "either": {"member0": 3, "member1": None},
            "none": None,
            "money": {"of": b"x", "cents": 5},
        }
    ]


def test_default_of_bytes_beyond_ascii_is_not_guessed():
    schema = {
        "type": "record",
        "name": "A",
        "fields": [{"name": "raw", "type": "bytes", "default": "\u00ff"}],
    }
    (field,) = AvroColumns(parsed_schema(json.dumps(schema))).target["fields"]
    assert "default" not in field


def test_value_beyond_its_type_costs_one_record():
    schema = {"type": "record", "name": "A", "fields": [{"name": "id", "type": "int"}]}
    columns = AvroColumns(parsed_schema(json.dumps(schema)))
    pieces = list(columns.pieces([{"id": 1}, {"id": 2}, {"id": 1 << 40}, {"id": 3}]))
    (reason,) = [piece for piece in pieces if isinstance(piece, str)]
    read = [piece.to_pylist() for piece in pieces if not isinstance(piece, str)]
    assert sum(read, []) == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert "a value is not of its type" in reason
