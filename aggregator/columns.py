"""One column of a tile: an operation, and how it is applied to lists, maps and buckets.

Source: `DirectColumnAggregator`, `BucketedColumnAggregator`, `MapColumnAggregator`,
`ElementWiseAggregator`, `VectorDispatcher` in `ai.chronon.aggregator.row`.

The IR of a column is None until the column has seen a value. Only the operation knows what an IR
is made of, so its type here is `object`.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import partial, reduce
from typing import Any

from chronon_beam.aggregator.avro import encode_items, encode_string, list_encoder
from chronon_beam.aggregator.jvm.hashing import STRING_PLACES, HashOrdered
from chronon_beam.aggregator.operations.base import Aggregator
from chronon_beam.aggregator.operations.table import TIMED, aggregator, is_scalar
from chronon_beam.api.data_types import STRING, DataType, ListType, MapType, list_of, map_of
from chronon_beam.api.dialect import Dialect
from chronon_beam.api.group_by import AggregationPart, GroupByError

Update = Callable[[Any, Any, int], object]
"""(IR or None, input, ts_ms) to the next IR."""

Refuse = Callable[[Any, Any], str | None]
"""(IR or None, input) to the reason why the input cannot be added, or None when it can."""

Irs = HashOrdered[str, object]
"""The IRs of a bucketed column or of a map column: one per key."""

MapInput = dict[str, object] | list[tuple[str, object]]
"""A map as a query gives it; Arrow gives lists of pairs."""


class Shape(Enum):
    """Which values an operation aggregates of one input."""

    WHOLE = auto()
    """The input itself."""
    ITEMS = auto()
    """All elements of a list, into one IR."""
    ELEMENTS = auto()
    """The elements of a list, each into the IR of its position (`elementWise`)."""
    ENTRIES = auto()
    """The values of a map, each into the IR of its key."""


@dataclass(frozen=True)
class Column:
    """How one column of a tile is made from rows.

    Attributes:
        part: what was declared.
        operation: the operation over the column's IRs: for a bucketed column or a map column it
            takes and gives maps.
        prepare: (input that is not null, ts_ms) to the first IR.
        update: (IR, input that is not null, ts_ms) to the next IR. For a bucketed column the
            bucket comes before ts_ms, here and in `prepare`.
        undo: the column whose `update` takes rows out of an IR; None where the operation cannot.
        refuse: None where every input of the type can be added.
        shape: which values of an input are aggregated.
        single: the operation over one IR: of the whole, of one key, or of one element.
    """

    part: AggregationPart
    operation: Aggregator
    prepare: Callable[..., object]
    update: Callable[..., object]
    undo: "Column | None" = None
    refuse: Refuse | None = None
    shape: Shape = Shape.WHOLE
    single: Aggregator | None = None

    @property
    def by_key(self) -> bool:
        """Whether an IR of the column holds one IR for each bucket, or for each key of a map."""
        return self.part.bucket is not None or self.shape is Shape.ENTRIES

    def merge(self, a: object, b: object) -> object:
        """The union of two IRs, either of which may be None; only `a` may be changed."""
        if b is None:
            return a
        return self.operation.clone(b) if a is None else self.operation.merge(a, b)

    def merge_decoded(self, a: object, irs: Iterable[object]) -> object:
        """The union of `a`, which may be changed, and the IRs of decoded tiles; all may be None.

        Each IR is taken as Chronon has it after it has decoded and cloned it.
        """
        operation = self.operation
        found = [ir for ir in irs if ir is not None]
        if operation.round_trip is not None:
            found = [operation.clone(operation.round_trip(ir)) for ir in found]
        if not found:
            return a
        if a is None:
            a = operation.clone(found[0])
            del found[0]
        if operation.merge_all is not None:
            return operation.merge_all(a, found)
        return reduce(operation.merge, found, a)

    def merge_window(self, ir: object, hops: Iterable[object]) -> object:
        """The IR of a whole window: `ir`, which may be changed, and the batch's tail hops."""
        operation, alone = self.operation, ir is None
        for hop in hops:
            if hop is not None:
                decoded = hop if operation.round_trip is None else operation.round_trip(hop)
                # Chronon clones each where there is nothing but hops.
                own = operation.clone(decoded) if alone else decoded
                ir = own if ir is None else operation.merge(ir, own)
        return ir if ir is None or operation.bulk_merge is None else operation.bulk_merge(ir)

    def finalize(self, ir: object) -> object:
        """The value of the feature; None without an IR, and instead of NaN and infinities."""
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
    value_type, shape = _shape(part, input_type)
    operation = aggregator(part, value_type, dialect)
    _check_element_wise(part, input_type, shape, dialect)
    _check_bucket(part, bucket_type, shape)
    bucketed = bucket_type is not None
    made = _column(part, operation, shape, bucketed)
    undo = operation.inverse()
    return replace(
        made,
        undo=undo and _column(part, undo, shape, bucketed),
        refuse=_refusal(operation.refuse, shape),
        shape=shape,
        single=operation,
    )


