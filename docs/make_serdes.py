"""Writes docs/serdes.md from the code: `python docs/make_serdes.py`.

The parameters come from the serdes' own docstrings, and the types from schemas that the serdes read
here: what is in the table is what they do.
"""

import json
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from chronon_beam.api.formats.json_values import sql_name
from chronon_beam.api.formats.refused import refusal
from chronon_beam.api.serde import Format
from chronon_beam.transforms.serdes import open_serde

PAGE = Path(__file__).with_name("serdes.md")

HEAD = """# Serdes

Made from the code by `python docs/make_serdes.py`; a test fails when it is stale.

A serde turns messages into columns. A source names it: `format=` in the URI of a Kafka source, with
the serde's parameters beside it:

```text
kafka://broker:9092/sales?format=protobuf&proto=shop.proto&message=shop.Sale
kafka://broker:9092/sales?format=avro&registry=http://registry:8081&subject=sales-value
```

Only the columns that a GroupBy's query reads are converted. A message that cannot be read is a dead
letter with the reason; the others of its batch go on. A column that the schema tells, and that has
no type here (a record that holds itself), is refused only if the query reads it. `schema=` in the
URI goes before what the serde tells.

A registry that is down when a job is built is an error after ten seconds; while the job runs it is
waited for, and the log says so. An id that it does not know is a dead letter. Nothing is ever
registered. Without `subject=`, the schema of a Kafka topic is that of the subject `TOPIC-value`; of
several topics, or a pattern, `subject=` must name one that has the columns of all.

A registry is asked by Confluent's API, which Apicurio and Karapace speak as well. A URL with
`/apis/registry/v2` is Apicurio's own API: schemas are then found by the global ids that Apicurio's
serializers write, and a subject is `GROUP/ARTIFACT`, or the artifact alone in the group `default`.

Accounts and TLS of a registry come from a properties file (`registry_config=`, the same path on
every worker) and from the environment, the file first; never from a URI, which is printed and
stored. Names are those of Confluent's client for Python:

- `basic.auth.user.info`, `SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO`: `user:password`;
- `bearer.auth.token`, `SCHEMA_REGISTRY_BEARER_AUTH_TOKEN`: a token; Confluent Cloud also needs
  `bearer.auth.logical.cluster`;
- `ssl.ca.location`, `SCHEMA_REGISTRY_SSL_CA_LOCATION`: the certificates that are trusted (PEM);
- `ssl.certificate.location`, `ssl.key.location`, `ssl.key.password`, `SCHEMA_REGISTRY_SSL_...`: a
  certificate of our own;
- any other that Confluent's client has, for example for OAuth; not with Apicurio's own API.
"""

TAIL = """
## A serde of your own

A package of yours offers one by an entry point, with no change here:

```text
[project.entry-points."chronon_beam.serdes"]
csvline = "my_package.csvline:open_serde"
```

`format=csvline` then finds it. `chronon_beam/api/serde.py` says what it has to do, with an example.
"""

PROTO = """
syntax = "proto3";
package types;
enum Kind { NONE = 0; }
message Point { int32 x = 1; }
message Types {
  int32 int32 = 1; uint32 uint32 = 2; int64 int64 = 3; uint64 uint64 = 4; float float = 5;
  double double = 6; bool bool = 7; string string = 8; bytes bytes = 9; Kind enum = 10;
  Point message = 11; repeated int32 repeated = 12; map<string, int64> map = 13;
  oneof oneof { string either = 14; int32 or = 15; }
}
"""

THRIFT = """
enum Kind { NONE = 1 }
struct Point { 1: i32 x }
struct Types {
  1: bool t_bool, 2: i8 t_i8, 3: i16 t_i16, 4: i32 t_i32, 5: i64 t_i64, 6: double t_double,
  7: string t_string, 8: binary t_binary, 9: Kind t_enum, 10: Point t_struct, 11: list<i32> t_list,
  12: set<string> t_set, 13: map<string, i64> t_map
}
"""

POINT = {"type": "record", "name": "Point", "fields": [{"name": "x", "type": "int"}]}
AVRO: dict[str, object] = {
    **{name: name for name in ("boolean", "int", "long", "float", "double", "bytes", "string")},
    "enum": {"type": "enum", "name": "Kind", "symbols": ["NONE"]},
    "fixed": {"type": "fixed", "name": "Four", "size": 4},
    "date": {"type": "int", "logicalType": "date"},
    "timestamp-millis": {"type": "long", "logicalType": "timestamp-millis"},
    "timestamp-micros": {"type": "long", "logicalType": "timestamp-micros"},
    "local-timestamp-millis": {"type": "long", "logicalType": "local-timestamp-millis"},
    "time-millis": {"type": "int", "logicalType": "time-millis"},
    "time-micros": {"type": "long", "logicalType": "time-micros"},
    "uuid": {"type": "string", "logicalType": "uuid"},
    "decimal(9, 2)": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
    "array of int": {"type": "array", "items": "int"},
    "map of long": {"type": "map", "values": "long"},
    "record": POINT,
    "union of null and int": ["null", "int"],
    "union of int and long": ["int", "long"],
    "union of string and long": ["string", "long"],
}

