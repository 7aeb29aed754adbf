"""The serde `registry` is the one of the kind that the newest schema of a subject has."""

import json
from collections.abc import Iterator

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from small_registry import SmallRegistry

from chronon_beam.api.serde import Format
from chronon_beam.transforms.serdes import open_serde

AVRO = json.dumps(
    {"type": "record", "name": "Sale", "fields": [{"name": "price", "type": "double"}]}
)
PROTO = 'syntax = "proto3"; message Sale { double price = 1; }'
JSON = json.dumps({"type": "object", "properties": {"price": {"type": "number"}}})


@pytest.fixture
def registry() -> Iterator[SmallRegistry]:
    with SmallRegistry() as running:
        yield running


@pytest.mark.parametrize(("kind", "text"), [("avro", AVRO), ("protobuf", PROTO), ("json", JSON)])
def test_the_schema_decides(registry: SmallRegistry, kind: str, text: str) -> None:
    client = SchemaRegistryClient({"url": registry.url})
    client.register_schema("sales-value", Schema(text, kind.upper()))
    parameters = {"registry": registry.url, "subject": "sales-value"}
    found = open_serde(Format("registry", parameters))
    assert found == open_serde(Format(kind, parameters))
    columns = found.schema()
    assert columns is not None
    assert columns.names == ["price"]


def test_parameters_are_those_of_the_kind(registry: SmallRegistry) -> None:
    client = SchemaRegistryClient({"url": registry.url})
    client.register_schema("sales-value", Schema(AVRO, "AVRO"))
    parameters = {"registry": registry.url, "subject": "sales-value", "message": "Sale"}
    with pytest.raises(ValueError, match="format avro has no parameter 'message'"):
        open_serde(Format("registry", parameters))


def test_a_registry_is_needed() -> None:
    with pytest.raises(ValueError, match="format registry: give registry=URL"):
        open_serde(Format("registry", {"subject": "sales-value"}))