def _shape(part: AggregationPart, input_type: DataType) -> tuple[DataType, Shape]:
    """The type of the values that the operation aggregates, and where they are in an input."""
    if part.operation in TIMED:
        return input_type, Shape.WHOLE
    if isinstance(input_type, ListType) and is_scalar(input_type.element):
        return input_type.element, Shape.ELEMENTS if part.element_wise else Shape.ITEMS
    if isinstance(input_type, MapType) and input_type.key == STRING:
        return input_type.value, Shape.ENTRIES
    return input_type, Shape.WHOLE


def _check_element_wise(
    part: AggregationPart, input_type: DataType, shape: Shape, dialect: Dialect
) -> None:
    if not part.element_wise or part.operation in TIMED:
        return
    if not dialect.element_wise:
        raise GroupByError(
            f"{part.column}: dialect {dialect.name} has no elementWise: leave it out, or declare "
            "the GroupBy in dialect airbnb"
        )
    if shape is not Shape.ELEMENTS:
        raise GroupByError(
            f"{part.column}: elementWise needs a list of scalars, found {part.input_column!r} of "
            f"type {input_type.name}"
        )


def _check_bucket(part: AggregationPart, bucket_type: DataType | None, shape: Shape) -> None:
    if bucket_type not in (None, STRING):
        raise GroupByError(
            f"{part.column}: bucket {part.bucket!r} is of type {bucket_type.name}: a bucket must "
            "be a string; cast it in the query's selects"
        )
    if bucket_type is not None and shape in (Shape.ENTRIES, Shape.ELEMENTS):
        found = "a map column" if shape is Shape.ENTRIES else "elementWise"
        raise GroupByError(
            f"{part.column}: buckets over {found} are not supported, as in Chronon: drop the "
            "bucket, or select one value of the column"
        )


def _column(part: AggregationPart, operation: Aggregator, shape: Shape, bucketed: bool) -> Column:
    if shape is Shape.WHOLE and not bucketed:
        return Column(part, operation, operation.prepare, operation.update)
    add: Callable[..., object] = _UPDATES[shape](operation)
    if bucketed:
        add = _update_bucket(add)
    one_by_one = replace(operation, bulk_merge=None, merge_all=None)
    if bucketed or shape is Shape.ENTRIES:
        operation = _by_key(one_by_one)
    elif shape is Shape.ELEMENTS:
        operation = _by_element(one_by_one)
    # These updates take None where there is no IR yet, so that they prepare too.
    return Column(part, operation, partial(add, None), add)


def _refusal(refuse: Callable[[Any], str | None] | None, shape: Shape) -> Refuse | None:
    if shape is Shape.ELEMENTS:
        return _refuse_elements
    if refuse is None:
        return None
    if shape is Shape.ENTRIES:
        return lambda ir, values: next(filter(None, map(refuse, _map_values(values))), None)
    return lambda ir, value: refuse(value)


def _refuse_elements(ir: list[object] | None, values: list[object]) -> str | None:
    if None in values:
        return f"elementWise takes no null inside a list: {values!r}"
    if ir is not None and len(ir) != len(values):
        return f"elementWise needs lists of one length: {len(values)} after {len(ir)}: {values!r}"
    return None


