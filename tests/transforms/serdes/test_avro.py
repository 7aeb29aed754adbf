"""The serde `avro`, on records that fastavro and Java's Avro wrote."""

import io
import json
import pickle
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import fastavro
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.api.records import Messages
from chronon_beam.api.serde import Decoded, Format
from chronon_beam.transforms.serdes import open_serde
from chronon_beam.transforms.serdes.avro import AvroSerDe
from chronon_beam.transforms.spark.session import local_spark

SALE = {
    "type": "record",
    "name": "shop.Sale",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "who", "type": ["null", "string"], "default": None},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {
            "name": "price",
            "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
        },
        {"name": "tags", "type": {"type": "map", "values": "int"}},
        {"name": "odd", "type": ["string", "long"]},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["CONE", "CUP"]}},
        {"name": "parent", "type": ["null", "shop.Sale"]},
    ],
}
VALUE = {
    "id": 7,
    "who": "Änne",
    "at": datetime(2026, 5, 1, tzinfo=UTC),
    "price": Decimal("2.50"),
    "tags": {"a": 1},
    "odd": 5,
    "kind": "CUP",
    "parent": None,
}
READABLE = ("id", "who", "at", "price", "tags", "odd", "kind")


def written(schema: dict, value: dict) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), value)
    return stream.getvalue()


@pytest.fixture(scope="module")
def serde(tmp_path_factory: pytest.TempPathFactory) -> AvroSerDe:
    return opened(tmp_path_factory.mktemp("shop") / "sale.avsc")


def opened(path: Path, **parameters: str) -> AvroSerDe:
    path.write_text(json.dumps(SALE))
    serde = open_serde(Format("avro", {"avro_schema": str(path), **parameters}))
    return pickle.loads(pickle.dumps(serde))


def decoded(serde: AvroSerDe, *payloads: bytes, columns: pa.Schema | None = None) -> Decoded:
    if columns is None:
        columns = pa.schema([serde.schema().field(name) for name in READABLE])
    messages = Messages("sales/0", list(range(len(payloads))), list(payloads))
    return serde.decoder(columns).decode(messages)


def test_values_of_every_kind_are_read(serde: AvroSerDe):
    found = decoded(serde, written(SALE, VALUE))
    assert found.reasons == {}
    assert found.batch.to_pylist() == [
        {
            "id": 7,
            "who": "Änne",
            "at": datetime(2026, 5, 1, tzinfo=UTC),
            "price": Decimal("2.50"),
            "tags": [("a", 1)],
            "odd": {"member0": None, "member1": 5},
            "kind": "CUP",
        }
    ]


def test_record_that_holds_itself_is_refused_only_if_it_is_read(serde: AvroSerDe):
    (reason,) = (serde.schema().field("parent").metadata or {}).values()
    assert b"holds itself" in reason


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda whole: whole[:-3], "not an Avro record of this schema"),
        (lambda whole: whole + b"xy", "2 bytes are left after it"),
        (lambda whole: b"", "not an Avro record of this schema"),
    ],
    ids=["cut", "longer", "empty"],
)
def test_damaged_record_has_a_reason_and_stops_no_other(serde: AvroSerDe, damage, said: str):
    whole = written(SALE, VALUE)
    found = decoded(serde, whole, damage(whole), whole)
    assert found.batch.column("id").to_pylist() == [7, 7]
    assert list(found.reasons) == [1]
    assert said in found.reasons[1]


def test_columns_are_cast_or_refused_by_row(serde: AvroSerDe):
    columns = pa.schema([("ID", pa.int8()), ("missing", pa.string())])
    payloads = [written(SALE, VALUE), written(SALE, {**VALUE, "id": 300})]
    found = decoded(serde, *payloads, columns=columns)
    assert found.batch.to_pydict() == {"ID": [7], "missing": [None]}
    assert "300" in found.reasons[1]


def test_single_objects_of_java_are_read(tmp_path: Path):
    serde = opened(tmp_path / "sale.avsc", framing="single_object")
    jvm = local_spark().gateway.jvm
    parser = jvm.org.apache.avro.Schema.Parser()
    schema = parser.parse('{"type":"record","name":"A","fields":[{"name":"id","type":"long"}]}')
    record = jvm.org.apache.avro.generic.GenericData.Record(schema)
    record.put("id", 7)
    data = jvm.org.apache.avro.generic.GenericData.get()
    encoder = jvm.org.apache.avro.message.BinaryMessageEncoder(data, schema)
    payload = bytes(encoder.encode(record).array())
    other = decoded(serde, payload, b"\x00" * 20)
    assert "written with another schema, of fingerprint" in other.reasons[0]
    assert "does not begin with C3 01" in other.reasons[1]
    (tmp_path / "a.avsc").write_text(schema.toString())
    parameters = {"avro_schema": str(tmp_path / "a.avsc"), "framing": "single_object"}
    same = open_serde(Format("avro", parameters))
    columns = same.schema()
    assert columns is not None
    found = same.decoder(columns).decode(Messages("sales/0", [0], [payload]))
    assert found.batch.to_pylist() == [{"id": 7}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not an Avro schema"),
        ('"string"', "records are expected"),
        ('{"type": "record", "name": "A", "fields": [{"name": "x", "type": "Gone"}]}', "Gone"),
    ],
)
def test_wrong_schemas_are_refused(tmp_path: Path, text: str, said: str):
    path = tmp_path / "a.avsc"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        open_serde(Format("avro", {"avro_schema": str(path)}))


@given(st.data())
def test_any_damage_gives_a_row_or_a_reason(serde: AvroSerDe, data: st.DataObject):
    whole = written(SALE, VALUE)
    at = data.draw(st.integers(0, len(whole)))
    damage = data.draw(st.binary(max_size=12))
    skipped = data.draw(st.integers(0, 12))
    found = decoded(serde, whole, whole[:at] + damage + whole[at + skipped :], whole)
    assert found.batch.num_rows + len(found.reasons) == 3
    assert not {0, 2} & set(found.reasons)


@given(st.data())
def test_records_read_at_once_are_those_read_alone(serde: AvroSerDe, data: st.DataObject):
    whole = written(SALE, VALUE)
    damaged = st.builds(
        lambda at, damage, skipped: whole[:at] + damage + whole[at + skipped :],
        st.integers(0, len(whole)),
        st.binary(max_size=12),
        st.integers(0, 12),
    )
    payloads = data.draw(st.lists(st.just(whole) | damaged, max_size=6))
    together = decoded(serde, *payloads)
    alone = [decoded(serde, each) for each in payloads]
    rows = pa.Table.from_batches([each.batch for each in alone], together.batch.schema)
    assert pa.Table.from_batches([together.batch]).equals(rows)
    assert together.reasons == {
        at: each.reasons[0] for at, each in enumerate(alone) if each.reasons
    }
