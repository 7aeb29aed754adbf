"""Avro bytes to Python values, by a function that is made once per record type.

A request reads dozens of tiles, each of a few small fields. A reader that looks at the schema for
each value spends most of its time on the schema, so here the source of one function is made of the
type, with no call for most values. Tests compare the values with those of fastavro.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from itertools import count
from typing import Any

from chronon_beam.aggregator.avro import AvroError, IrRecord
from chronon_beam.aggregator.expressions import FunctionBuilder
from chronon_beam.api.data_types import (
    BINARY,
    BOOLEAN,
    DOUBLE,
    FLOAT,
    STRING,
    DataType,
    DecimalType,
    ListType,
    MapType,
    StructType,
)

_DIGITS = Context(prec=1000)
"""Spark's decimals have 38 digits at most, a sum a few more."""

_ONE_BYTE = [n >> 1 ^ -(n & 1) for n in range(128)] + [None] * 128
"""A long by its only byte; None for a byte that others follow."""

_TWO_BYTES = [n & 127 | n >> 1 & 0x3F80 for n in range(1 << 15)]
"""The 14 bits of two bytes of a long, by these bytes without the top bit of the second one."""

_SIX_BYTES = struct.Struct("<3H").unpack_from
_UNFIT = (IndexError, struct.error, UnicodeDecodeError, OverflowError)


@dataclass(frozen=True)
class MadeType(DataType):
    """A type whose values `make` makes of those of `plain`.

    Attributes:
        plain: the type as Avro has it.
        make: a function of the plain value.
    """

    plain: DataType
    make: Callable[[Any], object]


class AvroRecordReader:
    """The bytes of one record to the tuple of its fields' values.

    Values are as `avro.encoder` takes them: dict for structs and maps, list, str, bytes, int,
    float, bool, Decimal; a tuple for an `IrRecord`.
    """

    def __init__(self, record: StructType) -> None:
        self._name = record.record
        lines = _Lines()
        values = lines.fields(record, " ")
        lines.builder.lines.append(f" return ({''.join(f'{value}, ' for value in values)}), at")
        self._read = lines.builder.function("data, at")

    def __call__(self, payload: bytes) -> tuple[Any, ...]:
        """Read; raises AvroError when the bytes were not written with this record's schema."""
        return self.all((payload,))[0]

    def all(self, payloads: Sequence[bytes]) -> list[tuple[Any, ...]]:
        """Read many; raises AvroError when any was not written with this record's schema."""
        read, found = self._read, []
        try:
            for payload in payloads:
                values, end = read(payload, 0)
                if end != len(payload):
                    raise AvroError(_left(len(payload) - end))
                found.append(values)
        except (*_UNFIT, AvroError) as error:
            what = str(error) if isinstance(error, AvroError) else repr(error)
            raise AvroError(f"not of schema {self._name}: {what}") from error
        return found


def _left(size: int) -> str:
    return f"{size} bytes left" if size > 0 else f"{-size} bytes are missing"


