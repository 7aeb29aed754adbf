"""Reads and writes the Java object in which Chronon keeps an APPROX_HISTOGRAM_K.

Source: the Java Object Serialization Specification, section 6 (grammar), and Chronon's case class
`ApproxHistogramIrSerializable(isApprox, sketch: Option[bytes], histogram: Option[Map[T, Long]])`.
In a stream every class, string and object has a handle: its number in order of writing. What is
written a second time is written as its handle.
"""

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from chronon_beam.aggregator.jvm.hashing import from_modified_utf8, modified_utf8

_MAGIC = b"\xac\xed\x00\x05"
_NULL, _REFERENCE, _CLASS, _OBJECT, _STRING, _ARRAY = 0x70, 0x71, 0x72, 0x73, 0x74, 0x75
_BLOCK, _END, _LONG_STRING = 0x77, 0x78, 0x7C
_FIRST_HANDLE = 0x7E0000
_LARGEST_TABLE = 1 << 30
_WRITES_ITSELF, _SERIALIZABLE = 0x01, 0x02
_PRIMITIVES = {"Z": ">?", "F": ">f", "I": ">i", "J": ">q", "D": ">d"}

_BYTES = "[B"

CountedValue = tuple[str | int | float, int]


class Histogram(NamedTuple):
    """The content of Chronon's case class: exact counts, or the bytes of a sketch.

    Attributes:
        entries: (value, count) pairs in the order of the map; None for a sketch.
        capacity: the length of the map's table.
        sketch: Chronon's bytes of a sketch of frequent items.
    """

    entries: tuple[CountedValue, ...] | None
    capacity: int = 16
    sketch: bytes = b""


def _reference(handle: int) -> bytes:
    return struct.pack(">Bi", _REFERENCE, _FIRST_HANDLE + handle)


def _string(text: str) -> bytes:
    payload = modified_utf8(text)
    if len(payload) > 0xFFFF:
        return struct.pack(">BQ", _LONG_STRING, len(payload)) + payload
    return struct.pack(">BH", _STRING, len(payload)) + payload


def _field(kind: str, name: str, of: bytes = b"") -> bytes:
    return kind.encode() + struct.pack(">H", len(name)) + name.encode() + of


def _class(name: str, uid: int, *fields: bytes, flags: int = _SERIALIZABLE) -> bytes:
    """The description of a class without its superclass."""
    head = struct.pack(">BH", _CLASS, len(name)) + name.encode()
    described = struct.pack(">QBH", uid, flags, len(fields)) + b"".join(fields)
    return head + described + bytes((_END,))


_NEW, _NO_PARENT = bytes((_OBJECT,)), bytes((_NULL,))
_NONE = _class("scala.None$", 0x465024F653CA94AC)
_SOME = _class(
    "scala.Some", 0x1122F2695EA18B74, _field("L", "value", _string("Ljava/lang/Object;"))
)
_OPTION = _class("scala.Option", 0xFE6937FDDB0E6674) + _NO_PARENT
_NUMBER = _class("java.lang.Number", 0x86AC951D0B94E08B) + _NO_PARENT
_JAVA_LONG = _class("java.lang.Long", 0x3B8BE490CC8F23DF, _field("J", "value"))
_JAVA_DOUBLE = _class("java.lang.Double", 0x80B3C24A296BFB04, _field("D", "value"))

