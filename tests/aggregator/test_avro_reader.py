"""What is read of Avro bytes: fastavro's values, and an error for anything else."""

from contextlib import suppress
from io import BytesIO
from typing import Any

import fastavro
import pytest
from drawn_values import LONGS, TYPED, Typed
from fastavro_records import decoded, reading_schema
from hypothesis import example, given
from hypothesis import strategies as st

from chronon_beam.aggregator.avro import AvroError, encoder, ir_record
from chronon_beam.aggregator.avro_reader import AvroRecordReader, MadeType
from chronon_beam.api.data_types import LONG, STRING, decimal_of, list_of, struct_of

PAIR = ir_record("P", ("time", LONG), ("text", STRING), keeps_bytes=True)


@given(TYPED, st.data())
def test_values_are_those_that_were_written(typed: Typed, data: st.DataObject) -> None:
    data_type, values = typed
    record = struct_of("R", (("a", data_type), ("b", data_type)))
    value = {"a": data.draw(st.none() | values), "b": data.draw(values)}
    payload = encoder(record)(value)
    found = AvroRecordReader(record)(payload)
    assert found == tuple(value.values())
    assert repr(found) == repr(tuple(decoded(reading_schema(record), payload).values()))


@given(st.lists(st.integers(0, 1 << 43) | LONGS, max_size=4))
@example([1_700_000_000_000, -1_700_000_000_000, (1 << 63) - 1, -(1 << 63), 8191, 1 << 41])
def test_longs_of_any_length_wherever_they_stand(numbers: list[int]) -> None:
    record = struct_of("R", (("a", list_of(LONG)),))
    assert AvroRecordReader(record)(encoder(record)({"a": numbers})) == (numbers,)


@given(st.decimals(-(10**30), 10**30, places=3))
def test_decimals_are_fastavros(number: Any) -> None:
    record = struct_of("R", (("a", decimal_of(38, 3)),))
    payload = encoder(record)({"a": number})
    theirs = decoded(reading_schema(record), payload)["a"]
    assert AvroRecordReader(record)(payload)[0].as_tuple() == theirs.as_tuple()


def test_blocks_that_tell_their_size_are_read() -> None:
    schema = {"type": "array", "items": "long"}
    stream = BytesIO()
    fastavro.schemaless_writer(stream, schema, [1, 2, 3])
    items = stream.getvalue()[1:-1]
    sized = b"\x02\x03" + bytes((len(items[:2]) * 2,)) + items[:2] + b"\x02" + items[2:] + b"\x00"
    assert AvroRecordReader(struct_of("R", (("a", list_of(LONG)),)))(sized) == ([1, 2, 3],)


def test_a_record_may_keep_its_bytes_and_a_made_type_makes_its_values() -> None:
    payload = encoder(PAIR)((7, "a"))
    count = MadeType("made", list_of(PAIR), len)
    reader = AvroRecordReader(ir_record("R", ("one", PAIR), ("many", count), ("none", count)))
    many = b"\x04" + payload + payload + b"\x00"
    assert reader(b"\x02" + payload + b"\x02" + many + b"\x00") == ((7, "a", payload), 2, None)


OTHER = [b"", b"\x02", b"\x07", b"\x02\x02a\x00", b"\x02\x05\x61", b"\x02\x04a", b"\x02\x02\xff"]


@pytest.mark.parametrize("payload", [*OTHER, b"\x02" + b"\xff" * 12])
def test_other_bytes_are_an_error_that_names_the_record(payload: bytes) -> None:
    with pytest.raises(AvroError, match="not of schema ClicksRow"):
        AvroRecordReader(struct_of("ClicksRow", (("a", STRING),)))(payload)


@given(TYPED, st.binary(max_size=40))
def test_any_bytes_are_a_value_or_an_error(typed: Typed, payload: bytes) -> None:
    record = struct_of("R", (("a", typed[0]),))
    with suppress(AvroError):
        assert len(AvroRecordReader(record)(payload)) == 1