JSON_SCHEMA: dict[str, object] = {
    **{name: {"type": name} for name in ("integer", "number", "boolean", "string")},
    "number, format decimal": {"type": "number", "format": "decimal"},
    "string, format date": {"type": "string", "format": "date"},
    "string, format date-time": {"type": "string", "format": "date-time"},
    "string, contentEncoding base64": {"type": "string", "contentEncoding": "base64"},
    "array of integer": {"type": "array", "items": {"type": "integer"}},
    "object with properties": {"type": "object", "properties": {"x": {"type": "integer"}}},
    "object of number": {"type": "object", "additionalProperties": {"type": "number"}},
    "integer or null": {"type": ["integer", "null"]},
    "string or integer": {"type": ["string", "integer"]},
}

_CONNECT = "org.apache.kafka.connect.data"
CONNECT: dict[str, dict[str, object]] = {
    **{name: {"type": name} for name in ("int8", "int16", "int32", "int64", "float", "double")},
    **{name: {"type": name} for name in ("boolean", "string", "bytes")},
    f"{_CONNECT}.Decimal": {
        "type": "bytes",
        "name": f"{_CONNECT}.Decimal",
        "parameters": {"scale": "2"},
    },
    f"{_CONNECT}.Date": {"type": "int32", "name": f"{_CONNECT}.Date"},
    f"{_CONNECT}.Timestamp": {"type": "int64", "name": f"{_CONNECT}.Timestamp"},
    "io.debezium.time.MicroTimestamp": {
        "type": "int64",
        "name": "io.debezium.time.MicroTimestamp",
    },
    "array of int32": {"type": "array", "items": {"type": "int32"}},
    "struct": {"type": "struct", "fields": [{"field": "x", "type": "int32"}]},
}


class Sample(NamedTuple):
    """A schema with a field per type; its names, where fields cannot be called like their types.

    Attributes:
        format: the serde that reads it.
        parameter: what names the schema's file.
        text: the schema.
        types: what the table calls the fields, in order; None: as the fields are called.
        more: further parameters.
    """

    format: str
    parameter: str
    text: str
    types: list[str] | None = None
    more: dict[str, str] = {}


def samples() -> list[Sample]:
    """One schema per serde that reads a schema."""
    avro = [{"name": f"f{at}", "type": each} for at, each in enumerate(AVRO.values())]
    connect = [{"field": name, **each} for name, each in CONNECT.items()]
    debezium = {"schema": {"type": "struct", "fields": connect}, "payload": {}}
    return [
        Sample("json", "json_schema", json.dumps({"properties": JSON_SCHEMA})),
        Sample(
            "avro",
            "avro_schema",
            json.dumps({"type": "record", "name": "Types", "fields": avro}),
            list(AVRO),
        ),
        Sample("protobuf", "proto", PROTO, None, {"message": "types.Types"}),
        Sample("thrift", "thrift", THRIFT, None, {"struct": "Types"}),
        Sample("debezium", "example", json.dumps(debezium)),
    ]


def rows(sample: Sample) -> Iterator[str]:
    """The table's rows of one serde."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"schema.{sample.parameter}")
        file.write_text(sample.text, encoding="utf-8")
        parameters = {sample.parameter: str(file), **sample.more}
        schema = open_serde(Format(sample.format, parameters)).schema()
    assert schema is not None
    for name, field in zip(sample.types or schema.names, schema, strict=True):
        reason = refusal(field)
        column = f"`{sql_name(field.type)}`" if reason is None else "refused"
        yield f"| `{name.removeprefix('t_')}` | {column} |"


def section(sample: Sample) -> str:
    """What one serde takes, and its table."""
    table = ["", "| type of the message | column |", "|---|---|", *rows(sample)]
    return "\n".join([introduction(sample.format), *table])


def introduction(name: str) -> str:
    """What one serde takes, by its docstring."""
    module = import_module(f"chronon_beam.transforms.serdes.{name}")
    head, _, rest = (module.__doc__ or "").partition("\n\n")
    what = head.partition(": ")[2]
    return "\n".join([f"## `{name}`", "", what[0].upper() + what[1:], "", rest.strip()])


def page() -> str:
    """The whole page."""
    return (
        "\n\n".join(
            [HEAD.strip(), *map(section, samples()), introduction("registry"), TAIL.strip()]
        )
        + "\n"
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
