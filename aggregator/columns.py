"""One column of a tile: an operation, with what surrounds it (lists, maps, buckets).

Source: `DirectColumnAggregator`, `BucketedColumnAggregator`, `MapColumnAggregator`,
`ElementWiseAggregator`, `VectorDispatcher` in `ai.chronon.aggregator.row`. A column's IR is None
until a value was seen.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from chronon_beam.aggregator.avro import encode_items, encode_string, list_encoder
from chronon_beam.aggregator.jvm.hashing import STRING_PLACES, HashOrdered
from chronon_beam.aggregator.operations.base import Aggregator
from chronon_beam.aggregator.operations.table import TIMED, aggregator, is_scalar
from chronon_beam.api.data_types import STRING, DataType, ListType, MapType, list_of, map_of
from chronon_beam.api.dialect import Dialect
from chronon_beam.api.group_by import AggregationPart, GroupByError

Update = Callable[[Any, Any, int], Any]
BucketUpdate = Callable[[Any, Any, str, int], Any]
Refuse = Callable[[Any, Any], "str | None"]


@dataclass(frozen=True)
class Column:
    """How one column of the IR is made from rows.

    Attributes:
        part: what was declared.
        operation: IR type, merge and so on; over a map when bucketed or over a map input.
        prepare: (input that is not null, ts_ms) to the first IR.
        update: (IR, input that is not null, ts_ms) to the next IR. For a bucketed column the
            bucket comes before ts_ms, here and in `prepare`.
        undo: the column whose `update` takes rows out of an IR; None where the operation cannot.
        refuse: (IR or None, input that is not null) to the reason why the input cannot be added,
            or None; None where every input of the type can.
    """

    part: AggregationPart
    operation: Aggregator
    prepare: Callable[..., Any]
    update: Callable[..., Any]
    undo: "Column | None" = None
    refuse: Refuse | None = None

    def merge(self, a: Any, b: Any) -> Any:
        """The union of two IRs, either of them None; only `a` may be changed."""
        if b is None:
            return a
        return self.operation.clone(b) if a is None else self.operation.merge(a, b)

    def merge_read(self, a: Any, b: Any) -> Any:
        """As `merge`, of an IR `b` that Chronon reads from a tile: it clones what it has read."""
        operation = self.operation
        if b is not None and operation.read is not None:
            b = operation.clone(operation.read(b))
        return self.merge(a, b)

    def gathered(self, ir: Any, hops: Iterable[Any]) -> Any:
        """All that a window holds: `ir`, which may be changed, and the batch's tail hops."""
        operation, alone = self.operation, ir is None
        for hop in hops:
            if hop is not None:
                read = hop if operation.read is None else operation.read(hop)
                # Chronon clones each where there is nothing but hops.
                own = operation.clone(read) if alone else read
                ir = own if ir is None else operation.merge(ir, own)
        return ir if ir is None or operation.gather is None else operation.gather(ir)

    def finalize(self, ir: Any) -> Any:
        """The value of the feature; None for none, and for NaN and infinities."""
        if ir is None:
            return None
        value = self.operation.finalize(ir)
        return None if isinstance(value, float) and not math.isfinite(value) else value


def column(
    part: AggregationPart, input_type: DataType, bucket_type: DataType | None, dialect: Dialect
) -> Column:
    """The column of `part` over an input of `input_type`.

    Raises:
        GroupByError: operation, type, bucket or shape do not go together.
    """
    value_type, around = _shape(part, input_type)
    operation = aggregator(part, value_type, dialect)
    _check_element_wise(part, input_type, around, dialect)
    _check_bucket(part, bucket_type, around)
    bucketed = bucket_type is not None
    made = _column(part, operation, around, bucketed)
    undo = operation.inverse()
    return replace(
        made,
        undo=undo and _column(part, undo, around, bucketed),
        refuse=_refusal(operation.refuse, around),
    )


Around = Callable[[Aggregator], Update]


def _shape(part: AggregationPart, input_type: DataType) -> tuple[DataType, Around]:
    """What the operation aggregates of an input, and how: whole, or taken apart."""
    if part.operation in TIMED:
        return input_type, _direct
    if isinstance(input_type, ListType) and is_scalar(input_type.element):
        return input_type.element, _over_elements if part.element_wise else _over_list
    if isinstance(input_type, MapType) and input_type.key == STRING:
        return input_type.value, _over_map
    return input_type, _direct


def _check_element_wise(
    part: AggregationPart, input_type: DataType, around: Around, dialect: Dialect
) -> None:
    if not part.element_wise or part.operation in TIMED:
        return
    if not dialect.element_wise:
        raise GroupByError(
            f"{part.column}: dialect {dialect.name} has no elementWise: leave it out, or declare "
            "the GroupBy in dialect airbnb"
        )
    if around is not _over_elements:
        raise GroupByError(
            f"{part.column}: elementWise needs a list of scalars, found {part.input_column!r} of "
            f"type {input_type.name}"
        )


def _check_bucket(part: AggregationPart, bucket_type: DataType | None, around: Around) -> None:
    if bucket_type not in (None, STRING):
        raise GroupByError(
            f"{part.column}: bucket {part.bucket!r} is of type {bucket_type.name}: a bucket must "
            "be a string; cast it in the query's selects"
        )
    if bucket_type is not None and around in (_over_map, _over_elements):
        found = "a map column" if around is _over_map else "elementWise"
        raise GroupByError(
            f"{part.column}: buckets over {found} are not supported, as in Chronon: drop the "
            "bucket, or select one value of the column"
        )


