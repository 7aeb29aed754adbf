"""The serde `protobuf`, on messages that Google's library made."""

import pickle
from pathlib import Path

import pyarrow as pa
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.api.formats.record_columns import RecursiveField
from chronon_beam.api.records import Messages
from chronon_beam.api.serde import Decoded, Format
from chronon_beam.transforms.serdes import open_serde
from chronon_beam.transforms.serdes.protobuf import ProtobufSerDe

SHOP = """
syntax = "proto3";
package shop;
import "money.proto";
enum Kind { NONE = 0; CONE = 1; }
message Sale {
  int64 id = 1;
  uint32 small = 2;
  uint64 big = 3;
  string who = 4;
  bytes raw = 5;
  Kind kind = 6;
  repeated Item items = 7;
  map<string, int32> counts = 8;
  optional double tip = 9;
  oneof pay { string card = 10; Money cash = 11; }
  Sale parent = 12;
  message Item { string flavor = 1; Kind kind = 2; }
}
"""
MONEY = 'syntax = "proto3"; package shop; message Money { fixed32 cents = 1; fixed64 of = 2; }'


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "money.proto").write_text(MONEY)
    (folder / "shop.proto").write_text(SHOP)
    return folder / "shop.proto"


@pytest.fixture(scope="module")
def serde(shop: Path) -> ProtobufSerDe:
    opened = open_serde(Format("protobuf", {"proto": str(shop), "message": "shop.Sale"}))
    return pickle.loads(pickle.dumps(opened))


def decoded(serde: ProtobufSerDe, *payloads: bytes, columns: pa.Schema | None = None) -> Decoded:
    readable = pa.schema([field for field in serde.schema() if field.name != "parent"])
    decoder = serde.decoder(columns or readable)
    return decoder.decode(Messages("sales/0", list(range(len(payloads))), list(payloads)))


def test_types_are_chronons(serde: ProtobufSerDe):
    assert serde.schema() == pa.schema(
        [
            ("id", pa.int64()),
            ("small", pa.int64()),
            ("big", pa.int64()),
            ("who", pa.string()),
            ("raw", pa.binary()),
            ("kind", pa.string()),
            ("items", pa.list_(pa.struct([("flavor", pa.string()), ("kind", pa.string())]))),
            ("counts", pa.map_(pa.string(), pa.int32())),
            ("tip", pa.float64()),
            ("card", pa.string()),
            ("cash", pa.struct([("cents", pa.int64()), ("of", pa.int64())])),
            ("parent", pa.null()),
        ]
    )


def test_values_of_every_kind_are_read(serde: ProtobufSerDe):
    sale = GetMessageClass(serde.descriptor())(
        id=-7, small=2**32 - 1, big=2**64 - 1, who="Änne", raw=b"\xff", kind=1, counts={"a": 1}
    )
    sale.items.add(flavor="mint", kind=9)
    sale.cash.cents = 2**32 - 1
    (row,) = decoded(serde, sale.SerializeToString()).batch.to_pylist()
    assert row == {
        "id": -7,
        "small": 2**32 - 1,
        "big": -1,
        "who": "Änne",
        "raw": b"\xff",
        "kind": "CONE",
        "items": [{"flavor": "mint", "kind": "9"}],
        "counts": [("a", 1)],
        "tip": None,
        "card": None,
        "cash": {"cents": 2**32 - 1, "of": 0},
    }


def test_fields_without_presence_are_defaults_or_null(shop: Path):
    parameters = {"proto": str(shop), "message": "shop.Sale"}
    kept = decoded(open_serde(Format("protobuf", parameters)), b"").batch.to_pylist()
    assert (kept[0]["id"], kept[0]["who"], kept[0]["tip"]) == (0, "", None)
    null = open_serde(Format("protobuf", {**parameters, "defaults": "null"}))
    (row,) = decoded(null, b"").batch.to_pylist()
    assert (row["id"], row["who"], row["kind"], row["items"]) == (None, None, None, [])


def test_damaged_message_has_a_reason_and_stops_no_other(serde: ProtobufSerDe):
    sale = GetMessageClass(serde.descriptor())(id=1, who="Ann").SerializeToString()
    found = decoded(serde, sale, b"\xff\xff", sale)
    assert found.batch.column("id").to_pylist() == [1, 1]
    assert list(found.reasons) == [1]
    assert "not a Protobuf message of this schema" in found.reasons[1]


