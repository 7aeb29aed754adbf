"""Sketches beyond what is exact: their errors, and bytes as input."""

import random

import pytest
from datasketches import cpc_sketch

from chronon_beam.aggregator.avro import AvroError
from chronon_beam.aggregator.columns import Column, column
from chronon_beam.aggregator.jvm.cpc_bytes import _hash, _stand_in, _text, hashed_as
from chronon_beam.api import GroupByError, Operation
from chronon_beam.api.data_types import BINARY, DOUBLE, LONG, STRING, DataType
from chronon_beam.api.dialect import AIRBNB, ZIPLINE, Dialect
from chronon_beam.api.group_by import AggregationPart


def made(
    operation: Operation, data_type: DataType, dialect: Dialect = AIRBNB, **arguments: str
) -> Column:
    part = AggregationPart("v", operation, tuple(arguments.items()), None, None, False)
    return column(part, data_type, None, dialect)


def folded(of: Column, values: list) -> object:
    ir = of.prepare(values[0], 0)
    for value in values[1:]:
        ir = of.update(ir, value, 0)
    return ir


@pytest.mark.parametrize("data_type", [LONG, DOUBLE, STRING, BINARY])
def test_distinct_values_are_estimated_also_over_merged_tiles(data_type: DataType) -> None:
    draw = random.Random(1)
    values = [draw.randbytes(9) for _ in range(5000)]
    as_type = {
        LONG: lambda v: int.from_bytes(v[:8], "little", signed=True),
        DOUBLE: lambda v: int.from_bytes(v, "little") / 7,
        STRING: bytes.hex,
        BINARY: bytes,
    }[data_type]
    of = made(Operation.APPROX_UNIQUE_COUNT, data_type, k="11")
    parts = [[as_type(v) for v in values[i : i + 2000]] for i in (0, 1500, 3000)]
    merged = None
    for part in parts:
        merged = of.merge(merged, folded(of, part))
    # A CPC sketch of 2^11 rows errs by 1.5 % (one standard deviation).
    assert of.finalize(merged) == pytest.approx(5000, rel=0.06)


def test_percentiles_are_estimated_also_over_merged_tiles() -> None:
    values = [float(i) for i in range(10_000)]
    random.Random(1).shuffle(values)
    of = made(Operation.APPROX_PERCENTILE, DOUBLE, percentiles="[0, 0.25, 0.5, 1]")
    merged = None
    for start in range(0, 10_000, 2500):
        merged = of.merge(merged, folded(of, values[start : start + 2500]))
    low, quarter, half, high = of.finalize(merged)
    assert (low, high) == (0, 9999)
    assert (quarter, half) == (pytest.approx(2500, abs=400), pytest.approx(5000, abs=400))


def test_dialects_differ_in_the_rank_of_a_value() -> None:
    for dialect, median in ((AIRBNB, 3.0), (ZIPLINE, 2.0)):
        of = made(Operation.APPROX_PERCENTILE, LONG, dialect)
        assert of.finalize(folded(of, [1, 2, 3, 4])) == [median]


def test_percentiles_of_nothing_but_nan_are_null() -> None:
    of = made(Operation.APPROX_PERCENTILE, DOUBLE)
    assert of.finalize(folded(of, [float("nan")])) is None


@pytest.mark.parametrize("operation", [Operation.APPROX_FREQUENT_K, Operation.APPROX_HISTOGRAM_K])
def test_frequent_values_are_found_in_a_long_tail(operation: Operation) -> None:
    values = [f"often{i}" for i in range(3) for _ in range(300)] + [f"once{i}" for i in range(300)]
    random.Random(1).shuffle(values)
    dialect = AIRBNB if operation is Operation.APPROX_HISTOGRAM_K else ZIPLINE
    of = made(operation, STRING, dialect, k="8")
    found = of.finalize(folded(of, values))
    assert {f"often{i}" for i in range(3)} <= found.keys()
    assert len(found) <= 8


@pytest.mark.parametrize(
    ("operation", "arguments", "message"),
    [
        (Operation.APPROX_UNIQUE_COUNT, {"k": "3"}, "k must be at least 4, found 3"),
        (Operation.APPROX_UNIQUE_COUNT, {"k": "27"}, "k must be at most 26, found 27"),
        (Operation.APPROX_PERCENTILE, {"k": "7"}, "k must be at least 8, found 7"),
        (Operation.APPROX_PERCENTILE, {"percentiles": "0.5"}, "must be a JSON list .* found '0.5'"),
        (Operation.APPROX_PERCENTILE, {"percentiles": "[2]"}, "numbers from 0 to 1"),
        (Operation.APPROX_PERCENTILE, {"percentiles": "[]"}, "must be a JSON list"),
        (Operation.APPROX_PERCENTILE, {"percentiles": "[0.5"}, "must be a JSON list"),
        (Operation.APPROX_HISTOGRAM_K, {"k": "0"}, "k must be at least 1"),
    ],
)
def test_arguments_are_checked_when_the_job_is_built(
    operation: Operation, arguments: dict[str, str], message: str
) -> None:
    with pytest.raises(GroupByError, match=message):
        made(operation, LONG, **arguments)


@pytest.mark.parametrize(
    ("operation", "dialect"),
    [
        (Operation.APPROX_UNIQUE_COUNT, AIRBNB),
        (Operation.APPROX_PERCENTILE, AIRBNB),
        (Operation.APPROX_HISTOGRAM_K, AIRBNB),
        (Operation.APPROX_FREQUENT_K, ZIPLINE),
    ],
)
def test_bytes_that_are_not_a_sketch_are_refused(operation: Operation, dialect: Dialect) -> None:
    of = made(operation, LONG, dialect)
    for payload in (b"", b"\x01", b"no sketch at all"):
        with pytest.raises(AvroError, match="an IR that cannot be read"):
            of.operation.from_avro(payload)


def one(value: int | str, lg_k: int) -> bytes:
    sketch = cpc_sketch(lg_k)
    sketch.update(value)
    return sketch.serialize()


@pytest.mark.parametrize("lg_k", [4, 8, 12])
def test_stand_ins_make_the_sketch_that_the_text_itself_makes(lg_k: int) -> None:
    """Of texts the library's own sketch is known, and bytes hash as the texts they are."""
    for text in ("a", "sixteen letters!", "more than one block of text", *map(str, range(200))):
        first, second = _hash(text.encode())
        column = min(64 - second.bit_length(), 63)
        assert one(_stand_in(lg_k, first % (1 << lg_k), column), lg_k) == one(text, lg_k)


@pytest.mark.parametrize("column", [0, 13, 30, 63])
def test_rare_columns_are_stood_in_for_by_a_text(column: int) -> None:
    first, second = _hash(_text(8, 77, column).encode())
    assert (first % 256, min(64 - second.bit_length(), 63)) == (77, column)


def test_bytes_that_are_text_count_as_that_text() -> None:
    assert hashed_as("é".encode(), 8) == "é"
    assert isinstance(hashed_as(b"\xff\xfe", 8), int | str)