# Handles are given in the order of writing: 0 the class, 1 the type's name, 2 the object.
_IR_HEAD = b"".join(
    (
        _MAGIC + _NEW,
        _class(
            "ai.chronon.aggregator.base.ApproxHistogramIrSerializable",
            0x6421CE63B8164AAE,
            _field("Z", "isApprox"),
            _field("L", "histogram", _string("Lscala/Option;")),
            _field("L", "sketch", _reference(1)),
        ),
        _NO_PARENT,
    )
)
# 3 Some, 4 its field's type, 5 Option, 6 the object; 7 HashMap, 8 the object.
_EXACT_HEAD = b"".join(
    (
        _IR_HEAD + b"\0" + _NEW + _SOME + _OPTION + _NEW,
        _class(
            "java.util.HashMap",
            0x0507DAC1C31660D1,
            _field("F", "loadFactor"),
            _field("I", "threshold"),
            flags=_SERIALIZABLE | _WRITES_ITSELF,
        ),
        _NO_PARENT + struct.pack(">f", 0.75),
    )
)
_AFTER_EXACT_HEAD = 9
_EXACT_TAIL = bytes((_END,)) + _NEW + _NONE + _reference(5)
# 3 None, 4 Option, 5 the object; 6 Some, 7 its field's type, 8 the object.
_APPROX_HEAD = b"".join(
    (
        _IR_HEAD + b"\1" + _NEW + _NONE + _OPTION + _NEW + _SOME + _reference(4),
        bytes((_ARRAY,)) + _class(_BYTES, 0xACF317F8060854E0) + _NO_PARENT,
    )
)


def write_string(text: str) -> bytes:
    """The bytes of `ObjectOutputStream.writeObject` of a string."""
    return _MAGIC + _string(text)


class _Values:
    """Writes the keys and counts of a map; numbers are objects with a class each."""

    def __init__(self) -> None:
        self._next = _AFTER_EXACT_HEAD
        self._classes: dict[bytes, int] = {}
        # `Long.valueOf` gives one shared object per small number.
        self._shared: dict[int, bytes] = {}

    def value(self, value: str | float) -> bytes:
        if isinstance(value, str):
            self._next += 1
            return _string(value)
        if isinstance(value, float):
            return self._number(_JAVA_DOUBLE) + struct.pack(">d", value)
        shared = self._shared.get(value)
        if shared is not None:
            return shared
        written = self._number(_JAVA_LONG) + struct.pack(">q", value)
        if -128 <= value <= 127:
            self._shared[value] = _reference(self._next - 1)
        return written

    def _number(self, kind: bytes) -> bytes:
        known = self._known(kind)
        parent = b"" if known else self._known(_NUMBER)
        written = _NEW + (known or kind + (parent or _NUMBER))
        self._next += 1
        return written

    def _known(self, kind: bytes) -> bytes:
        """The reference to a class; empty the first time, when the class gets its handle."""
        handle = self._classes.get(kind)
        if handle is not None:
            return _reference(handle)
        self._classes[kind] = self._next
        self._next += 1
        return b""


def write_histogram(made: Histogram) -> bytes:
    """The bytes of `ObjectOutputStream.writeObject`."""
    if made.entries is None:
        return _APPROX_HEAD + struct.pack(">i", len(made.sketch)) + made.sketch
    threshold, size = made.capacity * 3 // 4, len(made.entries)
    values = _Values().value
    return b"".join(
        (
            _EXACT_HEAD,
            struct.pack(">iBBii", threshold, _BLOCK, 8, made.capacity, size),
            *[values(value) + values(count) for value, count in made.entries],
            _EXACT_TAIL,
        )
    )


class _Read(NamedTuple):
    """An object: the name of its class, its fields, and what its `writeObject` wrote as well."""

    name: str
    fields: dict[str, Any]
    annotation: list[Any]


