"""Reads Avro records of one schema, many at a time."""

import io
import os
from typing import Any, cast

import fastavro

from chronon_beam.api.formats.avro_plain import Avro

AvroRecord = dict[str, Any]
"""A record as fastavro reads it: values by field."""

_MARK = "chronon_beam_mark"
_MARK_SIZE = 8
_END = b"\0"


class RecordReader:
    """Reads records that were written with one schema.

    Records one after the other, with their number in front, are an Avro array, and reading one
    array is cheaper than a call per record. But an array does not say where each record ends: after
    a damaged record, all that follow could be read wrong without an error. So a random mark is put
    behind each record and read as one more field of the record. If all marks are found, each record
    was read from its first byte to its last; if not, each is read by a call of its own.

    Args:
        writer: the schema that records were written with, in its plain form.
        target: the schema that they are resolved into; None: as they were written.
    """

    def __init__(self, writer: Avro, target: Avro | None = None) -> None:
        self._writer = fastavro.parse_schema(writer)
        self._target = fastavro.parse_schema(target) if target is not None else None
        self._writer_array = _marked_array(writer)
        self._target_array = _marked_array(target) if target is not None else None
        self._mark = os.urandom(_MARK_SIZE)

    def read(self, bodies: list[bytes]) -> list[AvroRecord | str]:
        """The record of each message; in place of one that cannot be read, the reason."""
        try:
            return list(self._read_array(bodies))
        except Exception:  # fastavro raises what the bytes lead it to
            return [self._read_one(body) for body in bodies]

    def _read_array(self, bodies: list[bytes]) -> list[AvroRecord]:
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, "long", len(bodies))
        stream.write(self._mark.join([*bodies, _END]))
        stream.seek(0)
        found = fastavro.schemaless_reader(stream, self._writer_array, self._target_array)
        records = cast(list[AvroRecord], found)
        if len(records) != len(bodies) or any(each[_MARK] != self._mark for each in records):
            raise ValueError("a record does not end where its message does")
        return records

    def _read_one(self, body: bytes) -> AvroRecord | str:
        stream = io.BytesIO(body)
        try:
            record = fastavro.schemaless_reader(stream, self._writer, self._target)
        except Exception as error:  # fastavro raises what the bytes lead it to
            said = " ".join(str(error).split()) or type(error).__name__
            return f"not an Avro record of this schema: {said}"
        left = len(body) - stream.tell()
        if left:
            return f"not an Avro record of this schema: {left} bytes are left after it"
        return cast(AvroRecord, record)


def _marked_array(record: Avro) -> Avro:
    """The schema of an array of such records with a mark behind each."""
    kind = {"type": "fixed", "name": _MARK, "size": _MARK_SIZE}
    fields = [*record["fields"], {"name": _MARK, "type": kind}]
    return fastavro.parse_schema({"type": "array", "items": {**record, "fields": fields}})
