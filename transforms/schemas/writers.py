"""The schemas that messages were written with, by the id that they carry."""

from collections.abc import Callable
from typing import Generic, TypeVar

from chronon_beam.transforms.schemas.registry import RegisteredSchema, Registry, SchemaRegistry

Schema = TypeVar("Schema")


class WriterSchemas(Generic[Schema]):
    """What a decoder makes of each schema of a registry, once per schema.

    The registry is asked when the first message needs it. A schema that nothing can be made of has
    its reason remembered, so that damaged ids do not have it compiled again and again.

    Args:
        registry: where schemas are.
        kind: of the schemas that can be read, for example `AVRO`.
        make: makes of a schema what the decoder needs; raises ValueError where it cannot.
    """

    def __init__(
        self, registry: Registry, kind: str, make: Callable[[RegisteredSchema], Schema]
    ) -> None:
        self._registry = registry
        self._kind = kind
        self._make = make
        self._made: dict[int, Schema] = {}
        self._refused: dict[int, str] = {}
        self._client: SchemaRegistry | None = None

    def by_id(self, schema_id: int) -> Schema:
        """What was made of the schema with that id.

        Raises:
            ValueError: the registry has no such schema, it is of another kind, or nothing can be
                made of it.
            RegistryDown: the registry does not answer.
        """
        if schema_id in self._refused:
            raise ValueError(self._refused[schema_id])
        if schema_id not in self._made:
            self._client = self._client or self._registry.connect()
            schema = self._client.by_id(schema_id)
            try:
                self._made[schema_id] = self._checked(schema)
            except ValueError as error:
                self._refused[schema_id] = str(error)
                raise
        return self._made[schema_id]

    def close(self) -> None:
        """Let go of the registry."""
        if self._client is not None:
            self._client.close()

    def _checked(self, schema: RegisteredSchema) -> Schema:
        if schema.kind != self._kind:
            raise ValueError(
                f"schema {schema.id} of the registry is of the kind {schema.kind}: {self._kind} is "
                "expected"
            )
        return self._make(schema)
