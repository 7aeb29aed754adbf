"""The serde `thrift`, on messages that thriftpy2 made."""

import pickle
import re
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pytest
import thriftpy2
from hypothesis import given
from hypothesis import strategies as st
from thriftpy2.protocol import TCompactProtocolFactory, TCyBinaryProtocolFactory
from thriftpy2.utils import serialize

from chronon_beam.api.formats.record_columns import RecursiveField
from chronon_beam.api.records import Messages
from chronon_beam.api.serde import Decoded, Format
from chronon_beam.transforms.serdes import open_serde
from chronon_beam.transforms.serdes.thrift import ThriftSerDe

PROTOCOLS = {"binary": TCyBinaryProtocolFactory(), "compact": TCompactProtocolFactory()}
MONEY = "union Pay { 1: string card, 2: i64 cash }"
SHOP = """
include "money.thrift"
typedef i64 Id
enum Kind { CONE = 1, CUP = 2 }
struct Item { 1: string flavor, 2: optional double price }
struct Sale {
  1: Id id
  2: optional string who = "nobody"
  3: binary raw
  4: Kind kind
  5: list<Item> items
  6: map<i32, string> names
  7: set<Item> sold
  8: i8 tiny
  9: i16 small
  10: bool paid
  11: money.Pay pay
  12: list<list<i32>> deep
  13: optional Sale parent
}
"""


LIME = {"flavor": "lime", "price": None}
VALUES = {
    "id": -7,
    "who": "nobody",
    "raw": b"\xff",
    "kind": "CUP",
    "items": [{"flavor": "mint", "price": 2.5}],
    "names": [(1, "ä")],
    "sold": [LIME, LIME],
    "tiny": -1,
    "small": 300,
    "paid": True,
    "pay": {"card": None, "cash": 3},
    "deep": [[1], []],
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "money.thrift").write_text(MONEY)
    (folder / "shop.thrift").write_text(SHOP)
    return folder / "shop.thrift"


@pytest.fixture(scope="module")
def shop(path: Path) -> ModuleType:
    return thriftpy2.load(str(path), module_name="shop_thrift")


def opened(path: Path, **parameters: str) -> ThriftSerDe:
    format_ = Format("thrift", {"thrift": str(path), "struct": "Sale", **parameters})
    return pickle.loads(pickle.dumps(open_serde(format_)))


def decoded(serde: ThriftSerDe, *payloads: bytes, columns: pa.Schema | None = None) -> Decoded:
    readable = pa.schema([field for field in serde.schema() if field.name != "parent"])
    decoder = serde.decoder(columns or readable)
    return decoder.decode(Messages("sales/0", list(range(len(payloads))), list(payloads)))


