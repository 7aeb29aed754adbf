"""The serde `protobuf`: each message is one Protobuf message, alone or in Confluent's framing.

Parameters:

- `proto`: a .proto file, compiled when the job is built, with `include`: folders of its imports,
  separated by commas; or
- `descriptor`: what `protoc --include_imports --descriptor_set_out=PATH` wrote; or
- `registry`: the URL of a schema registry, and `subject`, whose latest schema is read (default for
  a Kafka topic: `TOPIC-value`);
  `registry_config`: a properties file (see `transforms.schemas.registry_client`);
- `message`: the full name of the message; needed if the schema has several;
- `framing`: `confluent` (default with a registry) or `none`;
- `defaults`: `keep` (default) or `null`, for fields of proto3 without presence.

A message that was written with another version of the schema is read by the numbers of its fields,
as Protobuf does it. Types: see `transforms.schemas.protobuf_types`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from chronon_beam.api.formats.record_columns import fields_columns, fields_schema
from chronon_beam.api.plugins import refuse_unknown
from chronon_beam.api.records import Messages
from chronon_beam.api.serde import Decoded, Reasons
from chronon_beam.transforms.schemas.framing import split_indexes, unframe
from chronon_beam.transforms.schemas.parameters import choice, latest_schema, one_of, registry_of
from chronon_beam.transforms.schemas.protobuf_files import (
    ProtobufSchema,
    compile_file,
    read_descriptors,
    registered_schema,
)
from chronon_beam.transforms.schemas.protobuf_types import has_required, protobuf_fields
from chronon_beam.transforms.schemas.registry import RegisteredSchema, Registry
from chronon_beam.transforms.schemas.writers import WriterSchemas

_PLACES = ("proto", "descriptor", "registry")
_KNOWN = (*_PLACES, "include", "message", "subject", "registry_config", "framing", "defaults")


def open_serde(parameters: Mapping[str, str]) -> "ProtobufSerDe":
    """The serde, with its schema.

    Raises:
        ValueError: a parameter is unknown, missing or wrong, or the schema is.
        ImportError: protoc is needed and missing.
        OSError: a file cannot be read, or the registry does not answer.
    """
    refuse_unknown(parameters, _KNOWN, "format protobuf")
    place = one_of(parameters, _PLACES, "format protobuf")
    framing = choice(
        parameters, "framing", ("confluent", "none"), "confluent" if place == "registry" else "none"
    )
    descriptors = _descriptors(parameters, place)
    return ProtobufSerDe(
        descriptors.SerializeToString(),
        ProtobufSchema(descriptors).message(parameters.get("message")).full_name,
        framing == "confluent",
        choice(parameters, "defaults", ("keep", "null"), "keep") == "null",
        registry_of(parameters) if place == "registry" else None,
    )


def _descriptors(parameters: Mapping[str, str], place: str) -> FileDescriptorSet:
    if place == "descriptor":
        return read_descriptors(parameters["descriptor"])
    if place == "proto":
        include = [each for each in parameters.get("include", "").split(",") if each]
        return compile_file(parameters["proto"], include)
    return _compile_registered(latest_schema(parameters, "PROTOBUF"))


def _compile_registered(schema: RegisteredSchema) -> FileDescriptorSet:
    return registered_schema(f"schema {schema.id} of the registry", schema.text, schema.references)


@dataclass(frozen=True)
class ProtobufSerDe:
    """Protobuf messages of one type.

    Attributes:
        descriptors: the schema, a FileDescriptorSet as bytes.
        message: the full name of the message.
        framed: whether messages are in Confluent's framing.
        null_defaults: whether fields without presence are null when they have their default.
        registry: where writers' schemas are. Without a registry, each framed message is taken to be
            written with this schema.
    """

    descriptors: bytes
    message: str
    framed: bool = False
    null_defaults: bool = False
    registry: Registry | None = None

    def schema(self) -> pa.Schema:
        """The fields of the message; one that holds itself is refused if a query reads it."""
        return fields_schema(protobuf_fields(self.descriptor(), self.null_defaults))

    def decoder(self, columns: pa.Schema) -> "ProtobufDecoder":
        """See `SerDe.decoder`; raises RecursiveField for a column that holds itself."""
        return ProtobufDecoder(self, columns)

    def parsed(self) -> ProtobufSchema:
        """The schema, in which messages are found by name or by indexes."""
        return ProtobufSchema(FileDescriptorSet.FromString(self.descriptors))

    def descriptor(self) -> Descriptor:
        """The schema of the message."""
        return self.parsed().message(self.message)


class ProtobufDecoder:
    """Reads Protobuf messages into columns."""

    def __init__(self, serde: ProtobufSerDe, columns: pa.Schema) -> None:
        descriptor = serde.descriptor()
        self._parse = _parser(descriptor)
        self._columns = fields_columns(protobuf_fields(descriptor, serde.null_defaults), columns)
        self._frames = _MessageFrames(serde) if serde.framed else None

    def decode(self, messages: Messages) -> Decoded:
        """See `Decoder.decode`."""
        parsed: list[Message] = []
        rows: list[int] = []
        reasons: Reasons = {}
        for index, payload in enumerate(messages.payloads):
            try:
                parsed.append(self._parse(self._body(payload)))
                rows.append(index)
            except DecodeError as error:
                reasons[index] = f"not a Protobuf message of this schema: {error}"
            except ValueError as error:
                reasons[index] = str(error)
        batch, unfit = self._columns.read(parsed)
        return Decoded(batch, reasons | {rows[index]: why for index, why in unfit.items()})

    def close(self) -> None:
        """Close the connection to the registry."""
        if self._frames:
            self._frames.close()

    def _body(self, payload: bytes) -> bytes:
        return self._frames.body(payload) if self._frames else payload


def _parser(descriptor: Descriptor) -> Callable[[bytes], Message]:
    """Parses a message as Java does: a message without a required field of proto2 is damaged."""
    parse = GetMessageClass(descriptor).FromString
    if not has_required(descriptor):
        return parse

    def parse_whole(body: bytes) -> Message:
        message = parse(body)
        if not message.IsInitialized():
            raise DecodeError("a required field is missing")
        return message

    return parse_whole


class _MessageFrames:
    """Takes Confluent's frames off, after a check that a frame is of the job's type of message."""

    def __init__(self, serde: ProtobufSerDe) -> None:
        self._message = serde.message
        self._own = serde.parsed()
        registry = serde.registry
        self._writers = registry and WriterSchemas(
            registry, "PROTOBUF", lambda schema: ProtobufSchema(_compile_registered(schema))
        )
        self._frame: bytes | None = None

    def body(self, payload: bytes) -> bytes:
        """The message without its frame.

        Raises:
            ValueError: there is no frame, or it names another message or an unknown schema.
            RegistryDown: the registry does not answer.
        """
        if self._frame is not None and payload.startswith(self._frame):
            return payload[len(self._frame) :]  # no frame is the beginning of another
        schema_id, framed = unframe(payload)
        indexes, body = split_indexes(framed)
        self._check(schema_id, indexes)
        self._frame = payload[: len(payload) - len(body)]
        return body

    def close(self) -> None:
        """Close the connection to the registry."""
        if self._writers:
            self._writers.close()

    def _check(self, schema_id: int, indexes: tuple[int, ...]) -> None:
        schema = self._writers.by_id(schema_id) if self._writers else self._own
        found = schema.at(indexes)
        if found != self._message:
            raise ValueError(
                f"a message of type {found}, written with schema {schema_id}: the job reads "
                f"{self._message}"
            )
