"""Distinct values: all of them, at most k of them, the k largest of them.

Source: `UniqueCount` and `BoundedUniqueCount` in `ai.chronon.aggregator.base.SimpleAggregators`
(airbnb), `UniqueTopKAggregator` and `UniqueOrderByLimit` (zipline).
"""

import hashlib
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from chronon_beam.aggregator.avro import (
    Encoder,
    encode_each,
    encode_items,
    encode_string,
    encoder,
)
from chronon_beam.aggregator.expressions import expression
from chronon_beam.aggregator.jvm.decimals import decimal_hash
from chronon_beam.aggregator.jvm.hashing import (
    STRING_PLACES,
    HashOrdered,
    Places,
    long_hash,
    string_hash,
    table_for,
)
from chronon_beam.aggregator.jvm.object_stream import write_string
from chronon_beam.aggregator.jvm.ordering import utf16
from chronon_beam.aggregator.operations.base import Aggregator
from chronon_beam.aggregator.operations.spec import HASHED, K, OperationSpec
from chronon_beam.api.data_types import (
    BINARY,
    DOUBLE,
    FLOAT,
    FLOATS,
    INT,
    LONG,
    STRING,
    DataType,
    DecimalType,
    StructType,
    list_of,
)
from chronon_beam.api.dialect import Operation

_DOUBLE = struct.Struct("<d")
_FLOAT = struct.Struct("<f")

DistinctIr = HashOrdered[Any, bytes]
"""Each distinct value (doubles: their bits) to its bytes."""


def _same(value: Any) -> Any:
    return value


def _identity(input_type: DataType) -> Callable[[Any], Any]:
    """The function that gives the key by which values are distinct.

    Of doubles the key is their bits, as in `Double.equals`: NaN equals NaN, -0.0 differs from 0.0.
    Bytes are compared by content. (Chronon compares Java arrays by address and so counts each array
    as distinct; that defect is not copied.)
    """
    return _DOUBLE.pack if input_type in FLOATS else _same


def _float_hash(bits: bytes) -> int:
    return int.from_bytes(_FLOAT.pack(*_DOUBLE.unpack(bits)), "little")


def _places(input_type: DataType) -> Places[Any]:
    """The places in Java's hash sets of the keys that `_identity` gives."""
    if input_type == STRING:
        return STRING_PLACES
    if input_type == DOUBLE:
        return Places(lambda bits: long_hash(int.from_bytes(bits, "little")))
    if input_type == FLOAT:
        return Places(_float_hash)
    if input_type == BINARY:
        # Java hashes an array by its address, so its order is random; ours is the order of arrival.
        return Places(lambda value: 0)
    if input_type == LONG:
        return Places(long_hash)
    if isinstance(input_type, DecimalType):
        return Places(decimal_hash(input_type.scale))
    return Places(lambda number: number & 0xFFFFFFFF)


def unique_count(input_type: DataType) -> Aggregator:
    """UNIQUE_COUNT; the IR holds every distinct value."""
    identity, encode, places = _identity(input_type), encoder(input_type), _places(input_type)

    def add(ir: DistinctIr, value: Any) -> DistinctIr:
        ir.setdefault(identity(value), encode(value))
        return ir

    def merge(a: DistinctIr, b: DistinctIr) -> DistinctIr:
        for key in b.in_order(places):
            a.setdefault(key, b[key])
        return a

    return Aggregator(
        ir_type=list_of(input_type),
        output_type=LONG,
        prepare=lambda value, ts_ms: HashOrdered({identity(value): encode(value)}),
        update=expression("ir, value, ts_ms", "ir if value in ir else add(ir, value)", add=add),
        merge=merge,
        encode=encode_each("[ir[key] for key in ir.in_order(places)]", places=places),
        finalize=len,
        from_avro=lambda decoded: HashOrdered({identity(v): encode(v) for v in decoded}),
        clone=HashOrdered,
        fork=HashOrdered.fork,
    )


_SENTINEL = "__SENTINEL__"