def _column(part: AggregationPart, operation: Aggregator, around: Around, bucketed: bool) -> Column:
    if around is _direct and not bucketed:
        return Column(part, operation, operation.prepare, operation.update)
    add: Callable[..., Any] = around(operation)
    if bucketed:
        add = _by_bucket(add)
    if bucketed or around is _over_map:
        operation = _by_key(operation)
    elif around is _over_elements:
        operation = _by_element(operation)
    # `add` takes None for an IR that there is none of yet.
    return Column(part, operation, partial(add, None), add)


def _refusal(refuse: Callable[[Any], str | None] | None, around: Around) -> Refuse | None:
    if around is _over_elements:
        return _refuse_elements
    if refuse is None:
        return None
    if around is _over_map:
        return lambda ir, values: next(filter(None, map(refuse, _values(values))), None)
    return lambda ir, value: refuse(value)


def _refuse_elements(ir: list[Any] | None, values: list[Any]) -> str | None:
    if None in values:
        return f"elementWise takes no null inside a list: {values!r}"
    if ir is not None and len(ir) != len(values):
        return f"elementWise needs lists of one length: {len(values)} after {len(ir)}: {values!r}"
    return None


def _direct(operation: Aggregator) -> Update:
    prepare, update = operation.prepare, operation.update

    def add(ir: Any, value: Any, ts_ms: int) -> Any:
        return prepare(value, ts_ms) if ir is None else update(ir, value, ts_ms)

    return add


def _over_list(operation: Aggregator) -> Update:
    add_one = _direct(operation)

    def add(ir: Any, values: list[Any], ts_ms: int) -> Any:
        for value in values:
            if value is not None:
                ir = add_one(ir, value, ts_ms)
        return ir

    return add


def _over_elements(operation: Aggregator) -> Update:
    add_one = _direct(operation)

    def add(ir: Any, values: list[Any], ts_ms: int) -> Any:
        irs = [None] * len(values) if ir is None else ir
        return [add_one(one, value, ts_ms) for one, value in zip(irs, values, strict=True)]

    return add


def _values(by_key: Any) -> list[Any]:
    """The values of a map that are not null."""
    pairs = by_key.items() if isinstance(by_key, dict) else by_key
    return [value for _, value in pairs if value is not None]


def _over_map(operation: Aggregator) -> Update:
    add_one = _direct(operation)

    def add(ir: Any, values: Any, ts_ms: int) -> Any:
        by_key = HashOrdered() if ir is None else ir
        for key, value in values.items() if isinstance(values, dict) else values:
            if value is not None:
                by_key[key] = add_one(by_key.get(key), value, ts_ms)
        return by_key

    return add


def _by_bucket(add_one: Update) -> BucketUpdate:
    def add(ir: Any, value: Any, bucket: str, ts_ms: int) -> Any:
        previous = None if ir is None else ir.get(bucket)
        updated = add_one(previous, value, ts_ms)
        if updated is None:
            return ir
        by_bucket = HashOrdered() if ir is None else ir
        by_bucket[bucket] = updated
        return by_bucket

    return add


Irs = HashOrdered[str, Any]


def _by_key(operation: Aggregator) -> Aggregator:
    """The operation done for each key of a map (`MapColumnAggregatorBase`)."""
    encode = operation.encode

    def each(function: Callable[[Any], Any]) -> Callable[[dict[str, Any]], Irs]:
        return lambda irs: HashOrdered({key: function(ir) for key, ir in irs.items()})

    def merge(a: Irs, b: Irs) -> Irs:
        for key in b.in_written_order(STRING_PLACES):
            ir = b[key]
            a[key] = operation.merge(a[key], ir) if key in a else operation.clone(ir)
        return a

    return replace(
        operation,
        ir_type=map_of(operation.ir_type),
        output_type=map_of(operation.output_type),
        merge=merge,
        finalize=each(operation.finalize),
        read=operation.read and each(operation.read),
        gather=None,
        encode=lambda irs: encode_items(
            [encode_string(k) + encode(irs[k]) for k in irs.in_written_order(STRING_PLACES)]
        ),
        from_avro=each(operation.from_avro),
        clone=each(operation.clone),
    )


def _by_element(operation: Aggregator) -> Aggregator:
    """The operation done for each element of a list (`ElementWiseAggregatorBase`)."""

    def each(function: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
        return lambda irs: [function(ir) for ir in irs]

    def merge(a: list[Any], b: list[Any]) -> list[Any]:
        if len(a) != len(b):
            raise ValueError(f"elementWise needs lists of one length: {len(a)} and {len(b)}")
        return [operation.merge(one, other) for one, other in zip(a, b, strict=True)]

    return replace(
        operation,
        ir_type=list_of(operation.ir_type),
        output_type=list_of(operation.output_type),
        merge=merge,
        finalize=each(operation.finalize),
        read=operation.read and each(operation.read),
        gather=None,
        encode=list_encoder(operation.encode),
        from_avro=each(operation.from_avro),
        clone=each(operation.clone),
    )
