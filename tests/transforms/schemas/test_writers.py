"""Writers' schemas are fetched and compiled once each, also those that cannot be compiled."""

import pytest
from small_registry import SmallRegistry

from chronon_beam.transforms.schemas.registry import RegisteredSchema, Registry, UnknownSchema
from chronon_beam.transforms.schemas.writers import WriterSchemas


class Made(list[int]):
    """Makes text of schemas, and keeps which; refuses that of id 2."""

    def __call__(self, schema: RegisteredSchema) -> str:
        self.append(schema.id)
        if schema.id == 2:
            raise ValueError("no good")
        return schema.text


def test_schema_is_made_once_and_so_is_its_refusal():
    with SmallRegistry() as registry:
        for text, kind in [("one", "AVRO"), ("two", "AVRO"), ("three", "PROTOBUF")]:
            registry.registered("/subjects/s/versions", {"schema": text, "schemaType": kind})
        made = Made()
        schemas = WriterSchemas(Registry(registry.url), "AVRO", made)
        for _ in range(2):
            assert schemas.by_id(1) == "one"
            with pytest.raises(ValueError, match="no good"):
                schemas.by_id(2)
            with pytest.raises(ValueError, match="schema 3 .* kind PROTOBUF: AVRO is expected"):
                schemas.by_id(3)
            with pytest.raises(UnknownSchema):
                schemas.by_id(4)
        assert made == [1, 2]
        schemas.close()
