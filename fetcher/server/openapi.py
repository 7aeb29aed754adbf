"""The server's paths as an OpenAPI document, for clients, and for tests that try each path."""

from typing import Any

from chronon_beam.fetcher.server.settings import Settings

Document = dict[str, Any]


def document(settings: Settings) -> Document:
    """The document of a server with these settings."""
    # In Chronon's answers, unknown keys have no features.
    optional = {"required": ["status", "entityKeys"]} if settings.compat else {}
    schemas = {
        "Errors": _ERRORS,
        "Rows": _rows(settings),
        "Results": _results({**_SUCCESS, **optional}),
        "AvroResults": _results({**_AVRO, **optional}),
    }
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        "paths": {**_of_features(settings), **_OF_SERVER},
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        **({"security": [{"token": []}]} if settings.token else {}),
    }


_INFO = {
    "title": "chronon-beam feature server",
    "version": "1",
    "description": "Features of Chronon GroupBys, as Chronon's fetcher services give them.",
}


def _of_features(settings: Settings) -> Document:
    return {
        "/v1/features/groupby/{name}": {"post": _fetch(settings, "Features (airbnb's path)")},
        "/v1/fetch/groupby/{name}": {"post": _fetch(settings, "Features (zipline's path)")},
        "/v1/features/join/{name}": {"post": _fetch(settings, "A join (airbnb's path)")},
        "/v1/fetch/join/{name}": {"post": _fetch(settings, "A join (zipline's path)")},
        "/v2/fetch/join/{name}": {"post": _fetch(settings, "A join, in Avro", "AvroResults")},
        "/v1/joins": {"get": _get("The joins that are served", _names("joinNames"))},
        "/v1/join/{name}/schema": {"get": _of_name(settings, "Avro schemas", _JOIN_SCHEMA)},
        "/v1/groupbys": {"get": _get("The names that are served", _names("groupByNames"))},
        "/v1/groupby/{name}/schema": {"get": _of_name(settings, "Avro schemas", _SCHEMA)},
        "/v1/groupby/{name}/status": {"get": _of_name(settings, "Batch values", _STATUS)},
    }


_ERRORS = {
    "type": "object",
    "required": ["errors"],
    "properties": {"errors": {"type": "array", "items": {"type": "string"}}},
}
_SUCCESS = {
    "type": "object",
    "required": ["status", "entityKeys", "features"],
    "properties": {
        "status": {"const": "Success"},
        "entityKeys": {"type": "object"},
        "features": {"type": "object"},
        "warnings": {"type": "array", "items": {"type": "string"}},
    },
}
_FAILURE = {
    "type": "object",
    "required": ["status", "entityKeys", "error"],
    "properties": {
        "status": {"const": "Failure"},
        "entityKeys": {"type": "object"},
        "error": {"type": "string"},
    },
}
_AVRO = {
    "type": "object",
    "required": ["status", "entityKeys", "featureAvroString", "featuresErrors"],
    "properties": {
        "status": {"const": "Success"},
        "entityKeys": {"type": "object"},
        "featureAvroString": {"type": "string", "contentEncoding": "base64"},
        "featuresErrors": {"type": "object"},
        "warnings": {"type": "array", "items": {"type": "string"}},
    },
}


def _results(success: Document) -> Document:
    items = {"oneOf": [success, _FAILURE]}
    members = {"results": {"type": "array", "items": items}}
    return {"type": "object", "required": ["results"], "properties": members}


def _members(*names: str, **types: str) -> Document:
    """A JSON object that has all texts in `names`, and may have members of the types in `types`."""
    required = {name: {"type": "string"} for name in names}
    further = {name: {"type": kind} for name, kind in types.items()}
    return {"type": "object", "required": [*names], "properties": {**required, **further}}


_SCHEMA = _members("groupByName", "keySchema", "valueSchema", "inputSchema", "selectedSchema")
_JOIN_SCHEMA = _members("joinName", "keySchema", "valueSchema", "schemaHash", valueInfos="array")
_STATUS = _members("groupByName", batchEndDate="string", batchEndTs="integer")


