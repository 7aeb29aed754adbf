"""Avro files: types of columns, values, and damage."""

import io
import itertools
import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import fastavro
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.api.formats.avro_columns import AvroColumns, parsed_schema
from chronon_beam.api.formats.refused import refusal
from chronon_beam.io.files.avro import _HEADER, avro_schema, read_avro
from chronon_beam.io.files.parts import Part
from chronon_beam.transforms.serdes.arrow import ArrowSerDe

RECORD = {
    "type": "record",
    "name": "shop.Event",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "n", "type": ["null", "int"], "default": None},
        {"name": "both", "type": ["null", "int", "long"]},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {
            "name": "price",
            "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
        },
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
        {"name": "raw", "type": {"type": "fixed", "name": "Raw", "size": 2}},
        {"name": "tags", "type": {"type": "array", "items": ["null", "string"]}},
        {"name": "counts", "type": {"type": "map", "values": "long"}},
        {
            "name": "where",
            "type": {
                "type": "record",
                "name": "Where",
                "fields": [{"name": "kind", "type": "Kind"}, {"name": "x", "type": "double"}],
            },
        },
        {"name": "uuid", "type": {"type": "string", "logicalType": "uuid"}},
    ],
}
EVENT = {
    "id": "a",
    "n": None,
    "both": 2**40,
    "at": datetime(2024, 5, 1, 12, tzinfo=UTC),
    "day": date(2024, 5, 1),
    "price": Decimal("1.25"),
    "kind": "B",
    "raw": b"\0\1",
    "tags": ["x", None],
    "counts": {"k": 1},
    "where": {"kind": "A", "x": 0.5},
    "uuid": UUID(int=5),
}
SMALL = {"type": "record", "name": "E", "fields": [{"name": "i", "type": "long"}]}


def avro(schema: dict, records: list, **kwargs: object) -> bytes:
    file = io.BytesIO()
    fastavro.writer(file, schema, records, **kwargs)
    return file.getvalue()


def table_of(messages) -> pa.Table:
    with pa.ipc.open_stream(messages.table) as stream:
        return stream.read_all()


def test_avro_types_have_their_columns():
    assert avro_schema(io.BytesIO(avro(RECORD, [EVENT]))) == pa.schema(
        [
            ("id", pa.string()),
            ("n", pa.int32()),
            ("both", pa.int64()),
            ("at", pa.timestamp("ms", tz="UTC")),
            ("day", pa.date32()),
            ("price", pa.decimal128(9, 2)),
            ("kind", pa.string()),
            ("raw", pa.binary()),
            ("tags", pa.list_(pa.string())),
            ("counts", pa.map_(pa.string(), pa.int64())),
            ("where", pa.struct([("kind", pa.string()), ("x", pa.float64())])),
            ("uuid", pa.string()),
        ]
    )


def test_avro_records_are_read_as_they_were_written():
    (messages,) = read_avro(io.BytesIO(avro(RECORD, [EVENT, EVENT])), Part("a.avro"), 1000)
    expected = EVENT | {"counts": [("k", 1)], "uuid": str(UUID(int=5))}
    assert table_of(messages).to_pylist() == [expected, expected]
    assert (messages.positions, messages.source) == ([1, 2], "a.avro")


@pytest.mark.parametrize(
    ("avro_type", "expected"),
    [
        (["int", "long"], pa.int64()),
        (["double", "null", "float"], pa.float64()),
        (["float", "null"], pa.float32()),
        (["null"], pa.null()),
        (["long", "double"], pa.struct([("member0", pa.int64()), ("member1", pa.float64())])),
        (
            ["null", "int", {"type": "array", "items": ["null", "string"]}],
            pa.struct([("member0", pa.int32()), ("member1", pa.list_(pa.string()))]),
        ),
        ({"type": "long", "logicalType": "time-micros"}, pa.int64()),
        ({"type": "int", "logicalType": "time-millis"}, pa.int32()),
        ({"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}, pa.binary()),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 3},
            pa.binary(),
        ),
        ({"type": "string", "logicalType": "decimal", "precision": 4}, pa.string()),
    ],
)
def test_types_are_those_of_spark(avro_type, expected):
    assert columns_of(avro_type).schema.field("x").type == expected


@pytest.mark.parametrize(
    ("avro_type", "why"),
    [
        (["null", "E"], "field 'x': record E holds itself"),
        ({"type": "map", "values": {"type": "array", "items": "E"}}, "field 'x[][]': record E"),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 39},
            "field 'x' is a decimal of 39 digits",
        ),
    ],
)
def test_a_column_without_a_type_is_refused_and_the_others_are_read(avro_type, why):
    columns = columns_of(avro_type)
    assert why in (refusal(columns.schema.field("x")) or "")
    assert refusal(columns.schema.field("i")) is None


