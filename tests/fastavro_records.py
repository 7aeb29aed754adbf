"""fastavro's reading of our records, with which the values of `avro_reader` are compared."""

import io
from typing import Any

import fastavro

from chronon_beam.aggregator.avro import Schema, record_schema
from chronon_beam.api.data_types import StructType
from chronon_beam.api.dialect import ZIPLINE

_MOST_DIGITS = 1000


def reading_schema(struct_type: StructType) -> Any:
    """A schema that keeps the fields' own names, and takes sums that have more digits."""
    return _with_digits(record_schema(struct_type, ZIPLINE))


def _with_digits(schema: Any) -> Any:
    if isinstance(schema, dict):
        made = {name: _with_digits(part) for name, part in schema.items()}
        return made | {"precision": _MOST_DIGITS} if "precision" in made else made
    return [_with_digits(part) for part in schema] if isinstance(schema, list) else schema


def decoded(schema: Schema, payload: bytes) -> dict[str, Any]:
    """All of `payload` as a record of `schema`."""
    stream = io.BytesIO(payload)
    record = fastavro.schemaless_reader(stream, fastavro.parse_schema(schema), None)
    assert stream.tell() == len(payload)
    return record
