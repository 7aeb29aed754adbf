"""Messages whose schemas are in a registry: written by Confluent's serializers, read by ours."""

import io
import json
import pickle
import urllib.request
from typing import Any

import fastavro
import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from schema_registry import SchemaRegistry

from chronon_beam.api.records import Messages
from chronon_beam.api.serde import Decoded, Decoder, Format, SerDe
from chronon_beam.transforms.schemas.protobuf_files import ProtobufSchema, registered_schema
from chronon_beam.transforms.schemas.registry import Registry, RegistryDown, UnknownSchema
from chronon_beam.transforms.serdes import open_serde

MONEY = 'syntax = "proto3"; package shop; message Money { int64 cents = 1; }'
SALE = """
syntax = "proto3";
package shop;
import "money.proto";
message Other { int32 x = 1; }
message Sale {
  int64 id = 1;
  Money price = 2;
  message Line { int32 at = 1; }
}
"""
LATER = SALE.replace("Money price = 2;", "Money price = 2; string who = 3;")


def message(text: str, name: str) -> type[Message]:
    files: FileDescriptorSet = registered_schema("test", text, {"money.proto": MONEY})
    return GetMessageClass(ProtobufSchema(files).message(name))


def written(registry: SchemaRegistry, topic: str, value: Message) -> bytes:
    """The bytes that a producer with Confluent's serializer sends; registers the schema."""
    client = SchemaRegistryClient({"url": registry.url})
    serializer = ProtobufSerializer(type(value), client, {"use.deprecated.format": False})
    payload = serializer(value, SerializationContext(topic, MessageField.VALUE))
    assert payload is not None
    return payload


def opened(registry: SchemaRegistry, subject: str, message: str) -> SerDe:
    parameters = {"registry": registry.url, "subject": subject, "message": message}
    return pickle.loads(pickle.dumps(open_serde(Format("protobuf", parameters))))


def decode(decoder: Decoder, *payloads: bytes) -> Decoded:
    return decoder.decode(Messages("sales/0", list(range(len(payloads))), list(payloads)))


def test_protobuf_is_read_while_its_schema_changes(schema_registry: SchemaRegistry):
    sale = message(SALE, "shop.Sale")
    first = written(schema_registry, "sales", sale(id=1, price={"cents": 250}))
    serde = opened(schema_registry, "sales-value", "shop.Sale")
    schema = serde.schema()
    assert schema is not None
    decoder = serde.decoder(schema)
    later = message(LATER, "shop.Sale")
    second = written(schema_registry, "sales", later(id=2, who="Ann"))
    line = written(schema_registry, "sales", message(SALE, "shop.Sale.Line")(at=1))
    unknown = second[:1] + (999_999).to_bytes(4, "big") + second[5:]
    found = decode(decoder, first, second, line, unknown, b"{}", first[:5])
    assert found.batch.to_pylist() == [
        {"id": 1, "price": {"cents": 250}},
        {"id": 2, "price": None},
    ]
    assert "of type shop.Sale.Line" in found.reasons[2]
    assert "has no schema 999999" in found.reasons[3]
    assert "not in Confluent's framing" in found.reasons[4]
    assert "cut short" in found.reasons[5]
    decoder.close()


def test_protobuf_schemas_as_text_are_compiled_with_what_they_import(
    schema_registry: SchemaRegistry,
):
    client = SchemaRegistryClient({"url": schema_registry.url})
    client.register_schema("money", Schema(MONEY, "PROTOBUF"))
    reference = SchemaReference("money.proto", "money", 1)
    schema_id = client.register_schema("text-value", Schema(SALE, "PROTOBUF", [reference]))
    serde = opened(schema_registry, "text-value", "shop.Sale")
    body = message(SALE, "shop.Sale")(id=7).SerializeToString()
    payload = b"\0" + schema_id.to_bytes(4, "big") + bytes([2, 2]) + body  # index 1 of one
    decoder = serde.decoder(serde.schema())
    assert decode(decoder, payload).batch.to_pylist() == [{"id": 7, "price": None}]
    decoder.close()


def test_unknown_subject_names_the_nearest(schema_registry: SchemaRegistry):
    client = SchemaRegistryClient({"url": schema_registry.url})
    client.register_schema("orders-value", Schema(MONEY, "PROTOBUF"))
    with pytest.raises(UnknownSchema, match="no subject 'order-value': did you mean orders-value"):
        opened(schema_registry, "order-value", "shop.Money")


def test_registry_that_is_killed_is_told(tmp_path_factory: pytest.TempPathFactory):
    registry = SchemaRegistry(tmp_path_factory.mktemp("killed"))
    try:
        registry.kill()
        with pytest.raises(RegistryDown, match="has not answered for"):
            Registry(registry.url).connect(wait_s=0.0).by_id(1)
    finally:
        registry.stop()


ORDER = {
    "type": "record",
    "name": "shop.Order",
    "fields": [{"name": "id", "type": "long"}, {"name": "cost", "type": "shop.Cost"}],
}
COST = {"type": "record", "name": "shop.Cost", "fields": [{"name": "cents", "type": "int"}]}