class _Reader:
    """One stream. Objects come as `_Read`, strings as str, byte arrays as bytes."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._offset = 0
        self._handles: list[object] = []
        self._readers: dict[int, Callable[[], Any]] = {
            _NULL: lambda: None,
            _REFERENCE: lambda: self._handles[self._take(">i") - _FIRST_HANDLE],
            _CLASS: self._class,
            _OBJECT: self._object,
            _STRING: lambda: self._string(">H"),
            _LONG_STRING: lambda: self._string(">Q"),
            _ARRAY: self._array,
            _BLOCK: lambda: self._bytes(self._take(">B")),
        }

    def stream(self) -> Any:
        if self._bytes(4) != _MAGIC:
            raise ValueError("no Java stream")
        read = self._content()
        if self._offset != len(self._payload):
            raise ValueError(f"{len(self._payload) - self._offset} bytes left")
        return read

    def _take(self, form: str) -> Any:
        (value,) = struct.unpack(form, self._bytes(struct.calcsize(form)))
        return value

    def _bytes(self, length: int) -> bytes:
        found = self._payload[self._offset : self._offset + length]
        if len(found) != length or length < 0:
            raise ValueError(f"cut short at byte {len(self._payload)}")
        self._offset += length
        return found

    def _content(self) -> Any:
        tag = self._take(">B")
        if tag not in self._readers:
            raise ValueError(f"unexpected tag {tag:#x} at byte {self._offset - 1}")
        return self._readers[tag]()

    def _string(self, length: str) -> str:
        text = from_modified_utf8(self._bytes(self._take(length)))
        self._handles.append(text)
        return text

    def _class(self) -> "_ReadClass":
        name = self._bytes(self._take(">H")).decode()
        self._bytes(8)
        flags = self._take(">B")
        place = len(self._handles)
        self._handles.append(None)
        fields = [self._field() for _ in range(self._take(">H"))]
        self._until_end()
        known = self._handles[place] = _ReadClass(name, flags, tuple(fields), self._content())
        return known

    def _field(self) -> tuple[str, str]:
        kind = self._bytes(1).decode()
        name = self._bytes(self._take(">H")).decode()
        if kind in "[L":
            self._content()
        return name, kind

    def _object(self) -> _Read:
        made = self._content()
        if not isinstance(made, _ReadClass):
            raise ValueError(f"an object of {made!r}")
        read = _Read(made.name, {}, [])
        self._handles.append(read)
        for part in made.lineage():
            for name, kind in part.fields:
                form = _PRIMITIVES.get(kind)
                read.fields[name] = self._take(form) if form else self._content()
            if part.flags & _WRITES_ITSELF:
                read.annotation.extend(self._until_end())
        return read

    def _array(self) -> bytes:
        made = self._content()
        if getattr(made, "name", None) != _BYTES:
            raise ValueError(f"an array of {made!r}")
        place = len(self._handles)
        self._handles.append(None)
        found = self._handles[place] = self._bytes(self._take(">i"))
        return found

    def _until_end(self) -> list[Any]:
        found = []
        while self._payload[self._offset : self._offset + 1] != bytes((_END,)):
            found.append(self._content())
        self._offset += 1
        return found


class _ReadClass(NamedTuple):
    """A class as the stream describes it."""

    name: str
    flags: int
    fields: tuple[tuple[str, str], ...]
    parent: "_ReadClass | None"

    def lineage(self) -> "list[_ReadClass]":
        """The classes that it extends, the topmost first, then itself: the order of the fields."""
        return [*(self.parent.lineage() if self.parent else []), self]


def read_histogram(payload: bytes) -> Histogram:
    """What `ObjectOutputStream` wrote; raises ValueError on other bytes."""
    try:
        read = _Reader(payload).stream()
        if read.fields["isApprox"]:
            return Histogram(None, sketch=read.fields["sketch"].fields["value"])
        made = read.fields["histogram"].fields["value"]
        (capacity, _), *content = struct.unpack(">ii", made.annotation[0]), *made.annotation[1:]
        values = [item.fields["value"] if isinstance(item, _Read) else item for item in content]
        if not 0 < capacity <= _LARGEST_TABLE or capacity & capacity - 1:
            raise ValueError(f"a table of length {capacity}")
        return Histogram(tuple(zip(values[::2], values[1::2], strict=True)), capacity)
    except (KeyError, IndexError, AttributeError, TypeError, struct.error, RecursionError) as error:
        raise ValueError(f"not a histogram of Chronon's: {error!r}") from error
