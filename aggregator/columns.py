"""One column of a tile: an operation, with what surrounds it (lists, maps, buckets).

Source: `DirectColumnAggregator`, `BucketedColumnAggregator`, `MapColumnAggregator`,
`VectorDispatcher` in `ai.chronon.aggregator.row`. A column's IR is None until a value was seen.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from chronon_beam.aggregator.avro import map_encoder
from chronon_beam.aggregator.base import Aggregator
from chronon_beam.aggregator.operations import TIMED, aggregator, is_scalar
from chronon_beam.api.data_types import STRING, DataType, ListType, MapType, map_of
from chronon_beam.api.dialect import Dialect
from chronon_beam.api.group_by import AggregationPart, GroupByError

Update = Callable[[Any, Any, int], Any]
BucketUpdate = Callable[[Any, Any, str, int], Any]


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
    """

    part: AggregationPart
    operation: Aggregator
    prepare: Callable[..., Any]
    update: Callable[..., Any]
    undo: "Column | None" = None

    def merge(self, a: Any, b: Any) -> Any:
        """The union of two IRs, either of them None; only `a` may be changed."""
        if b is None:
            return a
        return self.operation.clone(b) if a is None else self.operation.merge(a, b)

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
    exploded = part.operation not in TIMED
    is_map = exploded and isinstance(input_type, MapType) and input_type.key == STRING
    _check_shape(part, bucket_type, is_map)
    value_type, around = input_type, _direct
    if exploded and isinstance(input_type, ListType) and is_scalar(input_type.element):
        value_type, around = input_type.element, _over_list
    elif is_map and isinstance(input_type, MapType):
        value_type, around = input_type.value, _over_map
    operation = aggregator(part, value_type, dialect)
    made = _column(part, operation, around, bucket_type is not None)
    undo = operation.inverse()
    return replace(made, undo=undo and _column(part, undo, around, bucket_type is not None))


def _column(
    part: AggregationPart,
    operation: Aggregator,
    around: Callable[[Aggregator], Update],
    bucketed: bool,
) -> Column:
    if around is _direct and not bucketed:
        return Column(part, operation, operation.prepare, operation.update)
    add: Callable[..., Any] = around(operation)
    if bucketed:
        add = _by_bucket(add)
    around_keys = bucketed or around is _over_map
    # `add` takes None for an IR that there is none of yet.
    return Column(part, _by_key(operation) if around_keys else operation, partial(add, None), add)


def _check_shape(part: AggregationPart, bucket_type: DataType | None, is_map: bool) -> None:
    if part.element_wise:
        raise GroupByError(f"{part.column}: elementWise is not supported yet")
    if bucket_type not in (None, STRING):
        raise GroupByError(
            f"{part.column}: bucket {part.bucket!r} is of type {bucket_type.name}: a bucket must "
            "be a string; cast it in the query's selects"
        )
    if is_map and bucket_type is not None:
        raise GroupByError(
            f"{part.column}: buckets over a map column are not supported, as in Chronon: drop "
            "the bucket, or select a value of the map"
        )


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


def _over_map(operation: Aggregator) -> Update:
    add_one = _direct(operation)

    def add(ir: Any, values: Any, ts_ms: int) -> Any:
        by_key = {} if ir is None else ir
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
        by_bucket = {} if ir is None else ir
        by_bucket[bucket] = updated
        return by_bucket

    return add


def _by_key(operation: Aggregator) -> Aggregator:
    """The operation done for each key of a map (`MapColumnAggregatorBase`)."""

    def each(function: Callable[[Any], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
        return lambda irs: {key: function(ir) for key, ir in irs.items()}

    def merge(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
        for key, ir in b.items():
            a[key] = operation.merge(a[key], ir) if key in a else operation.clone(ir)
        return a

    return replace(
        operation,
        ir_type=map_of(operation.ir_type),
        output_type=map_of(operation.output_type),
        merge=merge,
        finalize=each(operation.finalize),
        encode=map_encoder(operation.encode),
        from_avro=each(operation.from_avro),
        clone=each(operation.clone),
    )
