"""Sales as other people's serializers write them, in every format and framing that is read.

Confluent's serializers write what has a registry's framing, Google's library Protobuf, Apache's
Thrift, fastavro Avro, and Python's own modules JSON and CSV.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from thrift.protocol.TBinaryProtocol import TBinaryProtocolAcceleratedFactory
from thrift.protocol.TCompactProtocol import TCompactProtocolAcceleratedFactory
from thrift.TSerialization import serialize
from thrift_sale import THRIFT, ThriftItem, ThriftSale

from chronon_beam.api.serde import Format
from chronon_beam.transforms.schemas.protobuf_files import ProtobufSchema, compile_file

COLUMNS = "user STRING, id BIGINT, price DOUBLE, at BIGINT"
"""What jobs read of a sale."""

KINDS = ("CONE", "CUP")
ITEM = {
    "type": "record",
    "name": "Item",
    "fields": [{"name": "flavor", "type": "string"}, {"name": "grams", "type": "int"}],
}
AVRO: dict[str, Any] = {
    "type": "record",
    "name": "Sale",
    "namespace": "shop",
    "fields": [
        {"name": "user", "type": "string"},
        {"name": "id", "type": "long"},
        {"name": "price", "type": "double"},
        {"name": "at", "type": "long"},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": list(KINDS)}},
        {"name": "note", "type": ["null", "string"]},
        {"name": "items", "type": {"type": "array", "items": ITEM}},
        {"name": "counts", "type": {"type": "map", "values": "long"}},
    ],
}
PROTO = """
syntax = "proto3";
package shop;
enum Kind { CONE = 0; CUP = 1; }
message Item { string flavor = 1; int32 grams = 2; }
message Other { int32 x = 1; }
message Sale {
  string user = 1; int64 id = 2; double price = 3; int64 at = 4; Kind kind = 5;
  optional string note = 6; repeated Item items = 7; map<string, int64> counts = 8;
}
"""
_ITEM_SCHEMA = {"properties": {"flavor": {"type": "string"}, "grams": {"type": "integer"}}}
JSON_SCHEMA = {
    "title": "Sale",
    "type": "object",
    "properties": {
        "user": {"type": "string"},
        "id": {"type": "integer"},
        "price": {"type": "number"},
        "at": {"type": "integer"},
        "kind": {"enum": list(KINDS)},
        "note": {"type": ["string", "null"]},
        "items": {"type": "array", "items": {"type": "object", **_ITEM_SCHEMA}},
        "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
    },
}
CSV = ("user", "id", "price", "at", "kind", "note")

Sale = dict[str, Any]
"""A sale as Python values; `sale` makes one."""

USERS = 50
BEGIN_MS = 1_700_000_000_000
SPAN_MS = 1_700_000


def sale(number: int, of: int) -> Sale:
    """The sale of that number, from 0; the times of `of` sales spread over half an hour."""
    return {
        "user": f"user{number % USERS}",
        "id": number,
        "price": number / 4,
        "at": BEGIN_MS + number * SPAN_MS // of,
        "kind": KINDS[number % 2],
        "note": None if number % 3 else "läuft",
        "items": [{"flavor": "mint", "grams": 120}],
        "counts": {"spoons": number % 5},
    }


Write = Callable[[Sale], bytes]


@dataclass(frozen=True)
class Written:
    """How the sales of a topic are written, and how they are read.

    Attributes:
        format: what reads them.
        write: the serializer.
        cut: makes of a payload one that no reader may take for a sale.
    """

    format: Format
    write: Write
    cut: Callable[[bytes], bytes] = lambda payload: payload[:-1]


@dataclass(frozen=True)
class Place:
    """Where schemas are.

    Attributes:
        folder: for the files of schemas; it exists.
        registry: the URL of a registry.
        topic: its subjects are `TOPIC-value`.
    """

    folder: Path
    registry: str
    topic: str = "sales"

    def file(self, name: str, text: str) -> str:
        """The path of a file with that text."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    def client(self) -> SchemaRegistryClient:
        return SchemaRegistryClient({"url": self.registry})

    def registered(self, **more: str) -> Mapping[str, str]:
        """The parameters of a serde that asks the registry."""
        return {"registry": self.registry, "subject": f"{self.topic}-value", **more}

    def writing(self, serializer: Any, made: Callable[[Sale], Any] = lambda sale: sale) -> Write:
        """Confluent's serializer as one of sales; it has registered its schema."""
        context = SerializationContext(self.topic, MessageField.VALUE)
        serializer(made(sale(0, 1)), context)
        return lambda each: serializer(made(each), context)