def test_types_are_sparks(path: Path):
    item = pa.struct([("flavor", pa.string()), ("price", pa.float64())])
    assert opened(path).schema() == pa.schema(
        [
            ("id", pa.int64()),
            ("who", pa.string()),
            ("raw", pa.binary()),
            ("kind", pa.string()),
            ("items", pa.list_(item)),
            ("names", pa.map_(pa.int32(), pa.string())),
            ("sold", pa.list_(item)),
            ("tiny", pa.int8()),
            ("small", pa.int16()),
            ("paid", pa.bool_()),
            ("pay", pa.struct([("card", pa.string()), ("cash", pa.int64())])),
            ("deep", pa.list_(pa.list_(pa.int32()))),
            ("parent", pa.null()),
        ]
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_values_of_every_kind_are_read(path: Path, shop: ModuleType, protocol: str):
    sale = shop.Sale(
        id=-7,
        raw=b"\xff",
        kind=2,
        items=[shop.Item("mint", 2.5)],
        names={1: "ä"},
        sold=[shop.Item("lime"), shop.Item("lime")],
        tiny=-1,
        small=300,
        paid=True,
        pay=shop.money.Pay(cash=3),
        deep=[[1], []],
        parent=shop.Sale(id=1),
    )
    payload = serialize(sale, PROTOCOLS[protocol])
    (row,) = decoded(opened(path, protocol=protocol), payload).batch.to_pylist()
    assert row == VALUES


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_fields_that_are_not_set_are_null_or_their_default(
    path: Path, shop: ModuleType, protocol: str
):
    payload = serialize(shop.Sale(who=None), PROTOCOLS[protocol])
    (row,) = decoded(opened(path, protocol=protocol), payload).batch.to_pylist()
    assert row.pop("who") == "nobody"
    assert set(row.values()) == {None}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda whole: whole[:-4], "cut short"),
        (lambda whole: b"", "cut short"),
        (lambda whole: whole + b"xy", "2 bytes are left"),
        (lambda _: b"\x0b\x00\x02\x7f\xff\xff\xff", "not a Thrift struct"),
        (lambda _: b"\x0f\x00\x63\x00\x7f\xff\xff\xff", "not a Thrift struct"),
        (lambda _: b"\x0c\x00\x63" * 100_000, "not a Thrift struct"),
        (lambda _: b"\x0b\x00\x02\x00\x00\x00\x02\xff\xfe\x00", "column 'who'.*utf-8"),
    ],
    ids=["cut", "empty", "longer", "long_text", "long_list", "deep", "not_utf8"],
)
def test_damaged_message_has_a_reason_and_stops_no_other(
    path: Path, shop: ModuleType, damage: object, said: str
):
    whole = serialize(shop.Sale(id=1, tiny=3), PROTOCOLS["binary"])
    found = decoded(opened(path), whole, damage(whole), whole)
    assert found.batch.column("id").to_pylist() == [1, 1]
    assert list(found.reasons) == [1]
    assert re.search(said, found.reasons[1])


def test_struct_that_holds_itself_is_refused_only_if_it_is_asked_for(path: Path):
    with pytest.raises(RecursiveField, match="'parent' holds struct Sale within itself"):
        opened(path).decoder(pa.schema([("parent", pa.string())]))


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"struct": "Sold"}, "struct=Sold: .*has no such struct, it has Item, Sale"),
        ({"protocol": "json"}, "one of binary, compact"),
        ({"strict": "1"}, "has no parameter 'strict'.*did you mean 'struct'"),
    ],
)
def test_wrong_parameters_are_refused_with_a_remedy(path: Path, parameters: dict, said: str):
    with pytest.raises(ValueError, match=said):
        opened(path, **parameters)


def test_missing_files_and_wrong_schemas_are_told(path: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="which struct is read.*Item, Sale"):
        open_serde(Format("thrift", {"thrift": str(path)}))
    (tmp_path / "a.thrift").write_text('include "gone.thrift"\nstruct A { 1: i32 x }')
    with pytest.raises(FileNotFoundError, match=r"include 'gone\.thrift': there is no such file"):
        opened(tmp_path / "a.thrift")
    (tmp_path / "b.thrift").write_text("struct A { 1: i32 }")
    with pytest.raises(ValueError, match=r"b\.thrift is not a Thrift schema"):
        opened(tmp_path / "b.thrift")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(data=st.data())
def test_any_damage_gives_a_row_or_a_reason(
    path: Path, shop: ModuleType, protocol: str, data: st.DataObject
):
    items = [shop.Item("mint", 2.5)]
    sale = shop.Sale(id=1, who="Ann", names={1: "x"}, items=items, deep=[[1], [2, 3]])
    whole = serialize(sale, PROTOCOLS[protocol])
    at = data.draw(st.integers(0, len(whole)))
    damage = data.draw(st.binary(max_size=12))
    skipped = data.draw(st.integers(0, 12))
    damaged = whole[:at] + damage + whole[at + skipped :]
    found = decoded(opened(path, protocol=protocol), whole, damaged, whole)
    assert found.batch.num_rows + len(found.reasons) == 3
    assert not {0, 2} & set(found.reasons)
