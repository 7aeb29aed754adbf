"""Messages whose schemas are in a registry: written by Confluent's serializers, read by ours."""

import pickle

import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
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
