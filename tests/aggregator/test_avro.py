"""Our Avro bytes against fastavro's."""

from io import BytesIO
from typing import Any

import fastavro
import pytest
from drawn_values import LONGS, SCALARS, TYPED, Typed
from fastavro_records import decoded, reading_schema
from hypothesis import example, given
from hypothesis import strategies as st

from chronon_beam.aggregator.avro import (
    PRESENT,
    AvroError,
    encode_long,
    encode_string,
    encode_time_pair_head,
    encoder,
    record_schema,
)
from chronon_beam.api.data_types import (
    BOOLEAN,
    INT,
    DataType,
    StructType,
    list_of,
    map_of,
    struct_of,
)
from chronon_beam.api.dialect import AIRBNB, ZIPLINE


def fastavros(schema: Any, record: dict[str, Any]) -> bytes:
    stream = BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), record)
    return stream.getvalue()


@given(TYPED, st.data())
def test_bytes_are_fastavros(typed: Typed, data: st.DataObject) -> None:
    data_type, values = typed
    record = struct_of("R", (("a", data_type), ("b", data_type)))
    value = {"a": data.draw(st.none() | values), "b": data.draw(values)}
    ours = encoder(record)(value)
    theirs = decoded(reading_schema(record), ours)
    assert theirs == value
    # The decoded one has its maps in the order in which they were written: Java's.
    assert ours == fastavros(record_schema(record, ZIPLINE), theirs)


@given(LONGS)
@example(0)
@example((1 << 63) - 1)
@example(-(1 << 63))
@example(8191)
@example(8192)
@example(-8192)
@example(-8193)
def test_longs_are_fastavros_and_stand_in_time_pairs(number: int) -> None:
    stream = BytesIO()
    fastavro.schemaless_writer(stream, "long", number)
    assert encode_long(number) == stream.getvalue()
    assert encode_time_pair_head(number) == PRESENT + stream.getvalue() + PRESENT


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=400))
def test_strings_are_fastavros_again_and_again(text: str) -> None:
    stream = BytesIO()
    fastavro.schemaless_writer(stream, "string", text)
    assert encode_string(text) == encode_string(text) == stream.getvalue()


INNER = struct_of("S", (("x", INT),))


@pytest.mark.parametrize(
    ("data_type", "value"),
    [
        *[(list_of(scalar), [None]) for scalar in SCALARS],
        *[(map_of(scalar), {"a": None}) for scalar in SCALARS],
        (list_of(list_of(INT)), [None]),
        (list_of(list_of(INT)), [[1, None]]),
        (list_of(map_of(INT)), [None]),
        (map_of(list_of(INT)), {"a": None}),
        (list_of(INNER), [None]),
        (map_of(INNER), {"a": None}),
        (map_of(INT), [("a", None)]),
        (struct_of("T", (("l", list_of(BOOLEAN)),)), {"l": [True, None]}),
    ],
    ids=repr,
)
def test_null_inside_is_an_error_that_shows_the_value(data_type: DataType, value: Any) -> None:
    with pytest.raises(AvroError, match="with a null inside cannot be written to Avro: "):
        encoder(data_type)(value)


def test_map_may_be_pairs_as_arrow_gives_them() -> None:
    encode = encoder(map_of(INT))
    assert encode([("a", 1), ("b", 2)]) == encode({"a": 1, "b": 2})


def twice() -> StructType:
    """Two fields that hold a record of one name, with a field of one name."""
    point = struct_of("Point", (("x", INT),))
    return struct_of("R", (("a", point), ("b", point)))


def test_airbnb_schema_has_chronons_names() -> None:
    schema = record_schema(twice(), AIRBNB)
    assert (schema["name"], schema["namespace"]) == ("R", "ai.chronon.data")
    first, second = (field["type"][1] for field in schema["fields"])
    assert (first["name"], first["fields"][0]["name"]) == ("Point", "x")
    assert second["name"] == "Point_REPEATED_NAME_0"
    assert second["fields"][0]["name"] == "x_REPEATED_NAME_0"


def test_zipline_schema_has_paths_before_names() -> None:
    fields = record_schema(twice(), ZIPLINE)["fields"]
    assert [field["type"][1]["name"] for field in fields] == ["a_Point", "b_Point"]


def test_names_are_not_in_the_bytes() -> None:
    record = twice()
    payload = encoder(record)({"a": {"x": 1}, "b": {"x": 2}})
    assert decoded(reading_schema(record), payload) == {"a": {"x": 1}, "b": {"x": 2}}
    renamed = decoded(record_schema(record, AIRBNB), payload)
    assert renamed == {"a": {"x": 1}, "b": {"x_REPEATED_NAME_0": 2}}