def columns_of(avro_type: object) -> AvroColumns:
    fields = [{"name": "x", "type": avro_type}, {"name": "i", "type": "long"}]
    return AvroColumns(parsed_schema(json.dumps({"type": "record", "name": "E", "fields": fields})))


@pytest.mark.parametrize("schema", ["string", ["string", SMALL]])
def test_schema_that_is_not_a_record_is_refused_by_its_type(schema):
    value = "a" if schema == "string" else ("E", {"i": 1})
    with pytest.raises(ValueError, match=r"records are expected, the schema is"):
        avro_schema(io.BytesIO(avro(schema, [value])))


names = st.integers(0, 10**6).map("n{}".format)
logical = {
    "date": st.integers(-(2**31), 2**31 - 1),
    "timestamp-millis": st.integers(-(2**63), 2**63 - 1),
    "timestamp-micros": st.integers(-(2**63), 2**63 - 1),
}
plain = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False),
    "bytes": st.binary(max_size=4),
    "string": st.text(max_size=4),
}
counter = itertools.count()


def typed(kind: str) -> tuple[object, st.SearchStrategy]:
    return kind, plain[kind]


def record(fields: list) -> tuple[object, st.SearchStrategy]:
    avro_fields = [{"name": f"f{at}", "type": each} for at, (each, _) in enumerate(fields)]
    values = st.fixed_dictionaries({f"f{at}": each for at, (_, each) in enumerate(fields)})
    return {"type": "record", "name": f"R{next(counter)}", "fields": avro_fields}, values


# A drawn Avro type, and the values of the column that it has.
types = st.recursive(
    st.sampled_from(sorted(plain)).map(typed),
    lambda inner: st.one_of(
        inner.map(lambda t: ({"type": "array", "items": t[0]}, st.lists(t[1], max_size=3))),
        inner.map(
            lambda t: (
                {"type": "map", "values": t[0]},
                st.dictionaries(st.text(max_size=2), t[1], max_size=2),
            )
        ),
        st.lists(inner, min_size=1, max_size=3).map(record),
        st.sampled_from(["int", "string", "double"]).map(
            lambda kind: (["null", kind], st.none() | plain[kind])
        ),
    ),
    max_leaves=6,
)


@given(st.lists(types, min_size=1, max_size=4), st.data())
def test_columns_are_the_values_that_were_written_whichever_are_used(fields, data):
    """Read with any of the columns, in batches of any length."""
    schema, values = record(fields)
    rows = data.draw(st.lists(values, max_size=5))
    used = data.draw(st.sets(st.sampled_from([f"f{at}" for at in range(len(fields))])))
    data_of = avro(schema, rows, codec=data.draw(st.sampled_from(["null", "snappy", "zstandard"])))
    batches = list(read_avro(io.BytesIO(data_of), Part("a.avro"), 2, sorted(used)))
    assert [position for each in batches for position in each.positions] == [
        at + 1 for at in range(len(rows))
    ]
    found = [row for each in batches for row in table_of(each).to_pylist()]
    assert [list(row) for row in found] == [sorted(used)] * (len(rows) if used else 0) or not used
    for row, written in zip(found, rows, strict=False):
        assert row == {name: seen(written[name]) for name in used}


def seen(value: object) -> object:
    """As Arrow gives it to Python: maps as pairs."""
    if isinstance(value, dict):
        entries = {key: seen(each) for key, each in value.items()}
        is_record = all(re.fullmatch(r"f\d", key) for key in entries) and entries
        return entries if is_record else list(entries.items())
    return [seen(each) for each in value] if isinstance(value, list) else value


def written_as(plain_type: object, declared: object, values: list, **kwargs: object) -> bytes:
    """A file whose header declares another type of the same bytes: what Java may write."""
    fields = [{"name": "i", "type": "long"}]
    schemas = [
        {"type": "record", "name": "E", "fields": [*fields, {"name": "x", "type": each}]}
        for each in (plain_type, declared)
    ]
    records = [{"i": at, "x": value} for at, value in enumerate(values)]
    data = avro(schemas[0], records, **kwargs)
    reader = fastavro.reader(io.BytesIO(data))
    old, new = (json.dumps(each).encode() for each in (reader.writer_schema, schemas[1]))
    header = io.BytesIO(data)
    fields_of = fastavro.schemaless_reader(header, _HEADER, None)
    assert json.loads(fields_of["meta"]["avro.schema"]) == json.loads(old)
    fields_of["meta"]["avro.schema"] = new
    out = io.BytesIO()
    fastavro.schemaless_writer(out, _HEADER, fields_of)
    return out.getvalue() + header.read()


MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
CENTS = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}
ODD_VALUES = [
    ("long", MILLIS, 1_700_000_000_000, 2**62),
    ("long", MILLIS, 1_700_000_000_000, 1_700_000_000_000_000),
    ("bytes", "string", b"ok", b"\xff"),
    ("bytes", CENTS, b"\x01", (10**9).to_bytes(8, "big")),
    ("bytes", CENTS, b"\x01", b"\x7f" * 60),
]


@pytest.mark.parametrize(("plain_type", "declared", "good", "odd"), ODD_VALUES)
def test_one_odd_value_among_ten_thousand_loses_no_other_record(plain_type, declared, good, odd):
    values = [good] * 10_000
    values[100] = odd
    data = written_as(plain_type, declared, values)
    unused = list(read_avro(io.BytesIO(data), Part("a.avro"), 1000, ["i"]))
    assert [each.error for each in unused] == [None] * 10
    assert sum(len(each.positions) for each in unused) == 10_000
    schema = avro_schema(io.BytesIO(data))
    decoder = ArrowSerDe().decoder(schema)
    dead, numbers = [], []
    for messages in read_avro(io.BytesIO(data), Part("a.avro"), 1000):
        decoded = decoder.decode(messages)
        numbers += decoded.batch.column("i").to_pylist()
        dead += [(messages.positions[at], reason) for at, reason in decoded.reasons.items()]
    if declared == CENTS:
        ((position, reason),) = dead
        assert (position, numbers) == (101, [*range(100), *range(101, 10_000)])
        assert "column 'x': expected DECIMAL(4, 2), found Decimal(" in reason
    else:  # what follows says what is wrong with it
        assert (dead, numbers) == ([], list(range(10_000)))


def test_a_damaged_block_loses_its_own_records_only():
    """There is no branch 3 in the second block, which is one record long."""
    data = written_as("long", ["null", "string"], [0, 3, 0, 0], sync_interval=1)
    first, lost, rest = read_avro(io.BytesIO(data), Part("a.avro"), 10)
    assert (first.positions, rest.positions) == ([1], [3, 4])
    assert table_of(rest)["i"].to_pylist() == [2, 3]
    assert lost.positions == [2]
    assert lost.error.startswith("a.avro is damaged after record 1: ")
    assert lost.error.endswith("; the next 1 were not read")


def test_avro_batches_cross_blocks_and_count_records():
    data = avro(SMALL, [{"i": i} for i in range(25)], sync_interval=20, codec="deflate")
    batches = list(read_avro(io.BytesIO(data), Part("a.avro"), 10))
    assert [len(batch.positions) for batch in batches] == [10, 10, 5]
    assert batches[2].positions[0] == 21
    assert [i for batch in batches for i in table_of(batch)["i"].to_pylist()] == list(range(25))


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "snappy", "zstandard", "lz4"])
@pytest.mark.parametrize("how", ["cut", "flipped"])
def test_damaged_avro_keeps_what_was_read_and_says_what_was_not(codec, how):
    data = avro(SMALL, [{"i": i} for i in range(1000)], sync_interval=100, codec=codec)
    middle = len(data) // 2
    broken = data[:middle] if how == "cut" else data[:middle] + b"\xff" * 40 + data[middle + 40 :]
    messages = list(read_avro(io.BytesIO(broken), Part("a.avro"), 10))
    good = list(itertools.takewhile(lambda each: not each.error, messages))
    numbers = [i for batch in good for i in table_of(batch)["i"].to_pylist()]
    assert len(numbers) > 200
    assert numbers[:200] == list(range(200))
    assert messages[len(good)].positions == [len(numbers) + 1]
    assert "damaged after record" in messages[len(good)].error


def test_file_that_is_not_avro_is_an_error():
    (only,) = read_avro(io.BytesIO(b"{}\n"), Part("a.avro"), 10)
    assert "after record 0" in (only.error or "")
    with pytest.raises(ValueError, match="header"):
        avro_schema(io.BytesIO(b"{}\n"))