def json_lines(_: Place) -> Written:
    parameters: dict[str, str] = {}
    return Written(Format("json", parameters), lambda each: json.dumps(each).encode())


def json_registered(place: Place) -> Written:
    serializer = JSONSerializer(json.dumps(JSON_SCHEMA), place.client(), conf={"validate": False})
    return Written(Format("json", place.registered()), place.writing(serializer))


def avro_plain(place: Place) -> Written:
    schema = fastavro.parse_schema(AVRO)

    def write(each: Sale) -> bytes:
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, schema, each)
        return stream.getvalue()

    path = place.file("sale.avsc", json.dumps(AVRO))
    return Written(Format("avro", {"avro_schema": path}), write)


def avro_single_object(place: Place) -> Written:
    plain = avro_plain(place)
    canonical = fastavro.schema.to_parsing_canonical_form(AVRO)
    mark = b"\xc3\x01" + bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))
    parameters = {**plain.format.parameters, "framing": "single_object"}
    return Written(Format("avro", parameters), lambda each: mark + plain.write(each))


def avro_registered(place: Place) -> Written:
    serializer = AvroSerializer(place.client(), json.dumps(AVRO))
    return Written(Format("avro", place.registered()), place.writing(serializer))


def protobuf_message(place: Place) -> type[Message]:
    files = compile_file(place.file("sale.proto", PROTO))
    return GetMessageClass(ProtobufSchema(files).message("shop.Sale"))


def protobuf_plain(place: Place) -> Written:
    made = protobuf_message(place)
    parameters = {"proto": str(place.folder / "sale.proto"), "message": "shop.Sale"}
    return Written(Format("protobuf", parameters), lambda each: made(**each).SerializeToString())


def protobuf_registered(place: Place) -> Written:
    made = protobuf_message(place)
    conf = {"use.deprecated.format": False}
    serializer = ProtobufSerializer(made, place.client(), conf)
    parameters = place.registered(message="shop.Sale")
    write = place.writing(serializer, lambda each: made(**each))
    return Written(Format("protobuf", parameters), write)


def thrift_binary(place: Place) -> Written:
    return _thrift(place, "binary", TBinaryProtocolAcceleratedFactory(fallback=False))


def thrift_compact(place: Place) -> Written:
    return _thrift(place, "compact", TCompactProtocolAcceleratedFactory(fallback=False))


def _thrift(place: Place, protocol: str, factory: Any) -> Written:
    path = place.file("sale.thrift", THRIFT)
    parameters = {"thrift": path, "struct": "Sale", "protocol": protocol}

    def write(each: Sale) -> bytes:
        items = [ThriftItem(**item) for item in each["items"]]
        kind = KINDS.index(each["kind"])
        return serialize(ThriftSale(**{**each, "items": items, "kind": kind}), factory)

    return Written(Format("thrift", parameters), write)


def debezium(place: Place) -> Written:
    """Rows that are inserted, without and with their schema in the message."""
    fields = [{"field": name, "type": kind} for name, kind in _CONNECT.items()]
    row = {"type": "struct", "fields": fields, "optional": True}
    envelope = {
        "type": "struct",
        "fields": [{**row, "field": "before"}, {**row, "field": "after"}]
        + [{"field": "op", "type": "string"}, {"field": "ts_ms", "type": "int64"}],
    }

    def write(each: Sale) -> bytes:
        after = {name: each[name] for name in _CONNECT}
        change = {"before": None, "after": after, "op": "c", "ts_ms": each["at"]}
        wrapped = {"schema": envelope, "payload": change}
        return json.dumps(change if each["id"] % 2 else wrapped).encode()

    example = json.dumps({"schema": envelope, "payload": None})
    return Written(Format("debezium", {"example": place.file("example.json", example)}), write)


_CONNECT = {"user": "string", "id": "int64", "price": "double", "at": "int64", "note": "string"}


def csv_lines(_: Place) -> Written:
    def write(each: Sale) -> bytes:
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow([each[name] for name in CSV])
        return line.getvalue().encode()

    return Written(
        Format("csv", {"names": json.dumps(CSV)}),
        write,
        lambda payload: payload.rpartition(b",")[0],
    )


FORMATS: dict[str, Callable[[Place], Written]] = {
    "json": json_lines,
    "json_registered": json_registered,
    "avro": avro_plain,
    "avro_single_object": avro_single_object,
    "avro_registered": avro_registered,
    "protobuf": protobuf_plain,
    "protobuf_registered": protobuf_registered,
    "thrift_binary": thrift_binary,
    "thrift_compact": thrift_compact,
    "debezium": debezium,
    "csv": csv_lines,
}
"""By the name of a serde and a framing."""
