import json
from datetime import UTC, date, datetime
from decimal import Decimal

import apache_beam as beam
import orjson
import pyarrow as pa
import pytest
from apache_beam.metrics import Metrics
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import example, given
from hypothesis import strategies as st

from chronon_beam.api.records import MIN_MS, Failure, Messages
from chronon_beam.transforms.decode import Decode, Events, decode_messages

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ICE_CREAM = pa.schema([("customer_id", pa.string()), ("created", pa.int64())])


def lines(*payloads: bytes) -> Messages:
    return Messages("a.jsonl", list(range(1, len(payloads) + 1)), list(payloads))


def decoded(schema: pa.Schema, *payloads: bytes) -> tuple[list[dict], list[Failure]]:
    events, failures = decode_messages(lines(*payloads), schema)
    assert events.batch.schema == schema
    assert events.batch.num_rows == len(events.positions) == len(events.payloads or ())
    return events.batch.to_pylist(), failures


def column(data_type: pa.DataType, *values: bytes) -> tuple[list, list[str]]:
    rows, failures = decoded(pa.schema([("x", data_type)]), *(b'{"x":' + v + b"}" for v in values))
    return [row["x"] for row in rows], [failure.reason for failure in failures]


def table(columns: dict) -> Messages:
    batch = columns if isinstance(columns, pa.RecordBatch) else pa.RecordBatch.from_pydict(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    positions = list(range(1, batch.num_rows + 1))
    return Messages("a.avro", positions, [], table=sink.getvalue().to_pybytes())


def test_events_carry_rows_positions_payloads_and_watermark():
    messages = lines(b'{"customer_id": "Alice", "created": 1}')._replace(watermark_ms=7)
    events, failures = decode_messages(messages, ICE_CREAM)
    assert events.batch.to_pylist() == [{"customer_id": "Alice", "created": 1}]
    assert events[1:] == ("a.jsonl", [1], messages.payloads, 7)
    assert failures == []


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
    events, failures = decode_messages(lines(good, payload, good), ICE_CREAM)
    assert events.positions == [1, 3]
    assert events.payloads == [good, good]
    assert events.batch.num_rows == 2
    assert [f._replace(reason="") for f in failures] == [
        Failure("Decode", "", payload, "a.jsonl", 2)
    ]
    assert reason in failures[0].reason


def test_bad_messages_of_every_kind_fail_together_in_order():
    payloads = [b"{bad", b'{"created": "1"}', b'{"created": 3}', b"[]", b'{"customer_id": 5}']
    events, failures = decode_messages(lines(*payloads), ICE_CREAM)
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


def test_boolean_is_no_double_and_number_no_boolean():
    assert column(pa.float64(), b"true") == ([], ["column 'x': expected DOUBLE, found True"])
    assert column(pa.bool_(), b"1", b"false")[0] == [False]


def test_small_types_refuse_what_is_out_of_range():
    assert column(pa.int8(), b"127", b"128") == (
        [127],
        ["column 'x': expected TINYINT, found 128 (out of range)"],
    )
    assert column(pa.float32(), b"1.5", b"1e300")[0] == [1.5]


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
        Decode(pa.schema([("x", pa.time64("us"))]))


def test_empty_messages_give_no_events():
    assert decoded(ICE_CREAM) == ([], [])


def test_unreadable_source_is_a_failure_of_the_step_read():
    events, failures = decode_messages(
        Messages("a.gz", [7], [b"half a li"], error="truncated"), ICE_CREAM
    )
    assert events.batch.num_rows == 0
    assert failures == [Failure("Read", "truncated", b"half a li", "a.gz", 7)]
    assert decode_messages(Messages("a.gz", [], [], error="gone"), ICE_CREAM)[1] == [
        Failure("Read", "gone", b"", "a.gz", -1)
    ]


def test_table_is_taken_as_it_is_when_it_has_the_schema():
    messages = table({"customer_id": ["Alice", None], "created": [1, 2]})
    events, failures = decode_messages(messages, ICE_CREAM)
    assert events.batch.to_pydict() == {"customer_id": ["Alice", None], "created": [1, 2]}
    assert (events.positions, events.payloads, failures) == ([1, 2], None, [])


def test_table_is_cast_and_values_that_do_not_fit_fail_alone():
    schema = pa.schema([("a", pa.int8()), ("missing", pa.string()), ("T", pa.timestamp("us"))])
    times = pa.array([1, 2_000_001, 3], pa.timestamp("ns"))
    batch = pa.RecordBatch.from_arrays([pa.array([1, 2, 300]), times], ["a", "t"])
    events, failures = decode_messages(table(batch), schema)
    assert events.batch.column("a").to_pylist() == [1, 2]
    assert events.batch.column("T").cast(pa.int64()).to_pylist() == [0, 2000]
    assert events.batch.column("missing").to_pylist() == [None, None]
    assert events.positions == [1, 2]
    assert failures[0].position == 3
    assert failures[0].reason == "column 'a': expected TINYINT, found 300"
    assert json.loads(failures[0].payload)["a"] == 300


def test_table_of_another_kind_is_refused_not_parsed():
    events, failures = decode_messages(
        table({"created": ["12", None]}), pa.schema([("created", pa.int64())])
    )
    assert events.positions == [2]
    assert "STRING is no BIGINT" in failures[0].reason


def test_broken_table_is_one_failure():
    messages = Messages("a.avro", [5, 6], [], table=b"no arrow")
    events, failures = decode_messages(messages, ICE_CREAM)
    assert events.batch.num_rows == 0
    assert (failures[0].position, failures[0].payload) == (5, b"no arrow")


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
    events, failures = decode_messages(lines(*payloads), schema)
    found = sorted([*events.positions, *(failure.position for failure in failures)])
    assert found == list(range(1, len(payloads) + 1))
    alone = [decode_messages(lines(payload), schema)[0].batch for payload in payloads]
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


def test_decode_in_a_pipeline_gives_events_failures_and_counters():
    batches = [
        lines(b'{"created": 1}', b"{bad"),
        lines(b"bad"),
        Messages("t", [], [], watermark_ms=MIN_MS),
        Messages("idle", [], [], watermark_ms=5),
    ]
    with beam.Pipeline(runner=FnApiRunner()) as root:
        decoded = root | beam.Create(batches, reshuffle=False) | Decode(ICE_CREAM, _counted)
        assert_that(decoded.events | beam.Map(_seen), equal_to([([1], MIN_MS), ([], 5)]))
        assert_that(
            decoded.failures | beam.Map(lambda each: each.position), equal_to([2, 1]), "failures"
        )
    found = root.result.metrics().query()["counters"]
    counters = {each.key.metric.name: each.committed for each in found}
    assert counters == {"messages": 3, "dead": 2}


def _counted(name: str, number: int) -> None:
    Metrics.counter("test", name).inc(number)


def _seen(events: Events) -> tuple[list[int], int]:
    return events.positions, events.watermark_ms


@pytest.mark.parametrize("value", ['"ab"', '{"a": 1}', "7"])
@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.struct({"x": pa.list_(pa.string())})])
def test_what_is_no_list_is_refused_where_a_list_is_expected(value, kind):
    nested = value if pa.types.is_list(kind) else f'{{"x": {value}}}'
    line = f'{{"tags": {nested}}}'.encode()
    events, failures = decode_messages(Messages("here", [1], [line]), pa.schema({"tags": kind}))
    assert events.batch.num_rows == 0
    assert "expected ARRAY<STRING>" in failures[0].reason
