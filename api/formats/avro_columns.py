"""Avro records as Arrow columns, in the types that Spark gives them.

| Avro | column |
|---|---|
| boolean, int, long | BOOLEAN, INT, BIGINT |
| float, double, bytes, string | FLOAT, DOUBLE, BINARY, STRING |
| enum, uuid on a string | STRING |
| fixed, also with uuid or duration | BINARY |
| date | DATE |
| timestamp-millis, timestamp-micros | TIMESTAMP |
| local-timestamp-millis, local-timestamp-micros | TIMESTAMP_NTZ |
| time-millis; time-micros, timestamp-nanos | INT; BIGINT |
| decimal | DECIMAL of its precision and scale |
| array, map, record | ARRAY, MAP, STRUCT |
| union of null and one type | the type |
| union of int and long; of float and double | BIGINT; DOUBLE |
| any other union | STRUCT<member0, member1, ...>, of which one is not null |

A column whose type holds itself, or has a decimal of more than 38 digits, is a refused one.

Records are read by a *plain* form of their schema (see `avro_plain`), so that no value can fail
while a record is read, and what comes after it is never lost. Source:
`org.apache.spark.sql.avro.SchemaConverters`.
"""

import json
from collections.abc import Iterator, Sequence
from decimal import Context, Decimal
from typing import Any

import fastavro
import pyarrow as pa

from chronon_beam.api.formats.avro_plain import PLAIN, Avro, PlainForm, branches_of, widest
from chronon_beam.api.formats.nested import with_leaves
from chronon_beam.api.formats.refused import refusal, refused

_LOGICAL = {
    ("int", "date"): pa.date32(),
    ("long", "timestamp-millis"): pa.timestamp("ms", tz="UTC"),
    ("long", "timestamp-micros"): pa.timestamp("us", tz="UTC"),
    ("long", "local-timestamp-millis"): pa.timestamp("ms"),
    ("long", "local-timestamp-micros"): pa.timestamp("us"),
}
_DIGITS = 38
_WIDE = Context(prec=100)
_WIDEST = 76
"""Digits of the decimals that values are read into; whether they fit is checked later."""


def parsed_schema(text: str | bytes) -> Avro:
    """A schema in JSON as fastavro parses it; a decimal with a mistake is not one, as Avro has it.

    Raises:
        ValueError: it is not a schema; also fastavro's own exceptions for names that are not known.
    """
    return fastavro.parse_schema(_without_mistakes(json.loads(text)))


def _without_mistakes(avro: Any) -> Any:
    if isinstance(avro, list):
        return [_without_mistakes(each) for each in avro]
    if not isinstance(avro, dict):
        return avro
    kept = avro
    if avro.get("logicalType") == "decimal" and decimal_type(avro) is None:
        kept = {name: value for name, value in avro.items() if name != "logicalType"}
    return {
        name: _without_mistakes(value) if name in ("type", "items", "values", "fields") else value
        for name, value in kept.items()
    }


class AvroColumns:
    """How the records of one schema become columns.

    Args:
        schema: a parsed record schema.
        names: the columns that are wanted; None: all that can be read.

    Attributes:
        schema: all columns; those that cannot be read are refused ones.
        writer: the plain form of `schema`, to read records with.
        reader: the plain form with the wanted columns only; None where these are all.
        target: the plain form with the wanted columns and their defaults: what records of other
            versions of the schema are resolved into.

    Raises:
        ValueError: `schema` is not a record.
    """

    def __init__(self, schema: Avro, names: Sequence[str] | None = None) -> None:
        if not isinstance(schema, dict) or schema.get("type") not in ("record", "error"):
            raise ValueError(f"records are expected, the schema is {_told(schema)}")
        self._types = _AvroTypes(dict(_definitions(schema)), schema["name"])
        fields = {field["name"]: field for field in schema["fields"]}
        self.schema = pa.schema([self._types.column(field) for field in fields.values()])
        self.writer = PlainForm(self._types.named).of(schema, "")
        wanted = [each for each in self.schema if names is None or each.name in names]
        self._wanted = [each for each in wanted if refusal(each) is None]
        kept = [fields[each.name] for each in self._wanted]
        self.reader = None
        if len(kept) < len(fields):
            self.reader = PlainForm(self._types.named).of({**schema, "fields": kept}, "")
        self.target = PlainForm(self._types.named, defaults=True).of({**schema, "fields": kept}, "")
        raw = [(each.name, self._types.raw(fields[each.name]["type"])) for each in self._wanted]
        self._raw = pa.struct(raw)

    def batch(self, records: list[dict[str, Any]]) -> pa.RecordBatch:
        """The wanted columns of records that were read by `writer` and `reader`.

        Decimals come in the widest type, so that one too long for its own can be refused alone;
        text is not checked to be UTF-8.
        """
        columns = pa.array(records, self._raw).flatten()
        shaped = [
            with_leaves(raw, _widened(field.type), _leaf)
            for raw, field in zip(columns, self._wanted, strict=True)
        ]
        if not shaped:
            return pa.RecordBatch.from_struct_array(pa.array(records, self._raw))
        return pa.RecordBatch.from_arrays(shaped, [field.name for field in self._wanted])

    def pieces(self, records: list[dict[str, Any]]) -> Iterator[pa.RecordBatch | str]:
        """The wanted columns of records, in order; in place of a record that has none, the reason.

        Damage can make an int of more than 32 bits, for example.
        """
        try:
            yield self.batch(records)
        except (pa.ArrowException, OverflowError) as error:
            if len(records) == 1:
                yield f"a value is not of its type: {error}"
                return
            half = len(records) // 2
            yield from self.pieces(records[:half])
            yield from self.pieces(records[half:])