def _update_whole(operation: Aggregator) -> Update:
    prepare, update = operation.prepare, operation.update

    def add(ir: object, value: object, ts_ms: int) -> object:
        return prepare(value, ts_ms) if ir is None else update(ir, value, ts_ms)

    return add


def _update_items(operation: Aggregator) -> Update:
    add_one = _update_whole(operation)

    def add(ir: object, values: list[object], ts_ms: int) -> object:
        for value in values:
            if value is not None:
                ir = add_one(ir, value, ts_ms)
        return ir

    return add


def _update_elements(operation: Aggregator) -> Update:
    add_one = _update_whole(operation)

    def add(ir: list[object] | None, values: list[object], ts_ms: int) -> list[object]:
        irs = [None] * len(values) if ir is None else ir
        return [add_one(one, value, ts_ms) for one, value in zip(irs, values, strict=True)]

    return add


def _map_values(by_key: MapInput) -> list[object]:
    """The values of a map that are not null."""
    pairs = by_key.items() if isinstance(by_key, dict) else by_key
    return [value for _, value in pairs if value is not None]


def _update_entries(operation: Aggregator) -> Update:
    add_one = _update_whole(operation)

    def add(ir: Irs | None, values: MapInput, ts_ms: int) -> Irs:
        by_key = HashOrdered() if ir is None else ir
        for key, value in values.items() if isinstance(values, dict) else values:
            if value is not None:
                by_key[key] = add_one(by_key.get(key), value, ts_ms)
        return by_key

    return add


_UPDATES: dict[Shape, Callable[[Aggregator], Update]] = {
    Shape.WHOLE: _update_whole,
    Shape.ITEMS: _update_items,
    Shape.ELEMENTS: _update_elements,
    Shape.ENTRIES: _update_entries,
}


def _update_bucket(add_one: Update) -> Callable[[Irs | None, object, str, int], Irs | None]:
    def add(ir: Irs | None, value: object, bucket: str, ts_ms: int) -> Irs | None:
        previous = None if ir is None else ir.get(bucket)
        updated = add_one(previous, value, ts_ms)
        if updated is None:
            return ir
        by_bucket = HashOrdered() if ir is None else ir
        by_bucket[bucket] = updated
        return by_bucket

    return add


def _by_key(operation: Aggregator) -> Aggregator:
    """The operation done for each key of a map (`MapColumnAggregatorBase`)."""
    encode = operation.encode

    def each(function: Callable[[Any], object]) -> Callable[[dict[str, object]], Irs]:
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
        round_trip=operation.round_trip and each(operation.round_trip),
        encode=lambda irs: encode_items(
            [encode_string(k) + encode(irs[k]) for k in irs.in_written_order(STRING_PLACES)]
        ),
        from_avro=each(operation.from_avro),
        clone=each(operation.clone),
        fork=operation.fork and _fork_entries(operation.fork),
    )


def _fork_entries(fork_one: Callable[[Any], object]) -> Callable[[Irs], Irs]:
    def fork(irs: Irs) -> Irs:
        copy = irs.fork()
        for key, ir in irs.items():
            copy[key] = fork_one(ir)
        return copy

    return fork


def _by_element(operation: Aggregator) -> Aggregator:
    """The operation done for each element of a list (`ElementWiseAggregatorBase`)."""

    def each(function: Callable[[Any], object]) -> Callable[[list[object]], list[object]]:
        return lambda irs: [function(ir) for ir in irs]

    def merge(a: list[object], b: list[object]) -> list[object]:
        if len(a) != len(b):
            raise ValueError(f"elementWise needs lists of one length: {len(a)} and {len(b)}")
        return [operation.merge(one, other) for one, other in zip(a, b, strict=True)]

    return replace(
        operation,
        ir_type=list_of(operation.ir_type),
        output_type=list_of(operation.output_type),
        merge=merge,
        finalize=each(operation.finalize),
        round_trip=operation.round_trip and each(operation.round_trip),
        encode=list_encoder(operation.encode),
        from_avro=each(operation.from_avro),
        clone=each(operation.clone),
        fork=operation.fork and each(operation.fork),
    )
