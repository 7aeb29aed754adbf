"""Two versions of an Avro schema: what is read across them, and what is refused with a reason."""

import io
import json
from typing import Any

import fastavro
import pytest
from small_registry import SmallRegistry

from chronon_beam.api.records import Messages
from chronon_beam.api.serde import Format
from chronon_beam.transforms.serdes import open_serde

P = {"type": "record", "name": "P", "fields": [{"name": "x", "type": "int"}]}
P_LATER = {
    "type": "record",
    "name": "P",
    "fields": [{"name": "x", "type": "long"}, {"name": "y", "type": "string", "default": "q"}],
}
RENAMED = {**P_LATER, "name": "Q", "aliases": ["P"]}
KIND = {"type": "enum", "name": "K", "symbols": ["A", "B", "C"]}
FEWER = {"type": "enum", "name": "K", "symbols": ["A", "B"], "default": "A"}
TENTHS = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 1}
MILLIS, MICROS = (
    {"type": "long", "logicalType": f"timestamp-{unit}"} for unit in ("millis", "micros")
)


def record(kind: Any, name: str = "f", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": [{"name": name, "type": kind, **more}]}


def array(items: Any) -> Any:
    return {"type": "array", "items": items}


def read(writer: Any, value: Any, reader: Any) -> tuple[list[Any], str | None]:
    """The column `f` of a message that was written with one schema, read with a later one."""
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(writer), value)
    with SmallRegistry() as registry:
        for schema in (writer, reader):
            registry.registered("/subjects/s/versions", {"schema": json.dumps(schema)})
        serde = open_serde(Format("avro", {"registry": registry.url, "subject": "s"}))
        decoder = serde.decoder(serde.schema())
        found = decoder.decode(Messages("s/0", [0], [b"\0\0\0\0\1" + body.getvalue()]))
        decoder.close()
    return found.batch["f"].to_pylist(), found.reasons.get(0)


@pytest.mark.parametrize(
    ("writer", "written", "reader", "expected"),
    [
        (record("int", "old"), {"old": 5}, record("int", aliases=["old"]), 5),
        (record("int"), {"f": 5}, record("long"), 5),
        (record("int"), {"f": 5}, record("double"), 5.0),
        (record("float"), {"f": 1.5}, record("double"), 1.5),
        (record("string"), {"f": "ä"}, record("bytes"), "ä".encode()),
        (record("bytes"), {"f": b"a"}, record("string"), "a"),
        (record("int"), {"f": 5}, record(["null", "long"]), 5),
        (record("int", "g"), {"g": 5}, record(["null", "string"], default=None), None),
        (record("int", "g"), {"g": 5}, record("string", default="ä"), "ä"),
        (record("int", "g"), {"g": 5}, record(P_LATER, default={"x": 1}), {"x": 1, "y": "q"}),
        (record(P), {"f": {"x": 1}}, record(P_LATER), {"x": 1, "y": "q"}),
        (record(P), {"f": {"x": 1}}, record(RENAMED), {"x": 1, "y": "q"}),
        (record(array(P)), {"f": [{"x": 1}]}, record(array(P_LATER)), [{"x": 1, "y": "q"}]),
        (record(KIND), {"f": "C"}, record(FEWER), "A"),
        ({**record("int"), "name": "Old"}, {"f": 5}, {**record("int"), "aliases": ["Old"]}, 5),
        ({**record("int"), "namespace": "a"}, {"f": 5}, {**record("int"), "namespace": "b"}, 5),
    ],
)
def test_later_version_reads_what_an_earlier_one_wrote(
    writer: Any, written: Any, reader: Any, expected: Any
):
    assert read(writer, written, reader) == ([expected], None)


@pytest.mark.parametrize(
    ("writer", "written", "reader", "said"),
    [
        (
            MILLIS,
            1000,
            MICROS,
            "field 'f' is written as timestamp-millis and read as timestamp-mic",
        ),
        (array(MILLIS), [1000], array(["null", MICROS]), "field 'f[]' is written as timestamp-mil"),
        (
            TENTHS,
            b"\x05",
            {**TENTHS, "scale": 2},
            "written as decimal, scale 1 and read as decimal, sca",
        ),
        (
            ["int", "string"],
            "x",
            ["string", "int"],
            "union of int, string and read as a union of s",
        ),
        ("string", "x", ["int", "string"], "field 'f' is written as one type and read as a union"),
        ("string", "x", "int", "not an Avro record of this schema"),
    ],
)
def test_what_would_be_read_wrong_is_refused(writer: Any, written: Any, reader: Any, said: str):
    found, reason = read(record(writer), {"f": written}, record(reader))
    assert not found
    assert said in (reason or "")