def _definitions(avro: Avro) -> Iterator[tuple[str, Avro]]:
    """All named types in a schema."""
    if isinstance(avro, list):
        for branch in avro:
            yield from _definitions(branch)
    elif isinstance(avro, dict):
        if "name" in avro:
            yield avro["name"], avro
        for field in avro.get("fields", ()):
            yield from _definitions(field["type"])
        for inner in ("items", "values", "type"):
            if not isinstance(avro.get(inner, ""), str):
                yield from _definitions(avro[inner])


def _told(schema: Avro) -> str:
    if isinstance(schema, list):
        return f"a union of {len(schema)} types"
    return repr(schema["type"] if isinstance(schema, dict) else schema)


class _AvroTypes:
    """Column types of Avro types, and the types that the values of their plain form have."""

    def __init__(self, named: dict[str, Avro], top: str) -> None:
        self.named = named
        self._open = [top]

    def column(self, field: Avro) -> pa.Field:
        try:
            return pa.field(field["name"], self.of(field["type"], field["name"]))
        except ValueError as error:
            del self._open[1:]
            return refused(field["name"], str(error))

    def of(self, avro: Avro, path: str) -> pa.DataType:
        """The column type; raises ValueError, with the path, if there is none."""
        if isinstance(avro, list):
            return self._union(branches_of(avro), path)
        if isinstance(avro, str):
            return PLAIN[avro] if avro in PLAIN else self.of(self.named[avro], path)
        kind = avro["type"]
        if not isinstance(kind, str):
            return self.of(kind, path)
        if kind == "array":
            return pa.list_(self.of(avro["items"], f"{path}[]"))
        if kind == "map":
            return pa.map_(pa.string(), self.of(avro["values"], f"{path}[]"))
        if kind in ("record", "error"):
            return self._record(avro, path)
        if kind not in PLAIN:
            return self.of(self.named[kind], path)
        return self._logical(avro, kind, path)

    def raw(self, avro: Avro) -> pa.DataType:
        """The type of values that were read by the plain form."""
        return _raw(self.of(avro, ""))

    def _logical(self, avro: Avro, kind: str, path: str) -> pa.DataType:
        decimal = decimal_type(avro)
        if decimal is None:
            return _LOGICAL.get((kind, avro.get("logicalType", "")), PLAIN[kind])
        if decimal[0] > _DIGITS:
            raise ValueError(f"field {path!r} is a decimal of {decimal[0]} digits, not {_DIGITS}")
        return pa.decimal128(*decimal)

    def _record(self, avro: Avro, path: str) -> pa.DataType:
        if avro["name"] in self._open:
            raise ValueError(f"field {path!r}: record {avro['name']} holds itself")
        self._open.append(avro["name"])
        fields = [
            (each["name"], self.of(each["type"], f"{path}.{each['name']}"))
            for each in avro["fields"]
        ]
        self._open.pop()
        return pa.struct(fields)

    def _union(self, branches: list[Avro], path: str) -> pa.DataType:
        if len(branches) < 2:
            return self.of(branches[0], path) if branches else pa.null()
        wide = widest(branches)
        if wide is not None:
            return PLAIN[wide]
        members = [self.of(each, f"{path}.member{at}") for at, each in enumerate(branches)]
        return pa.struct([(f"member{at}", each) for at, each in enumerate(members)])


def decimal_type(avro: Avro) -> tuple[int, int] | None:
    """Precision and scale of a decimal; None for what is not one, also by a mistake in it."""
    precision, scale = avro.get("precision"), avro.get("scale", 0)
    if avro.get("logicalType") != "decimal" or avro["type"] not in ("bytes", "fixed"):
        return None
    if type(precision) is not int or type(scale) is not int or not 0 <= scale <= precision:
        return None
    return (precision, scale) if precision else None


def _raw(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(kind):
        return pa.struct([(each.name, _raw(each.type)) for each in kind])
    if pa.types.is_list(kind):
        return pa.list_(_raw(kind.value_type))
    if pa.types.is_map(kind):
        return pa.map_(pa.string(), _raw(kind.item_type))
    if pa.types.is_date32(kind):
        return pa.int32()
    if pa.types.is_timestamp(kind):
        return pa.int64()
    return pa.binary() if pa.types.is_string(kind) or pa.types.is_decimal(kind) else kind


def _widened(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_decimal(kind):
        return pa.decimal256(_WIDEST, kind.scale)
    if pa.types.is_struct(kind):
        return pa.struct([(each.name, _widened(each.type)) for each in kind])
    if pa.types.is_list(kind):
        return pa.list_(_widened(kind.value_type))
    if pa.types.is_map(kind):
        return pa.map_(pa.string(), _widened(kind.item_type))
    return kind


def _leaf(raw: pa.Array, kind: pa.DataType) -> pa.Array:
    """The array with the type `kind`, which has the same memory; decimals are made anew."""
    if pa.types.is_decimal(kind):
        return pa.array([_decimal(value, kind.scale) for value in raw.to_pylist()], kind)
    return pa.Array.from_buffers(kind, len(raw), raw.buffers(), offset=raw.offset)


def _decimal(value: bytes | None, scale: int) -> Decimal | None:
    if value is None:
        return None
    most = 10**_WIDEST - 1
    unscaled = max(-most, min(most, int.from_bytes(value, "big", signed=True)))
    return Decimal(unscaled).scaleb(-scale, _WIDE)