def test_avro_is_read_while_its_schema_changes(schema_registry: SchemaRegistry):
    client = SchemaRegistryClient({"url": schema_registry.url})
    client.register_schema("cost", Schema(json.dumps(COST), "AVRO"))
    reference = SchemaReference("shop.Cost", "cost", 1)
    schema = Schema(json.dumps(ORDER), "AVRO", [reference])
    fields = [*ORDER["fields"], {"name": "who", "type": "string", "default": "nobody"}]
    later = Schema(json.dumps({**ORDER, "fields": fields}), "AVRO", [reference])
    context = SerializationContext("avro-orders", MessageField.VALUE)
    write, write_later = (AvroSerializer(client, each) for each in (schema, later))
    first = write({"id": 1, "cost": {"cents": 250}}, context)
    second = write_later({"id": 2, "cost": {"cents": 1}, "who": "Ann"}, context)
    parameters = {"registry": schema_registry.url, "subject": "avro-orders-value"}
    serde = pickle.loads(pickle.dumps(open_serde(Format("avro", parameters))))
    decoder = serde.decoder(serde.schema())
    unknown = second[:1] + (999_999).to_bytes(4, "big") + second[5:]
    found = decode(decoder, first, second, unknown, b"{}")
    assert found.batch.to_pylist() == [
        {"id": 1, "cost": {"cents": 250}, "who": "nobody"},
        {"id": 2, "cost": {"cents": 1}, "who": "Ann"},
    ]
    assert "has no schema 999999" in found.reasons[2]
    assert "not in Confluent's framing" in found.reasons[3]
    decoder.close()


def test_json_has_the_columns_of_its_registered_schema(schema_registry: SchemaRegistry):
    client = SchemaRegistryClient({"url": schema_registry.url})
    text = json.dumps({"title": "Sale", "properties": {"id": {"type": "integer"}}})
    serializer = JSONSerializer(text, client)
    payload = serializer({"id": 7}, SerializationContext("json", MessageField.VALUE))
    parameters = {"registry": schema_registry.url, "subject": "json-value"}
    serde = pickle.loads(pickle.dumps(open_serde(Format("json", parameters))))
    found = decode(serde.decoder(serde.schema()), payload, b'{"id": 7}')
    assert found.batch.to_pylist() == [{"id": 7}]
    assert "not in Confluent's framing" in found.reasons[1]


class Artifacts:
    """Apicurio's own API."""

    def __init__(self, registry: SchemaRegistry) -> None:
        self.url = registry.url.replace("ccompat/v7", "registry/v2")

    def register(self, artifact: str, schema: Any, references: list[dict[str, str]]) -> int:
        """The global id of a new version of an artifact in the group `shop`."""
        body = {"content": json.dumps(schema), "references": references}
        request = urllib.request.Request(
            f"{self.url}/groups/shop/artifacts?ifExists=UPDATE", json.dumps(body).encode()
        )
        request.add_header("Content-Type", "application/create.extended+json")
        request.add_header("X-Registry-ArtifactId", artifact)
        request.add_header("X-Registry-ArtifactType", "AVRO")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["globalId"]


def avro_bytes(schema: Any, record: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), record)
    return out.getvalue()


def test_avro_with_global_ids_is_read_by_the_own_api_of_apicurio(schema_registry: SchemaRegistry):
    artifacts = Artifacts(schema_registry)
    # From here on the ids of Confluent's API, which count texts, are others than the global ones.
    for name in ("cost", "cost-again"):
        artifacts.register(name, COST, [])
    place = {"groupId": "shop", "artifactId": "cost"}
    reference = {**place, "version": "1", "name": "shop.Cost"}
    who = {"name": "who", "type": "string", "default": "nobody"}
    later = {**ORDER, "fields": [*ORDER["fields"], who]}
    ids = [artifacts.register("order", each, [reference]) for each in (ORDER, later)]
    parameters = {"registry": artifacts.url, "subject": "shop/order", "framing": "apicurio"}
    serde = pickle.loads(pickle.dumps(open_serde(Format("registry", parameters))))
    decoder = serde.decoder(serde.schema())
    order = {"id": 1, "cost": {"cents": 250}}
    whole = {**ORDER, "fields": [ORDER["fields"][0], {"name": "cost", "type": COST}]}
    body = avro_bytes(whole, order)
    frames = [b"\0" + number.to_bytes(8, "big") for number in (ids[0], 999_999)]
    found = decode(decoder, *(frame + body for frame in frames), body)
    assert found.batch.to_pylist() == [{**order, "who": "nobody"}]
    assert "has no schema 999999" in found.reasons[1]
    assert "not in Apicurio's framing" in found.reasons[2]
    decoder.close()
    with pytest.raises(UnknownSchema, match="did you mean shop/order"):
        open_serde(Format("avro", {**parameters, "subject": "shop/orders"}))
