"""The serde `avro`: each message is one Avro record, alone or behind the id of its schema.

Parameters:

- `avro_schema`: a file with the schema (.avsc); or
- `registry`: the URL of a schema registry, and `subject`, whose latest schema is read (default for
  a Kafka topic: `TOPIC-value`);
  `registry_config`: a properties file (see `transforms.schemas.registry_client`);
- `framing`: `confluent` (default with a registry), `apicurio` (global ids of 8 bytes, for a
  `registry` with `/apis/registry/v2` in its URL), `single_object` (Avro's own: two bytes and the
  schema's fingerprint), or `none`.

Every message is read with the schema that it was written with, and resolved into the schema that
the job was built with, by Avro's rules: a field that the writer does not have gets its default,
aliases are followed, and an int may become a long. These rules would misread a field that has two
logical types in the two schemas (millis and micros, decimals of two scales), so such messages are
dead letters. So are messages whose schema has a union of other types than the job's.
`api.formats.avro_columns` has the types of the columns.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import fastavro
import pyarrow as pa
from fastavro.schema import (
    SchemaParseException,
    UnknownType,
    fingerprint,
    to_parsing_canonical_form,
)

from chronon_beam.api.formats.avro_columns import AvroColumns, parsed_schema
from chronon_beam.api.formats.avro_plain import Avro
from chronon_beam.api.formats.table_columns import TableColumns
from chronon_beam.api.plugins import refuse_unknown
from chronon_beam.api.records import Messages
from chronon_beam.api.serde import Decoded, Reasons
from chronon_beam.transforms.schemas.avro_records import AvroRecord, RecordReader
from chronon_beam.transforms.schemas.avro_versions import refuse_other_meanings
from chronon_beam.transforms.schemas.framing import FRAMES, unframe
from chronon_beam.transforms.schemas.parameters import choice, latest_schema, one_of, registry_of
from chronon_beam.transforms.schemas.registry import RegisteredSchema, Registry
from chronon_beam.transforms.schemas.writers import WriterSchemas

_PLACES = ("avro_schema", "registry")
_FRAMINGS = (*FRAMES, "single_object", "none")
_SINGLE_OBJECT = struct.Struct("<2sQ")
_MARKER = b"\xc3\x01"


def open_serde(parameters: Mapping[str, str]) -> "AvroSerDe":
    """The serde, with its schema.

    Raises:
        ValueError: a parameter is unknown, missing or wrong, or the schema is.
        OSError: the file cannot be read, or the registry does not answer.
    """
    known = (*_PLACES, "subject", "registry_config", "framing")
    refuse_unknown(parameters, known, "format avro")
    place = one_of(parameters, _PLACES, "format avro")
    framing = choice(
        parameters, "framing", _FRAMINGS, "confluent" if place == "registry" else "none"
    )
    if place == "registry":
        found = latest_schema(parameters, "AVRO")
        serde = AvroSerDe(_complete(found), framing, registry_of(parameters))
    else:
        text = Path(parameters["avro_schema"]).read_text(encoding="utf-8")
        serde = AvroSerDe(text, framing)
    serde.schema()
    return serde


def _complete(schema: RegisteredSchema) -> str:
    """One document with a schema and all that it refers to: a union whose last type is the schema.

    In Avro a type is defined once and then named, so definitions come before the schemas that refer
    to them.
    """
    return f"[{', '.join([*schema.references.values(), schema.text])}]"


def _record(text: str) -> Avro:
    """The record that a schema document defines; of a union, the last type.

    Raises:
        ValueError: the text is not a schema.
    """
    try:
        parsed = parsed_schema(text)
    except (ValueError, SchemaParseException, UnknownType) as error:
        raise ValueError(f"not an Avro schema: {type(error).__name__}: {error}") from None
    if not isinstance(parsed, list):
        return parsed
    return _inline(parsed[-1], {each["name"]: each for each in parsed}, set())


def _inline(avro: Avro, named: Mapping[str, Avro], defined: set[str]) -> Avro:
    """The schema with each definition that it refers to in place of its first mention."""
    if isinstance(avro, str):
        known = avro in named and avro not in defined
        return _inline(named[avro], named, defined) if known else avro
    if isinstance(avro, list):
        return [_inline(each, named, defined) for each in avro]
    if "name" in avro and "type" in avro:
        defined.add(avro["name"])
    parts = ("type", "items", "values")
    inlined = {
        key: _inline(value, named, defined) if key in parts else value
        for key, value in avro.items()
    }
    if "fields" in avro:
        fields = avro["fields"]
        inlined["fields"] = [
            {**each, "type": _inline(each["type"], named, defined)} for each in fields
        ]
    return inlined


@dataclass(frozen=True)
class AvroSerDe:
    """Avro records of one schema, and of its other versions.

    Attributes:
        text: the schema that records are read into, as JSON.
        framing: one of `FRAMES`, `single_object` or `none`.
        registry: where writers' schemas are; None if all records are written with `text`.
    """

    text: str
    framing: str = "none"
    registry: Registry | None = None

    def schema(self) -> pa.Schema:
        """The fields of the record; one that cannot be a column is refused if a query reads it."""
        return AvroColumns(_record(self.text)).schema

    def decoder(self, columns: pa.Schema) -> "AvroDecoder":
        """See `SerDe.decoder`."""
        return AvroDecoder(self, columns)


class AvroDecoder:
    """Reads Avro records into columns.

    The schemas are plain ones (see `api.formats.avro_columns`), whose values need no Python object
    of their own for times and text.
    """

    def __init__(self, serde: AvroSerDe, columns: pa.Schema) -> None:
        self._record = record = _record(serde.text)
        lower = {name.lower() for name in columns.names}
        named = [field["name"] for field in record["fields"] if field["name"].lower() in lower]
        self._records = AvroColumns(record, named)
        self._none = self._records.batch([])
        self._columns = TableColumns(columns)
        self._reader = RecordReader(self._records.writer)
        self._frames = _frames_of(serde, record)
        registry = serde.registry
        self._writers = registry and WriterSchemas(registry, "AVRO", self._reader_of)

    def decode(self, messages: Messages) -> Decoded:
        """See `Decoder.decode`; messages of the same frame, and so the same schema, go together."""
        size, payloads = self._frames.size, messages.payloads
        framed: dict[bytes, list[int]] = {}
        for index, payload in enumerate(payloads):
            framed.setdefault(payload[:size], []).append(index)
        found: dict[int, AvroRecord] = {}
        reasons: Reasons = {}
        for frame, indices in framed.items():
            try:
                reader = self._written_with(frame)
            except ValueError as error:
                reasons |= dict.fromkeys(indices, str(error))
                continue
            records = reader.read([payloads[index][size:] for index in indices])
            for index, record in zip(indices, records, strict=True):
                if isinstance(record, str):
                    reasons[index] = record
                else:
                    found[index] = record
        rows = sorted(found) if len(framed) > 1 else list(found)
        return self._decode_rows([found[index] for index in rows], rows, reasons)

    def _decode_rows(self, records: list[AvroRecord], rows: list[int], reasons: Reasons) -> Decoded:
        """Rows of the records, whose messages have the indices `rows`, and all reasons."""
        batches: list[pa.RecordBatch] = []
        kept: list[int] = []
        at = 0
        for piece in self._records.pieces(records):
            if isinstance(piece, str):
                reasons[rows[at]] = piece
                at += 1
            else:
                batches.append(piece)
                kept += rows[at : at + piece.num_rows]
                at += piece.num_rows
        batch, unfit = self._columns.read(pa.Table.from_batches(batches or [self._none]))
        return Decoded(batch, reasons | {kept[index]: why for index, why in unfit.items()})

    def close(self) -> None:
        """Close the connection to the registry."""
        if self._writers:
            self._writers.close()

    def _written_with(self, frame: bytes) -> RecordReader:
        """The reader of the messages that begin with `frame`.

        Raises:
            ValueError: the bytes are not a frame, or the schema is not known.
            RegistryDown: the registry does not answer.
        """
        schema_id = self._frames.schema_id(frame)
        if self._writers is None or schema_id is None:
            return self._reader
        return self._writers.by_id(schema_id)

    def _reader_of(self, schema: RegisteredSchema) -> RecordReader:
        """The reader of records of a registry's schema into the columns."""
        record = _record(_complete(schema))
        refuse_other_meanings(record, self._record)
        writer = AvroColumns(record, ()).writer
        same = fastavro.parse_schema(writer) == fastavro.parse_schema(self._records.writer)
        return self._reader if same else RecordReader(writer, self._records.target)