def _java_md5(text: str) -> str:
    return hashlib.md5(write_string(text), usedforsecurity=False).hexdigest()


class _Bounded:
    """BOUNDED_UNIQUE_COUNT: up to k distinct values; strings as the MD5 of their Java stream.

    A set of strings that is full is replaced by one marker string. Chronon does the same with
    numbers, then cannot write the marker into a list of numbers and loses the tile. Here a full set
    of numbers keeps its k numbers, which Chronon reads as full.
    """

    def __init__(self, input_type: DataType, k: int) -> None:
        self.k = k
        self.of_strings = input_type == STRING
        self._key = _java_md5 if self.of_strings else _identity(input_type)
        self._encode: Encoder = encoder(input_type)
        self._places = _places(input_type)

    def _entry(self, value: Any) -> tuple[Any, bytes]:
        key = self._key(value)
        return key, encode_string(key) if self.of_strings else self._encode(value)

    def _set(self, entries: Any) -> DistinctIr:
        return HashOrdered(entries, table_for(self.k))

    def _full(self, ir: DistinctIr) -> DistinctIr:
        return self._set({_SENTINEL: encode_string(_SENTINEL)}) if self.of_strings else ir

    def prepare(self, value: Any, ts_ms: int) -> DistinctIr:
        return self._set([self._entry(value)])

    def update(self, ir: DistinctIr, value: Any, ts_ms: int) -> DistinctIr:
        if _SENTINEL in ir or len(ir) >= self.k:
            return self._full(ir)
        key, encoded = self._entry(value)
        ir.setdefault(key, encoded)
        return ir

    def merge(self, a: DistinctIr, b: DistinctIr) -> DistinctIr:
        if _SENTINEL in a or _SENTINEL in b:
            return self._full(a)
        for key in b.in_order(self._places):
            if len(a) < self.k:
                a.setdefault(key, b[key])
        return self._full(a) if len(a) >= self.k else a

    def finalize(self, ir: DistinctIr) -> int:
        return self.k if _SENTINEL in ir else len(ir)

    def encode(self, ir: DistinctIr) -> bytes:
        return encode_items([ir[key] for key in ir.in_order(self._places)])

    def decode(self, decoded: list[Any]) -> DistinctIr:
        if self.of_strings:
            return self._set({text: encode_string(text) for text in decoded})
        return self._set({self._key(value): self._encode(value) for value in decoded})

    def clone(self, ir: dict[Any, bytes]) -> DistinctIr:
        """As `new HashSet(collection)`."""
        return HashOrdered(ir, table_for(max(int(len(ir) / 0.75) + 1, 16)))


def bounded_unique_count(input_type: DataType, k: int) -> Aggregator:
    """BOUNDED_UNIQUE_COUNT, airbnb's: the number of distinct values, k when there are more."""
    made = _Bounded(input_type, k)
    return Aggregator(
        ir_type=list_of(input_type),
        output_type=LONG,
        prepare=made.prepare,
        update=made.update,
        merge=made.merge,
        encode=made.encode,
        finalize=made.finalize,
        from_avro=made.decode,
        clone=made.clone,
        fork=HashOrdered.fork,
    )


class _Ranked(NamedTuple):
    """An element of a UNIQUE_TOP_K.

    Attributes:
        rank: what the element is ranked by.
        identity: what makes it distinct.
        value: the input.
        encoded: the Avro bytes of the input.
    """

    rank: Any
    identity: int
    value: Any
    encoded: bytes


class _TopSet:
    """Up to 2k elements, of which the k best count.

    Attributes:
        elements: in order of arrival.
        identities: of the elements.
        least: the least rank that a new element must exceed once there are k elements.
    """

    __slots__ = ("elements", "identities", "least")

    def __init__(self) -> None:
        self.elements: list[_Ranked] = []
        self.identities: set[int] = set()
        self.least: Any = None


