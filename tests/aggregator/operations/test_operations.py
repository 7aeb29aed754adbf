"""Laws of every operation over every input type: parts, wholes and bytes agree."""

from decimal import Decimal
from io import BytesIO

import fastavro
import fastavro_records
from drawn_operations import (
    FEW,
    INPUTS,
    NUMBERS,
    OPERATIONS,
    PRICE,
    VALUES,
    Event,
    aggregated,
    column_of,
    decoded,
    drawn_parts,
    record_of,
    same,
)
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.api import Operation
from chronon_beam.api.data_types import (
    DOUBLE,
    FLOAT,
    DataType,
)


def test_every_operation_is_here() -> None:
    assert set(INPUTS) == set(Operation)


@OPERATIONS
@given(data=st.data())
@FEW
def test_merge_of_parts_is_the_aggregate_of_the_whole(
    operation: Operation, data_type: DataType, data: st.DataObject
) -> None:
    made, parts = drawn_parts(data, operation, data_type)
    merged = None
    for part in parts:
        merged = made.merge(merged, aggregated(made, part))
    whole = aggregated(made, [event for part in parts for event in part])
    assert same(made.finalize(merged), made.finalize(whole))


@OPERATIONS
@given(data=st.data())
@FEW
def test_merge_is_associative(
    operation: Operation, data_type: DataType, data: st.DataObject
) -> None:
    made, parts = drawn_parts(data, operation, data_type)
    a, b, c = (aggregated(made, part) for part in parts)
    left = made.merge(made.merge(a, b), c)
    a, b, c = (aggregated(made, part) for part in parts)
    right = made.merge(a, made.merge(b, c))
    assert same(made.finalize(left), made.finalize(right))


@OPERATIONS
@given(data=st.data())
@FEW
def test_merge_is_commutative(
    operation: Operation, data_type: DataType, data: st.DataObject
) -> None:
    """For values with distinct times, and where a k is not exceeded by equal ones."""
    made, parts = drawn_parts(data, operation, data_type)
    a, b = aggregated(made, parts[0]), aggregated(made, parts[1])
    one = made.finalize(made.merge(a, b))
    a, b = aggregated(made, parts[0]), aggregated(made, parts[1])
    assert same(one, made.finalize(made.merge(b, a)))


@OPERATIONS
@given(data=st.data())
@FEW
def test_merge_leaves_its_second_argument_alone(
    operation: Operation, data_type: DataType, data: st.DataObject
) -> None:
    made, (first, second, third) = drawn_parts(data, operation, data_type)
    b = aggregated(made, second)
    before = None if b is None else made.operation.encode(b)
    merged = made.merge(aggregated(made, first), b)
    aggregated(made, third, merged)
    assert (None if b is None else made.operation.encode(b)) == before


@OPERATIONS
@given(data=st.data())
@FEW
def test_bytes_are_fastavros_and_survive_a_decode(
    operation: Operation, data_type: DataType, data: st.DataObject
) -> None:
    made, parts = drawn_parts(data, operation, data_type)
    ir = aggregated(made, parts[0] + parts[1])
    if ir is None:
        return
    ours = made.operation.encode(ir)
    assert made.operation.encode(made.operation.from_avro(decoded(made, ours))) == ours
    schema = fastavro_records.reading_schema(record_of(made))
    record = fastavro_records.decoded(schema, b"\x02" + ours)
    stream = BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), record)
    theirs = stream.getvalue()
    if data_type == PRICE:
        # It gives a decimal such as -128 a byte more than Java does, and so than we.
        assert fastavro_records.decoded(schema, theirs) == record
    else:
        assert theirs == b"\x02" + ours


@OPERATIONS
@given(data=st.data())
@FEW
def test_an_ir_that_was_stored_goes_on_as_the_live_one(
    operation: Operation, data_type: DataType, data: st.DataObject
) -> None:
    made, (before, after, more) = drawn_parts(data, operation, data_type)
    live = aggregated(made, before)
    if live is None:
        return
    stored = made.operation.from_avro(decoded(made, made.operation.encode(live)))
    live, stored = (aggregated(made, after + more, ir) for ir in (live, stored))
    assert made.operation.encode(stored) == made.operation.encode(live)


DELETABLE = {Operation.COUNT, Operation.SUM, Operation.AVERAGE, Operation.HISTOGRAM}


@OPERATIONS
@given(data=st.data())
@FEW
def test_delete_undoes_update_in_any_order(
    operation: Operation, data_type: DataType, data: st.DataObject
) -> None:
    """Where Chronon can delete. Whole numbers, since sums of floats round."""
    made = column_of(operation, data_type)
    assert (made.undo is not None) == (operation in DELETABLE)
    if made.undo is None:
        return
    values = VALUES[data_type]
    if operation is not Operation.COUNT and data_type in (*NUMBERS, PRICE):
        kind = {FLOAT: float, DOUBLE: float, PRICE: Decimal}.get(data_type, int)
        values = st.integers(-1000, 1000).map(kind)
    drawn = [data.draw(st.lists(values, max_size=6)) for _ in range(2)]
    kept, gone = ([Event(0, value) for value in chosen] for chosen in drawn)
    steps = [*((made, e) for e in kept + gone), *((made.undo, e) for e in gone)]
    ir = None
    for which, event in data.draw(st.permutations(steps)):
        ir = aggregated(which, [event], ir)
    expected = made.finalize(aggregated(made, kept))
    assert (made.finalize(ir) or None) == (expected or None)


@OPERATIONS
@given(data=st.data())
@FEW
def test_many_tiles_merged_at_once_are_those_merged_one_by_one(
    operation: Operation, data_type: DataType, data: st.DataObject
) -> None:
    made, parts = drawn_parts(data, operation, data_type)
    stored = [aggregated(made, part) for part in parts]
    one_by_one: object = None
    for ir in stored:
        one_by_one = made.merge_decoded(one_by_one, [ir])
    at_once = made.merge_decoded(None, stored)
    assert (at_once is None) == (one_by_one is None)
    if at_once is not None:
        assert made.operation.encode(at_once) == made.operation.encode(one_by_one)
