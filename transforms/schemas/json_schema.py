"""Columns of JSON Schemas.

| JSON Schema | column |
|---|---|
| `integer`, `number`, `boolean` | BIGINT, DOUBLE, BOOLEAN |
| `number` with format `decimal` | DECIMAL of its `precision` and `scale`, else (38, 18) |
| `string` | STRING |
| `string` with format `date`, `date-time` | DATE, TIMESTAMP |
| `string` with contentEncoding `base64` | BINARY |
| `array` | ARRAY of its `items`, else of STRING |
| `object` with `properties` | STRUCT |
| any other `object` | MAP from STRING to its `additionalProperties`, else to STRING |
| `enum` or `const` without a type | the type of its values |

If a list, `oneOf` or `anyOf` has `null` beside a type, the column has that type: every column may
be null. `integer` beside `number` is DOUBLE. `$ref` refers to a place of the same document. An
object that holds itself, or a value of several types, has no column: it is refused by name if a
query reads it.

Source: `ai.chronon.online.serde.JsonConversions`.
"""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from chronon_beam.api.formats.refused import refused

_TIMESTAMP = pa.timestamp("us", tz="UTC")
_PLAIN = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "null": pa.null(),
}
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
_STRING = {"type": "string"}

Json = Mapping[str, Any]


class _NotAColumn(ValueError):
    """A part of the schema that no column type can hold."""


def json_schema_columns(text: str) -> pa.Schema:
    """The columns of the objects that a JSON Schema describes.

    >>> json_schema_columns('{"properties": {"id": {"type": "integer"}}}').field("id").type
    DataType(int64)

    Raises:
        ValueError: the text is not JSON, or not the schema of an object with properties.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ValueError(f"the JSON Schema is not JSON: {error}") from None
    schema = _Document(document).resolve(document, ()) if isinstance(document, dict) else {}
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        raise ValueError("the JSON Schema does not describe an object with properties")
    found = _Document(document)
    return pa.schema([found.field(name, each) for name, each in properties.items()])


class _Document:
    """One JSON Schema, in which references are looked up."""

    def __init__(self, root: Json) -> None:
        self._root = root

    def field(self, name: str, schema: object) -> pa.Field:
        """The column of a schema, or a field that holds the reason why there is none."""
        try:
            return pa.field(name, self._type(schema, ()))
        except _NotAColumn as error:
            return refused(name, f"{name}: {error}")

    def resolve(self, schema: Json, inside: tuple[str, ...]) -> Json:
        """The schema itself, or the one that it refers to."""
        seen = set(inside)
        while "$ref" in schema:
            reference = schema["$ref"]
            if reference in seen:
                raise _NotAColumn(f"{reference} holds itself, which no column type can")
            seen.add(reference)
            schema = self._at(reference)
        return schema

    def _at(self, reference: str) -> Json:
        found: object = self._root
        start, _, path = reference.partition("#")
        for step in path.strip("/").split("/") if path.strip("/") else ():
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, dict) else None
        if start or not isinstance(found, dict):
            raise _NotAColumn(f"$ref {reference!r} leads to no place in the schema")
        return found

    def _type(self, schema: object, inside: tuple[str, ...]) -> pa.DataType:
        if not isinstance(schema, dict):  # `true` allows any value
            raise _NotAColumn("the schema does not say its type")
        if "$ref" in schema:
            found = self.resolve(schema, inside)
            return self._type(found, (*inside, schema["$ref"]))
        branches = schema.get("oneOf") or schema.get("anyOf")
        if branches:
            return _common_type([self._type(each, inside) for each in branches])
        names = _names(schema)
        return _common_type([self._type_of_name(name, schema, inside) for name in names])

    def _type_of_name(self, name: str, schema: Json, inside: tuple[str, ...]) -> pa.DataType:
        if name == "array":
            return pa.list_(self._type(schema.get("items", _STRING), inside))
        if name == "object":
            return self._object(schema, inside)
        if name == "string":
            return _text(schema)
        if name == "number" and schema.get("format") == "decimal":
            return pa.decimal128(int(schema.get("precision", 38)), int(schema.get("scale", 18)))
        if name not in _PLAIN:
            raise _NotAColumn(f"{name!r} is not a type of JSON Schema")
        return _PLAIN[name]

    def _object(self, schema: Json, inside: tuple[str, ...]) -> pa.DataType:
        if schema.get("properties"):
            fields = schema["properties"].items()
            return pa.struct([(name, self._type(each, inside)) for name, each in fields])
        values = schema.get("additionalProperties", _STRING)
        return pa.map_(pa.string(), self._type(_STRING if values is True else values, inside))


def _names(schema: Json) -> list[str]:
    given = schema.get("type")
    if isinstance(given, list):
        return given
    if isinstance(given, str):
        return [given]
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    found = dict.fromkeys(_TYPES.get(type(value), "object") for value in values)
    if found:
        return list(found)
    if "properties" in schema:
        return ["object"]
    raise _NotAColumn("the schema does not say its type")


def _text(schema: Json) -> pa.DataType:
    if schema.get("format") == "date":
        return pa.date32()
    if schema.get("format") == "date-time":
        return _TIMESTAMP
    return pa.binary() if schema.get("contentEncoding") == "base64" else pa.string()


def _common_type(types: list[pa.DataType]) -> pa.DataType:
    """The one type that fits values of all these types; null fits any of them."""
    others = list(dict.fromkeys(each for each in types if each != pa.null()))
    if not others:
        return pa.null()
    if len(others) == 1:
        return others[0]
    if set(others) == {pa.int64(), pa.float64()}:
        return pa.float64()
    raise _NotAColumn(f"several types at once: {', '.join(map(str, others))}")