class _UniqueTopK:
    """UNIQUE_TOP_K: the k largest distinct values; structs by `sort_key`, one per `unique_id`."""

    def __init__(self, input_type: DataType, k: int) -> None:
        self.k = k
        self._encode: Encoder = encoder(input_type)
        self._struct = isinstance(input_type, StructType)
        self._string = input_type == STRING

    def _ranked(self, value: Any) -> _Ranked:
        if self._struct:
            rank, identity = utf16(value["sort_key"]), value["unique_id"]
        elif self._string:
            # Chronon takes strings with one hash code for one value.
            rank, identity = utf16(value), string_hash(value)
        else:
            rank = identity = value
        return _Ranked(rank, identity, value, self._encode(value))

    def prepare(self, value: Any, ts_ms: int) -> _TopSet:
        return self.update(_TopSet(), value, ts_ms)

    def update(self, ir: _TopSet, value: Any, ts_ms: int) -> _TopSet:
        return self._insert(ir, self._ranked(value))

    def _insert(self, ir: _TopSet, element: _Ranked) -> _TopSet:
        if element.identity in ir.identities:
            return ir
        if len(ir.elements) < self.k:
            ir.least = element.rank if ir.least is None else min(ir.least, element.rank)
        elif element.rank <= ir.least:
            return ir
        ir.elements.append(element)
        ir.identities.add(element.identity)
        if len(ir.elements) > 2 * self.k:
            ir.elements = self._best(ir)
            ir.identities = {kept.identity for kept in ir.elements}
            ir.least = ir.elements[-1].rank
        return ir

    def _best(self, ir: _TopSet) -> list[_Ranked]:
        return sorted(ir.elements, key=lambda kept: kept.rank, reverse=True)[: self.k]

    def merge(self, a: _TopSet, b: _TopSet) -> _TopSet:
        for element in b.elements:
            self._insert(a, element)
        return a

    def finalize(self, ir: _TopSet) -> list[Any]:
        return [kept.value for kept in self._best(ir)]

    def decode(self, decoded: list[Any]) -> _TopSet:
        ir = _TopSet()
        for value in decoded:
            self._insert(ir, self._ranked(value))
        return ir

    def clone(self, ir: _TopSet) -> _TopSet:
        copy = _TopSet()
        copy.elements, copy.identities, copy.least = (
            list(ir.elements),
            set(ir.identities),
            ir.least,
        )
        return copy

    def refuse(self, value: Any) -> str | None:
        missing = [name for name in ("sort_key", "unique_id") if value[name] is None]
        return f"a struct without {missing[0]}: {value!r}" if missing else None


def unique_top_k(input_type: DataType, k: int) -> Aggregator:
    """UNIQUE_TOP_K, zipline's."""
    made = _UniqueTopK(input_type, k)
    return Aggregator(
        ir_type=list_of(input_type),
        output_type=list_of(input_type),
        prepare=made.prepare,
        update=made.update,
        merge=made.merge,
        encode=lambda ir: encode_items([kept.encoded for kept in ir.elements]),
        finalize=made.finalize,
        from_avro=made.decode,
        clone=made.clone,
        fork=made.clone,
        refuse=made.refuse if isinstance(input_type, StructType) else None,
    )


OPERATIONS = {
    Operation.UNIQUE_COUNT: OperationSpec(
        lambda request: unique_count(request.input_type),
        "number of distinct values",
        "exact; the IR has every distinct value",
        inputs=HASHED,
        decimals=True,
    ),
    Operation.BOUNDED_UNIQUE_COUNT: OperationSpec(
        lambda request: bounded_unique_count(request.input_type, request.k),
        "number of distinct values, k where there are more",
        inputs=HASHED,
        k=K(8),
    ),
    Operation.UNIQUE_TOP_K: OperationSpec(
        lambda request: unique_top_k(request.input_type, request.k),
        "the k largest distinct values; of structs, by `sort_key`, one for each `unique_id`",
        "exact, except that strings are told apart by Java's hash code, as in Chronon",
        inputs=(INT, LONG, STRING),
        k=K(),
        ranked_structs=True,
    ),
}