class _RecordFrames(NamedTuple):
    """The frame in front of each record.

    Attributes:
        size: its bytes.
        schema_id: gives the id in a frame of the writer's schema in the registry, or None if
            frames have no id; raises ValueError if the bytes are not a frame.
    """

    size: int
    schema_id: Callable[[bytes], int | None]


def _frames_of(serde: AvroSerDe, record: Avro) -> _RecordFrames:
    if serde.framing in FRAMES:
        size = FRAMES[serde.framing].size
        return _RecordFrames(size, lambda frame: unframe(frame, serde.framing).schema_id)
    if serde.framing == "none":
        return _RecordFrames(0, lambda _: None)
    expected = _fingerprint(record)

    def check(frame: bytes) -> None:
        if len(frame) < _SINGLE_OBJECT.size or frame[:2] != _MARKER:
            raise ValueError("it does not begin with C3 01, the mark of Avro's single objects")
        _, found = _SINGLE_OBJECT.unpack(frame)
        if found != expected:
            raise ValueError(f"it is written with another schema, of fingerprint {found:016x}")

    return _RecordFrames(_SINGLE_OBJECT.size, check)


def _fingerprint(record: Avro) -> int:
    """CRC-64-AVRO of the schema, as it stands in a single object."""
    canonical = to_parsing_canonical_form(record)
    return int.from_bytes(bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO")), "little")