@dataclass
class _Lines:
    """The lines of a function that reads `data` from `at` on."""

    builder: FunctionBuilder = field(default_factory=FunctionBuilder)
    numbers: "count[int]" = field(default_factory=count)

    def add(self, indent: str, *lines: str) -> None:
        self.builder.lines += [indent + line for line in lines]

    def fresh(self) -> str:
        return f"value{next(self.numbers)}"

    def fields(self, record: StructType, indent: str) -> list[str]:
        """Read each field, which may be null, into a variable of its own."""
        values = []
        for _, kind in record.fields:
            value, null = self.fresh(), self.builder.name(_refuse_branch)
            self.add(indent, "branch = data[at]", "at += 1", "if branch == 2:")
            self.value(kind, value, indent + " ")
            self.add(indent, f"else: {value} = {null}(branch) if branch else None")
            values.append(value)
        return values

    def value(self, kind: DataType, into: str, indent: str) -> None:
        """Read a value that is not null."""
        if isinstance(kind, MadeType):
            self.value(kind.plain, into, indent)
            self.add(indent, f"{into} = {self.builder.call(kind.make, ir=into)}")
        elif isinstance(kind, StructType):
            self._struct(kind, into, indent)
        elif isinstance(kind, ListType):
            self._list(kind, into, indent)
        elif isinstance(kind, MapType):
            self._map(kind, into, indent)
        elif kind in _SIZES:
            unpack = self.builder.name(struct.Struct(_SIZES[kind][0]).unpack_from)
            self.add(indent, f"{into}, = {unpack}(data, at)", f"at += {_SIZES[kind][1]}")
        elif kind in (STRING, BINARY) or isinstance(kind, DecimalType):
            self._bytes(kind, into, indent)
        else:
            self._long(into, indent)

    def _long(self, into: str, indent: str) -> None:
        known, read = self.builder.name(_ONE_BYTE), self.builder.name(_read_long)
        self.add(indent, f"{into} = {known}[data[at]]")
        self.add(indent, f"if {into} is None: {into}, at = {read}(data, at)", "else: at += 1")

    def _bytes(self, kind: DataType, into: str, indent: str) -> None:
        self._long("size", indent)
        self.add(indent, f"if size < 0: {self.builder.name(_refuse_size)}(size)")
        self.add(indent, "end = at + size", f"{into} = data[at:end]", "at = end")
        if kind == STRING:
            self.add(indent, f"{into} = {into}.decode()")
        elif isinstance(kind, DecimalType):
            self.add(indent, f"{into} = {self.builder.name(_decimal(kind.scale))}({into})")

    def _struct(self, kind: StructType, into: str, indent: str) -> None:
        start = self.fresh()
        self.add(indent, f"{start} = at")
        values = self.fields(kind, indent)
        if isinstance(kind, IrRecord):
            written = [f"data[{start}:at]"] if kind.keeps_bytes else []
            text = "".join(f"{each}, " for each in [*values, *written])
            self.add(indent, f"{into} = ({text})")
        else:
            names = [self.builder.name(name) for name, _ in kind.fields]
            pairs = [f"{name}: {value}" for name, value in zip(names, values, strict=True)]
            self.add(indent, f"{into} = {{{', '.join(pairs)}}}")

    def _list(self, kind: ListType, into: str, indent: str) -> None:
        item = self.fresh()
        self.add(indent, f"{into} = []")
        inner = self._blocks(indent)
        self.value(kind.element, item, inner)
        self.add(inner, f"{into}.append({item})")
        self._end_blocks(indent)

    def _map(self, kind: MapType, into: str, indent: str) -> None:
        key, item = self.fresh(), self.fresh()
        self.add(indent, f"{into} = {{}}")
        inner = self._blocks(indent)
        self.value(STRING, key, inner)
        self.value(kind.value, item, inner)
        self.add(inner, f"{into}[{key}] = {item}")
        self._end_blocks(indent)

    def _blocks(self, indent: str) -> str:
        """Begin the loop over blocks of items; gives the indentation of what reads an item."""
        self._long("items", indent)
        self.add(indent, "while items:")
        self.add(
            indent, f" if items < 0: items, at = {self.builder.name(_sized_block)}(items, data, at)"
        )
        self.add(indent, " for _ in range(items):")
        return indent + "  "

    def _end_blocks(self, indent: str) -> None:
        self._long("items", indent + " ")


_SIZES = {BOOLEAN: ("?", 1), FLOAT: ("<f", 4), DOUBLE: ("<d", 8)}
"""The format and the bytes of types of a fixed size."""


def _read_long(data: bytes, at: int) -> tuple[int, int]:
    """An int or long, and where it ends; numbers of six bytes, as times have, take a faster way."""
    if at + 6 <= len(data):
        low, middle, high = _SIX_BYTES(data, at)
        if low & middle & 0x8080 == 0x8080 and high & 0x8080 == 0x80:
            zigzag = (
                _TWO_BYTES[low & 0x7FFF]
                | _TWO_BYTES[middle & 0x7FFF] << 14
                | _TWO_BYTES[high] << 28
            )
            return zigzag >> 1 ^ -(zigzag & 1), at + 6
    zigzag = shift = 0
    while data[at] > 127:
        zigzag |= (data[at] & 127) << shift
        shift += 7
        at += 1
    zigzag |= data[at] << shift
    if zigzag >> 64:
        raise AvroError("a number of more than 64 bits")
    return zigzag >> 1 ^ -(zigzag & 1), at + 1


def _sized_block(items: int, data: bytes, at: int) -> tuple[int, int]:
    """The number of items of a block that also has its size in bytes, and where the items begin."""
    return -items, _read_long(data, at)[1]


def _refuse_branch(branch: int) -> None:
    raise AvroError(f"a union has the branches 0 and 1, found the byte {branch}")


def _refuse_size(size: int) -> None:
    raise AvroError(f"a length of {size}")


def _decimal(scale: int) -> Callable[[bytes], Decimal]:
    return lambda found: Decimal(int.from_bytes(found, signed=True)).scaleb(-scale, _DIGITS)
