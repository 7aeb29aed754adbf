"""A sale in Thrift: its schema, and classes such as Apache's compiler makes of it."""

from thrift.protocol.TBase import TBase
from thrift.Thrift import TType

THRIFT = """
enum Kind { CONE = 0, CUP = 1 }
struct Item { 1: string flavor, 2: i32 grams }
struct Sale {
  1: string user, 2: i64 id, 3: double price, 4: i64 at, 5: Kind kind, 6: optional string note,
  7: list<Item> items, 8: map<string, i64> counts
}
"""


class _Struct(TBase):
    """A struct whose fields are given by name."""

    __hash__ = object.__hash__

    def __init__(self, **fields: object) -> None:
        for spec in self.thrift_spec[1:]:
            setattr(self, spec[2], fields.get(spec[2]))


class ThriftItem(_Struct):
    thrift_spec = (
        None,
        (1, TType.STRING, "flavor", "UTF8", None),
        (2, TType.I32, "grams", None, None),
    )


class ThriftSale(_Struct):
    thrift_spec = (
        None,
        (1, TType.STRING, "user", "UTF8", None),
        (2, TType.I64, "id", None, None),
        (3, TType.DOUBLE, "price", None, None),
        (4, TType.I64, "at", None, None),
        (5, TType.I32, "kind", None, None),
        (6, TType.STRING, "note", "UTF8", None),
        (7, TType.LIST, "items", (TType.STRUCT, [ThriftItem, ThriftItem.thrift_spec], False), None),
        (8, TType.MAP, "counts", (TType.STRING, "UTF8", TType.I64, None, False), None),
    )
