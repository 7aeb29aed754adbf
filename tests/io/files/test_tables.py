import io
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chronon_beam.io.files.avro_types import arrow_schema
from chronon_beam.io.files.parts import Part, parquet_parts
from chronon_beam.io.files.tables import avro_schema, parquet_schema, read_avro, read_parquet

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


def parquet(table: pa.Table, **kwargs: object) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **kwargs)
    return file.getvalue()


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
    ("branches", "expected"),
    [
        (["int", "float"], pa.float64()),
        (["float", "null"], pa.float32()),
        (["null"], pa.null()),
    ],
)
def test_union_of_numbers_is_the_widest(branches, expected):
    schema = {"type": "record", "name": "E", "fields": [{"name": "x", "type": branches}]}
    assert arrow_schema(schema).field("x").type == expected


def test_union_of_other_types_is_refused_with_its_field():
    inner = {"type": "record", "name": "I", "fields": [{"name": "y", "type": ["int", "string"]}]}
    schema = {"type": "record", "name": "E", "fields": [{"name": "x", "type": inner}]}
    with pytest.raises(ValueError, match=r"'x\.y' is a union of several types"):
        arrow_schema(schema)


def test_record_within_itself_is_refused():
    schema = {"type": "record", "name": "E", "fields": [{"name": "next", "type": ["null", "E"]}]}
    with pytest.raises(ValueError, match="E holds itself"):
        avro_schema(io.BytesIO(avro(schema, [])))


def test_avro_batches_cross_blocks_and_count_records():
    data = avro(SMALL, [{"i": i} for i in range(25)], sync_interval=20, codec="deflate")
    batches = list(read_avro(io.BytesIO(data), Part("a.avro"), 10))
    assert [len(batch.positions) for batch in batches] == [10, 10, 5]
    assert batches[2].positions[0] == 21
    assert [i for batch in batches for i in table_of(batch)["i"].to_pylist()] == list(range(25))


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2"])
@pytest.mark.parametrize("how", ["cut", "flipped"])
def test_damaged_avro_keeps_what_was_read_and_ends_with_an_error(codec, how):
    data = avro(SMALL, [{"i": i} for i in range(1000)], sync_interval=100, codec=codec)
    middle = len(data) // 2
    broken = data[:middle] if how == "cut" else data[:middle] + b"\xff" * 40 + data[middle + 40 :]
    *good, last = read_avro(io.BytesIO(broken), Part("a.avro"), 10)
    numbers = [i for batch in good for i in table_of(batch)["i"].to_pylist()]
    assert len(numbers) > 200
    assert numbers[:200] == list(range(200))
    assert last.error
    assert last.positions == [len(numbers) + 1]


def test_no_avro_at_all_is_an_error():
    (only,) = read_avro(io.BytesIO(b"{}\n"), Part("a.avro"), 10)
    assert "after record 0" in (only.error or "")
    with pytest.raises(ValueError, match="header"):
        avro_schema(io.BytesIO(b"{}\n"))


def test_parquet_columns_and_rows():
    table = pa.table({"i": list(range(25)), "s": pa.array(["a"] * 25).dictionary_encode()})
    data = parquet(table, row_group_size=7)
    assert parquet_schema(io.BytesIO(data)) == pa.schema([("i", pa.int64()), ("s", pa.string())])
    batches = list(read_parquet(io.BytesIO(data), Part("a.parquet"), 10))
    assert [i for batch in batches for i in table_of(batch)["i"].to_pylist()] == list(range(25))
    assert [p for batch in batches for p in batch.positions] == list(range(1, 26))
    assert max(len(batch.positions) for batch in batches) <= 10


def test_damaged_parquet_keeps_what_was_read_and_ends_with_an_error():
    table = pa.table({"i": list(range(3000))})
    data = bytearray(parquet(table, row_group_size=1000, compression="gzip", use_dictionary=False))
    middle = len(data) // 2
    data[middle - 200 : middle + 200] = b"\xff" * 400
    *good, last = read_parquet(io.BytesIO(bytes(data)), Part("a.parquet"), 1000)
    assert [i for batch in good for i in table_of(batch)["i"].to_pylist()] == list(range(1000))
    assert last.error
    assert last.positions == [1001]


def test_no_parquet_at_all_is_an_error():
    (only,) = read_parquet(io.BytesIO(b"{}\n"), Part("a.parquet"), 10)
    assert only.error


def test_parquet_parts_are_row_groups_with_the_records_before_them():
    data = parquet(pa.table({"i": list(range(25))}), row_group_size=7)
    parts = list(parquet_parts(io.BytesIO(data), Part("a.parquet"), size=1))
    assert [(part.start, part.stop, part.before) for part in parts] == [
        (0, 1, 0),
        (1, 2, 7),
        (2, 3, 14),
        (3, 4, 21),
    ]
    batches = [each for part in parts for each in read_parquet(io.BytesIO(data), part, 5)]
    assert [i for batch in batches for i in table_of(batch)["i"].to_pylist()] == list(range(25))
    assert [p for batch in batches for p in batch.positions] == list(range(1, 26))
    assert list(parquet_parts(io.BytesIO(data), Part("a.parquet"))) == [Part("a.parquet", 0, 4, 0)]
    assert list(parquet_parts(io.BytesIO(b"none"), Part("a.parquet"))) == [Part("a.parquet")]