def _rows(settings: Settings) -> Document:
    return {"type": "array", "items": {"type": "object"}, "maxItems": settings.limits.rows}


def _names(member: str) -> Document:
    names = {"type": "array", "items": {"type": "string"}}
    return {"type": "object", "required": [member], "properties": {member: names}}


def _content(schema: Document) -> Document:
    return {"application/json": {"schema": schema}}


def _answers(schema: Document, **errors: str) -> Document:
    """The answer of status 200, and errors by their status."""
    refused = {
        status.removeprefix("s"): {
            "description": text,
            "content": _content({"$ref": "#/components/schemas/Errors"}),
        }
        for status, text in errors.items()
    }
    return {"200": {"description": "The answer", "content": _content(schema)}, **refused}


_NO_TOKEN = "The bearer token is missing or wrong"
_NAME = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "The name; a slash in it may be written as %2F",
    "schema": {"type": "string", "minLength": 1},
}
_AT = {
    "name": "at",
    "in": "query",
    "description": "The time of the query in milliseconds since the epoch; now if it is not given",
    "schema": {"type": "integer", "minimum": 0, "maximum": 253_402_300_799_999},
}
_FEATURES = {
    "name": "features",
    "in": "query",
    "description": "The features to give, by name; all if it is not given",
    "style": "form",
    "explode": False,
    "schema": {"type": "array", "items": {"type": "string"}, "minItems": 1},
}


def _fetch(settings: Settings, summary: str, results: str = "Results") -> Document:
    body = {"required": True, "content": _content({"$ref": "#/components/schemas/Rows"})}
    errors = {
        "s400": "The body is not a JSON list of objects",
        "s401": _NO_TOKEN,
        "s404": "Nothing is served under the name",
        "s408": "The body has not come in time",
        "s413": "The body is too large",
        "s415": "The body is encoded",
        "s422": "Too many rows, or a parameter that is not of its form",
        "s503": "The server has too much to do, or cannot read the store",
    }
    if settings.compat:
        errors["s500"] = "The whole fetch has failed"
    return {
        "summary": summary,
        "parameters": [_NAME, _AT, _FEATURES],
        "requestBody": body,
        "responses": _answers({"$ref": f"#/components/schemas/{results}"}, **errors),
    }


def _of_name(settings: Settings, summary: str, schema: Document) -> Document:
    missing = {"s500" if settings.compat else "s404": "Nothing is served under the name"}
    errors = {"s401": _NO_TOKEN, "s503": "The GroupBy cannot be served", **missing}
    return {"summary": summary, "parameters": [_NAME], "responses": _answers(schema, **errors)}


def _get(summary: str, schema: Document, open_to_all: bool = False) -> Document:
    errors = {} if open_to_all else {"s401": _NO_TOKEN}
    security = {"security": []} if open_to_all else {}
    return {"summary": summary, "responses": _answers(schema, **errors), **security}


def _ready() -> Document:
    answers = _answers({"type": "object"}, s503="The store cannot be read")
    return {"summary": "Whether it can be asked", "responses": answers, "security": []}


def _metrics() -> Document:
    text = {"description": "Metrics for Prometheus", "content": {"text/plain": {}}}
    return {"summary": "Metrics", "responses": {**_answers({}, s401=_NO_TOKEN), "200": text}}


_OF_SERVER = {
    "/ping": {"get": _get("Whether it answers", {"const": "Pong!"}, open_to_all=True)},
    "/config": {"get": _get("How it answers", {"type": "object"})},
    "/healthz": {"get": _get("Whether it runs", {"type": "object"}, open_to_all=True)},
    "/readyz": {"get": _ready()},
    "/metrics": {"get": _metrics()},
    "/openapi.json": {"get": _get("This document", {"type": "object"})},
}
