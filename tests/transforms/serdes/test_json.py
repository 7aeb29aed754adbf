"""The serde `json`: values of each type, and messages that are refused."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import orjson
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chronon_beam.api.records import Failure, Form, Messages
from chronon_beam.transforms.decode import Events, decode_messages
from chronon_beam.transforms.serdes.json import JsonSerDe

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ICE_CREAM = pa.schema([("customer_id", pa.string()), ("created", pa.int64())])


def read(schema: pa.Schema, *payloads: bytes) -> tuple[Events, list[Failure]]:
    messages = Messages("a.jsonl", list(range(1, len(payloads) + 1)), list(payloads))
    return decode_messages(messages, JsonSerDe().decoder(schema))[:2]


def decoded(schema: pa.Schema, *payloads: bytes) -> tuple[list[dict], list[Failure]]:
    events, failures = read(schema, *payloads)
    assert events.batch.schema == schema
    assert events.batch.num_rows == len(events.positions) == len(events.payloads or ())
    return events.batch.to_pylist(), failures


def column(data_type: pa.DataType, *values: bytes) -> tuple[list, list[str]]:
    rows, failures = decoded(pa.schema([("x", data_type)]), *(b'{"x":' + v + b"}" for v in values))
    return [row["x"] for row in rows], [failure.reason for failure in failures]


def test_missing_field_is_null_and_unknown_field_is_ignored():
    assert decoded(ICE_CREAM, b'{"created": 1, "more": [1]}', b"{}")[0] == [
        {"customer_id": None, "created": 1},
        {"customer_id": None, "created": None},
    ]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not JSON"),
        (b"{bad", "not JSON"),
        (b"null", "a JSON object is expected, found null"),
        (b"[1]", "a JSON object is expected, found array"),
        (b"12", "a JSON object is expected, found number"),
        (b'{"created": NaN}', "not JSON"),
        (b'{"created": Infinity}', "not JSON"),
        (b'{"customer_id": "\xff"}', "UTF-8"),
        (b'{"created": "12"}', "column 'created': expected BIGINT, found '12'"),
        (b'{"created": true}', "column 'created': expected BIGINT, found True"),
        (b'{"created": 1.5}', "column 'created': expected BIGINT, found 1.5"),
        (b'{"created": 9223372036854775808}', "column 'created': expected BIGINT"),
        (b'{"created": -9223372036854775809}', "column 'created': expected BIGINT"),
        (b'{"customer_id": 12}', "column 'customer_id': expected STRING, found 12"),
        (b'{"customer_id": {"a": 1}}', "column 'customer_id': expected STRING, found {'a': 1}"),
    ],
)
def test_one_bad_message_fails_alone(payload, reason):
    good = b'{"customer_id": "Bob", "created": 2}'
    events, failures = read(ICE_CREAM, good, payload, good)
    assert events.positions == [1, 3]
    assert events.payloads == [good, good]
    assert events.batch.num_rows == 2
    assert [f._replace(reason="") for f in failures] == [
        Failure("Decode", "", payload, "a.jsonl", 2, Form.MESSAGE)
    ]
    assert reason in failures[0].reason


def test_bad_messages_of_every_kind_fail_together_in_order():
    payloads = [b"{bad", b'{"created": "1"}', b'{"created": 3}', b"[]", b'{"customer_id": 5}']
    events, failures = read(ICE_CREAM, *payloads)
    assert events.positions == [3]
    assert [failure.position for failure in failures] == [1, 2, 4, 5]


def test_of_duplicate_keys_the_last_counts():
    assert decoded(ICE_CREAM, b'{"created": 1, "created": 2}')[0][0]["created"] == 2


def test_field_in_another_case_is_found_when_none_matches_exactly():
    rows, _ = decoded(ICE_CREAM, b'{"Created": 1}', b'{"CREATED": 9, "created": 2}', b"{}")
    assert [row["created"] for row in rows] == [1, 2, None]


def test_whole_float_is_an_integer_and_integer_is_a_double():
    assert column(pa.int64(), b"1.0", b"null", b"-0.0") == ([1, None, 0], [])
    assert column(pa.float64(), b"1", b"2.5", b"9007199254740993") == ([1.0, 2.5, 2.0**53], [])


def test_boolean_is_not_a_double_and_number_is_not_a_boolean():
    assert column(pa.float64(), b"true") == ([], ["column 'x': expected DOUBLE, found True"])
    assert column(pa.bool_(), b"1", b"false")[0] == [False]


def test_small_types_refuse_what_is_out_of_range():
    assert column(pa.int8(), b"127", b"128") == (
        [127],
        ["column 'x': expected TINYINT, found 128 (out of range)"],
    )


def test_what_is_too_large_for_a_float_is_infinite_as_in_spark():
    infinite = float("inf")
    assert column(pa.float32(), b"1.5", b"1e300", b"-1e300")[0] == [1.5, infinite, -infinite]


@given(
    st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**35))),
    st.booleans(),
)
def test_decimals_keep_the_digits_that_were_written(numbers, nested):
    numbers = [number for number in numbers if abs(number) < 10**36]
    kind = pa.decimal128(38, 2)
    texts = [format(number, "f") for number in numbers]
    if nested:
        items = [f'{{"d": {text}, "f": 1.5, "i": 7}}'.encode() for text in texts]
        kind = pa.struct([("d", kind), ("f", pa.float64()), ("i", pa.int64())])
        expected = [{"d": number, "f": 1.5, "i": 7} for number in numbers]
        assert column(kind, *items) == (expected, [])
    else:
        assert column(kind, *(text.encode() for text in texts)) == (numbers, [])


def test_integers_beyond_64_bits_are_decimals():
    kind = pa.decimal128(20, 0)
    texts = [b"18446744073709551617", b"18446744073709551615", b"9007199254740993"]
    assert column(kind, *texts)[0] == [Decimal(text.decode()) for text in texts]


def test_timestamp_from_iso_text_and_epoch_milliseconds():
    noon = datetime(2024, 5, 1, 12, tzinfo=UTC)
    values, reasons = column(
        pa.timestamp("us", tz="UTC"),
        b'"2024-05-01T12:00:00Z"',
        b'"2024-05-01 12:00:00"',
        b'"2024-05-01T14:00:00+02:00"',
        str(int(noon.timestamp() * 1000)).encode(),
        b"null",
        b'"noon"',
        b"true",
        b"9223372036854775807",
    )
    assert values == [noon, noon, noon, noon, None]
    assert len(reasons) == 3
    assert "found 'noon'" in reasons[0]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamp_before_the_epoch_in_every_unit(unit):
    values, _ = column(pa.timestamp(unit), b"-1000", b'"1969-12-31T23:59:59"')
    assert [pa.scalar(v).cast(pa.timestamp("us")).value for v in values] == [-1_000_000] * 2


def test_date_from_iso_text_and_days():
    assert (
        column(pa.date32(), b'"1970-01-02"', b"1", b'"soon"', b"1.5")[0] == [date(1970, 1, 2)] * 2
    )


def test_decimal_is_rounded_half_up_and_refused_out_of_range():
    values, reasons = column(
        pa.decimal128(5, 2), b'"1.005"', b"2", b"0.1", b"12345", b'"x"', b'"NaN"', b"true"
    )
    assert values == [Decimal("1.01"), Decimal("2.00"), Decimal("0.10")]
    assert "out of range" in reasons[0]
    assert len(reasons) == 4


def test_binary_is_base64():
    assert column(pa.binary(), b'"AAE="', b'"?"', b"1") == (
        [b"\0\1"],
        [
            "column 'x': expected BINARY as base64 text, found '?'",
            "column 'x': expected BINARY as base64 text, found 1",
        ],
    )


def test_nested_values_are_converted_and_reasons_name_the_path():
    nested = pa.struct([("at", pa.timestamp("ms")), ("n", pa.list_(pa.int32()))])
    values, reasons = column(
        pa.map_(pa.string(), nested),
        b'{"a": {"at": 5, "n": [1, null, 2.0]}, "b": null}',
        b'{"a": {"n": [1, "2"]}}',
        b"[1]",
    )
    assert values == [
        [
            ("a", {"at": EPOCH.replace(tzinfo=None, microsecond=5000), "n": [1, None, 2]}),
            ("b", None),
        ]
    ]
    assert reasons[0] == "column \"x['a'].n[1]\": expected INT, found '2'"


def test_map_with_whole_number_keys():
    assert column(pa.map_(pa.int64(), pa.string()), b'{"1": "a"}', b'{"b": "a"}')[0] == [[(1, "a")]]


def test_list_of_strings_with_a_number_inside_fails_alone():
    values, reasons = column(pa.list_(pa.string()), b'["a"]', b'["a", 1]')
    assert values == [["a"]]
    assert reasons == ["column 'x[1]': expected STRING, found 1"]


def test_long_values_are_cut_in_the_reason():
    _, reasons = column(pa.int64(), b'"' + b"z" * 5000 + b'"')
    assert len(reasons[0]) < 200


def test_column_type_without_a_json_form_stops_the_build():
    with pytest.raises(ValueError, match=r"column 'x'.*time64.*leave it out"):
        JsonSerDe().decoder(pa.schema([("x", pa.time64("us"))]))


def test_empty_messages_give_no_events():
    assert decoded(ICE_CREAM) == ([], [])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=5,
)
SCHEMAS = [
    pa.int64(),
    pa.float32(),
    pa.string(),
    pa.date32(),
    pa.decimal128(6, 1),
    pa.list_(pa.float64()),
    pa.struct([("a", pa.timestamp("us", tz="UTC"))]),
    pa.map_(pa.string(), pa.int32()),
]


@given(st.sampled_from(SCHEMAS), st.lists(json_values, max_size=6))
@example(pa.date32(), [-719_163, -719_162])
def test_every_message_is_an_event_or_a_failure_and_neighbours_do_not_matter(data_type, values):
    schema = pa.schema([("x", data_type)])
    payloads = [json.dumps({"x": value}).encode() for value in values]
    events, failures = read(schema, *payloads)
    found = sorted([*events.positions, *(failure.position for failure in failures)])
    assert found == list(range(1, len(payloads) + 1))
    alone = [read(schema, payload)[0].batch for payload in payloads]
    kept = [batch for batch in alone if batch.num_rows]
    assert events.batch.num_rows == len(kept)
    for index, batch in enumerate(kept):
        assert str(events.batch.slice(index, 1).to_pylist()) == str(batch.to_pylist())


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_integers_are_exact(numbers):
    payloads = [orjson.dumps({"x": number}) for number in numbers]
    rows, failures = decoded(pa.schema([("x", pa.int64())]), *payloads)
    assert [row["x"] for row in rows] == numbers
    assert failures == []


@pytest.mark.parametrize("value", ['"ab"', '{"a": 1}', "7"])
@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.struct({"x": pa.list_(pa.string())})])
def test_value_that_is_not_a_list_is_refused_for_a_column_of_lists(value, kind):
    nested = value if pa.types.is_list(kind) else f'{{"x": {value}}}'
    line = f'{{"tags": {nested}}}'.encode()
    events, failures = read(pa.schema({"tags": kind}), line)
    assert events.batch.num_rows == 0
    assert "expected ARRAY<STRING>" in failures[0].reason
