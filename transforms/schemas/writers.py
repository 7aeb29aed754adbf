"""Finds the schema with which a message was written, by the id that the message carries."""

from collections.abc import Callable
from typing import Generic, TypeVar

from chronon_beam.transforms.schemas.registry import RegisteredSchema, Registry, SchemaRegistry

Schema = TypeVar("Schema")


class WriterSchemas(Generic[Schema]):
    """The writers' schemas of a registry, each compiled once, for one decoder.

    The registry is asked when a message first needs a schema. If a schema cannot be compiled, the
    reason is kept, so that damaged ids do not cost a compilation each time.

    Args:
        registry: where schemas are.
        kind: the kind of schemas that can be read, for example `AVRO`.
        make: compiles a schema for the decoder; raises ValueError if it cannot.
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
        """The compiled schema with that id.

        Raises:
            ValueError: the registry does not have the schema, or the schema is of another kind or
                cannot be compiled.
            RegistryDown: the registry does not answer.
        """
        if schema_id in self._refused:
            raise ValueError(self._refused[schema_id])
        if schema_id not in self._made:
            self._client = self._client or self._registry.connect()
            schema = self._client.by_id(schema_id)
            try:
                self._made[schema_id] = self._compile(schema)
            except ValueError as error:
                self._refused[schema_id] = str(error)
                raise
        return self._made[schema_id]

    def close(self) -> None:
        """Close the connection to the registry."""
        if self._client is not None:
            self._client.close()

    def _compile(self, schema: RegisteredSchema) -> Schema:
        if schema.kind != self._kind:
            raise ValueError(
                f"schema {schema.id} of the registry is of the kind {schema.kind}: {self._kind} is "
                "expected"
            )
        return self._make(schema)