def test_columns_are_found_in_another_case_and_cast_or_refused_by_row(serde: ProtobufSerDe):
    make = GetMessageClass(serde.descriptor())
    columns = pa.schema([("ID", pa.int8()), ("missing", pa.string())])
    payloads = [make(id=1).SerializeToString(), make(id=300).SerializeToString()]
    found = decoded(serde, *payloads, columns=columns)
    assert found.batch.to_pydict() == {"ID": [1], "missing": [None]}
    assert "300" in found.reasons[1]


def test_message_that_holds_itself_is_refused_only_if_it_is_asked_for(serde: ProtobufSerDe):
    with pytest.raises(RecursiveField, match=r"parent.*holds message shop\.Sale within itself"):
        serde.decoder(pa.schema([("parent", pa.string())]))


def test_descriptor_set_gives_the_same_schema(serde: ProtobufSerDe, tmp_path: Path):
    path = tmp_path / "shop.descriptors"
    path.write_bytes(serde.descriptors)
    parameters = {"descriptor": str(path), "message": "shop.Sale"}
    assert open_serde(Format("protobuf", parameters)).schema() == serde.schema()
    files = FileDescriptorSet.FromString(serde.descriptors)
    path.write_bytes(FileDescriptorSet(file=files.file[-1:]).SerializeToString())
    with pytest.raises(ValueError, match=r"imports money\.proto.*--include_imports"):
        open_serde(Format("protobuf", parameters))


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, r"one of proto=, descriptor=, registry= is expected, found none"),
        ({"proto": "{shop}"}, r"Give message=, one of shop\.Sale, shop\.Sale\.Item, shop\.Other"),
        ({"proto": "{shop}", "message": "shop.Sold"}, r"no such message, it has shop\.Sale"),
        ({"proto": "{shop}", "massage": "shop.Sale"}, r"did you mean 'message'"),
        ({"proto": "{shop}", "message": "shop.Sale", "framing": "x"}, r"one of confluent, none"),
        ({"proto": "{shop}", "descriptor": "x"}, r"found proto= and descriptor="),
        ({"registry": "http://a:b@host"}, r"a password in a URL is printed and stored"),
        ({"registry": "http://host"}, r"name the subject"),
    ],
)
def test_wrong_parameters_are_refused_with_a_remedy(parameters: dict, said: str, shop: Path):
    (shop.parent / "two.proto").write_text(SHOP + "message Other {}")
    two = shop.parent / "two.proto"
    given = {name: value.format(shop=two) for name, value in parameters.items()}
    with pytest.raises(ValueError, match=said):
        open_serde(Format("protobuf", given))


def test_schema_that_protoc_refuses_is_told_in_its_words(tmp_path: Path):
    (tmp_path / "bad.proto").write_text('syntax = "proto3"; message A { Missing x = 1; }')
    with pytest.raises(ValueError, match='"Missing" is not defined'):
        open_serde(Format("protobuf", {"proto": str(tmp_path / "bad.proto")}))
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        open_serde(Format("protobuf", {"proto": str(tmp_path / "none.proto")}))


@given(st.data())
def test_any_damage_gives_a_row_or_a_reason(serde: ProtobufSerDe, data: st.DataObject):
    sale = GetMessageClass(serde.descriptor())(id=1, who="Ann", counts={"a": 1})
    sale.items.add(flavor="mint")
    whole = sale.SerializeToString()
    at = data.draw(st.integers(0, len(whole)))
    damage = data.draw(st.binary(max_size=12))
    skipped = data.draw(st.integers(0, 12))
    found = decoded(serde, whole, whole[:at] + damage + whole[at + skipped :], whole)
    assert found.batch.num_rows + len(found.reasons) == 3
    assert not {0, 2} & set(found.reasons)


def test_message_without_a_required_field_is_damaged(tmp_path: Path):
    (tmp_path / "old.proto").write_text(
        'syntax = "proto2"; package old; message Inner { required int32 x = 1; } '
        "message Outer { optional Inner inner = 1; optional Outer outer = 2; "
        "optional int32 y = 3; }"
    )
    serde = open_serde(
        Format("protobuf", {"proto": str(tmp_path / "old.proto"), "message": "old.Outer"})
    )
    columns = pa.schema([("y", pa.int32())])
    found = decoded(serde, b"\x18\x07", b"\x18\x07\x0a\x00", b"\x0a\x02\x08\x01", columns=columns)
    assert found.batch.to_pylist() == [{"y": 7}, {"y": None}]
    assert "a required field is missing" in found.reasons[1]
