"""Chronon's types: from Arrow, to JSON and back."""

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.api.data_types import (
    BINARY,
    BOOLEAN,
    BYTE,
    DATE,
    DOUBLE,
    FLOAT,
    INT,
    LONG,
    SHORT,
    STRING,
    TIMESTAMP,
    DataType,
    decimal_of,
    from_json,
    list_of,
    map_of,
    struct_of,
    to_json,
    unwritable,
)
from chronon_beam.api.formats.arrow_types import from_arrow, to_arrow

SCALARS = [BOOLEAN, BYTE, SHORT, INT, LONG, FLOAT, DOUBLE, STRING, BINARY, DATE, TIMESTAMP]
NAMES = st.text("abcXYZ_", min_size=1, max_size=5)


def nested(inner: st.SearchStrategy[DataType]) -> st.SearchStrategy[DataType]:
    fields = st.lists(st.tuples(NAMES, inner), min_size=1, max_size=3).map(tuple)
    return st.one_of(
        inner.map(list_of),
        st.tuples(inner, st.sampled_from([STRING, INT])).map(lambda pair: map_of(*pair)),
        st.tuples(NAMES, fields).map(lambda pair: struct_of(*pair)),
    )


TYPES = st.recursive(st.sampled_from(SCALARS), nested, max_leaves=5)


@given(TYPES)
def test_json_round_trip(data_type: DataType) -> None:
    assert from_json(json.loads(json.dumps(to_json(data_type)))) == data_type


@pytest.mark.parametrize(
    ("arrow", "expected"),
    [
        (pa.bool_(), BOOLEAN),
        (pa.int8(), BYTE),
        (pa.int16(), SHORT),
        (pa.int32(), INT),
        (pa.int64(), LONG),
        (pa.float32(), FLOAT),
        (pa.float64(), DOUBLE),
        (pa.string(), STRING),
        (pa.large_string(), STRING),
        (pa.binary(), BINARY),
        (pa.date32(), DATE),
        (pa.timestamp("us", "UTC"), TIMESTAMP),
        (pa.list_(pa.int64()), list_of(LONG)),
        (pa.map_(pa.string(), pa.list_(pa.float64())), map_of(list_of(DOUBLE))),
        (pa.map_(pa.int32(), pa.string()), map_of(STRING, INT)),
    ],
)
def test_arrow_types(arrow: pa.DataType, expected: DataType) -> None:
    assert from_arrow("column", arrow) == expected


def test_structs_are_named_by_the_path_to_them() -> None:
    inner = pa.struct([("x", pa.int32())])
    assert from_arrow("point", inner) == struct_of("PointStruct", (("x", INT),))
    assert from_arrow("points", pa.list_(inner)) == list_of(
        struct_of("PointsElementStruct", (("x", INT),))
    )
    assert from_arrow("by_id", pa.map_(pa.string(), inner)) == map_of(
        struct_of("By_idValueStruct", (("x", INT),))
    )


def test_type_without_a_counterpart_keeps_its_arrow_name_and_cannot_be_written() -> None:
    opening = from_arrow("opening", pa.time64("us"))
    assert opening.name == "time64[us]"
    assert unwritable(list_of(opening), decimals=True) == opening


def test_decimals_have_a_form_in_zipline_alone() -> None:
    price = from_arrow("price", pa.decimal128(10, 2))
    assert price == decimal_of(10, 2)
    assert price.name == "decimal_10_2"
    assert to_arrow(list_of(price)) == pa.list_(pa.decimal128(10, 2))
    assert from_json(to_json(map_of(price))) == map_of(price)
    assert unwritable(list_of(price), decimals=False) == price
    assert unwritable(list_of(price), decimals=True) is None


@pytest.mark.parametrize(
    ("data_type", "part"),
    [
        (BYTE, None),
        (map_of(list_of(STRING)), None),
        (DATE, DATE),
        (TIMESTAMP, TIMESTAMP),
        (map_of(STRING, INT), INT),
        (map_of(DATE), DATE),
        (struct_of("S", (("a", INT), ("b", list_of(TIMESTAMP)))), TIMESTAMP),
    ],
)
def test_part_that_avro_cannot_hold_is_found(data_type: DataType, part: DataType | None) -> None:
    assert unwritable(data_type, decimals=False) == part
