"""The stage Decode: events, failures and counts, with serdes of the tests' own."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.metrics import Metrics
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.api import plugins
from chronon_beam.api.counts import Kind, kind_of
from chronon_beam.api.records import Envelope, Envelopes, Failure, Form, Messages
from chronon_beam.api.serde import Decoded, Format
from chronon_beam.transforms.attributes import with_attributes
from chronon_beam.transforms.decode import Decode, Events, decode_messages
from chronon_beam.transforms.serdes import open_serde
from chronon_beam.transforms.serdes.json import JsonSerDe

ICE_CREAM = pa.schema([("customer_id", pa.string()), ("created", pa.int64())])
DECODER = JsonSerDe().decoder(ICE_CREAM)
TEXT = pa.schema([("text", pa.string())])


@dataclass(frozen=True)
class Brittle:
    """A serde of somebody else: text, and an exception for a message that holds a `!`."""

    error: type[Exception] = RuntimeError

    def schema(self) -> pa.Schema:
        return TEXT

    def decoder(self, columns: pa.Schema) -> "Brittle":
        if columns.names != ["text"]:
            raise ValueError(f"text has no columns {columns.names}")
        return self

    def decode(self, messages: Messages) -> Decoded:
        if any(b"!" in payload for payload in messages.payloads):
            raise self.error("no exclamations")
        reasons = {i: "empty" for i, payload in enumerate(messages.payloads) if not payload}
        texts = [payload.decode() for payload in messages.payloads if payload]
        return Decoded(pa.RecordBatch.from_pydict({"text": texts}, TEXT), reasons)

    def close(self) -> None:
        pass


def lines(*payloads: bytes) -> Messages:
    return Messages("a.jsonl", list(range(1, len(payloads) + 1)), list(payloads))


def test_events_carry_rows_positions_payloads_and_promises():
    messages = lines(b'{"customer_id": "Alice", "created": 1}')
    messages = messages._replace(promised_ms=pa.array([7]))
    events, failures, _ = decode_messages(messages, JsonSerDe().decoder(ICE_CREAM))
    assert events.batch.to_pylist() == [{"customer_id": "Alice", "created": 1}]
    assert events[1:] == ("a.jsonl", [1], messages.payloads, pa.array([7]), None, None)
    assert failures == []


def test_unreadable_source_is_a_failure_of_the_step_read():
    events, failures, _ = decode_messages(
        Messages("a.gz", [7], [b"half a li"], error="truncated"), DECODER
    )
    assert events.batch.num_rows == 0
    assert failures == [Failure("Read", "truncated", b"half a li", "a.gz", 7)]
    assert decode_messages(Messages("a.gz", [], [], error="gone"), DECODER)[1] == [
        Failure("Read", "gone", b"", "a.gz", -1)
    ]


@given(st.lists(st.sampled_from([b"good", b"", b"bad!"]), max_size=12))
def test_a_serde_that_raises_loses_only_the_messages_it_raises_for(payloads):
    promised_ms = pa.array(range(1, len(payloads) + 1), pa.int64())
    messages = lines(*payloads)._replace(promised_ms=promised_ms)
    events, failures, _ = decode_messages(messages, Brittle())
    assert events.promised_ms.to_pylist() == events.positions
    assert events.payloads == [each for each in payloads if each == b"good"]
    assert events.batch.column("text").to_pylist() == ["good"] * events.batch.num_rows
    assert [events.batch.num_rows, len(events.positions)] == [payloads.count(b"good")] * 2
    told = {b"": "empty", b"bad!": "the serde failed: RuntimeError: no exclamations"}
    assert failures == [
        Failure("Decode", told[payload], payload, "a.jsonl", position, Form.MESSAGE)
        for position, payload in enumerate(payloads, 1)
        if payload in told
    ]


def test_a_service_that_is_down_fails_the_bundle_and_buries_nothing():
    with pytest.raises(ConnectionError, match="no exclamations"):
        decode_messages(lines(b"good", b"bad!"), Brittle(ConnectionError))


def test_a_column_that_the_serde_cannot_read_stops_the_build():
    with pytest.raises(ValueError, match="text has no columns"):
        Decode(Brittle(), ICE_CREAM)


def test_decode_in_a_pipeline_gives_events_failures_and_counters():
    batches = [
        lines(b'{"created": 1}', b"{bad"),
        lines(b"bad"),
        Messages("t", [], []),
    ]
    with beam.Pipeline(runner=FnApiRunner()) as root:
        decoded = (
            root | beam.Create(batches, reshuffle=False) | Decode(JsonSerDe(), ICE_CREAM, _counted)
        )
        assert_that(decoded.events | beam.Map(_seen), equal_to([[1]]))
        assert_that(
            decoded.failures | beam.Map(lambda each: each.position), equal_to([2, 1]), "failures"
        )
    found = root.result.metrics().query()["counters"]
    counters = {each.key.metric.name: each.committed for each in found}
    assert counters == {"messages": 3, "message_bytes": 21, "deserialization_errors": 2}


def _counted(name: str, number: int, part: str = "") -> None:
    if kind_of(name) is Kind.COUNTER:
        Metrics.counter("test", name).inc(number)


def _seen(events: Events) -> list[int]:
    return events.positions


def test_serdes_are_opened_by_name_with_the_parameters_of_the_source():
    assert open_serde(Format("json")) == JsonSerDe()
    with pytest.raises(ValueError, match="format json has no parameter 'colour'"):
        open_serde(Format("json", {"colour": "red"}))
    with pytest.raises(ValueError, match=r"format 'jsn': use one of arrow, .*json.*entry point"):
        open_serde(Format("jsn"))


def test_another_package_adds_a_serde_by_an_entry_point(monkeypatch):
    def brittle(parameters: Mapping[str, str]) -> Brittle:
        return Brittle({"key": KeyError}[parameters["error"]])

    @dataclass
    class Point:
        name: str = "brittle"

        def load(self):
            return brittle

    groups = {"chronon_beam.serdes": [Point()]}
    monkeypatch.setattr(plugins, "entry_points", lambda group: groups[group])
    assert open_serde(Format("brittle", {"error": "key"})) == Brittle(KeyError)


HEADERS = pa.schema([("__key", pa.binary()), ("Text", pa.int64()), ("day", pa.date32())])


def test_attributes_are_columns_beside_those_of_the_payload_which_go_first():
    serde = with_attributes(Brittle(), HEADERS, TEXT)
    assert serde.schema().names == ["text", "__key", "day"]
    known = pa.RecordBatch.from_pydict(
        {"__key": [b"a", b"b", None], "Text": [1, 2, 3], "day": [7, 8, None]}, HEADERS
    )
    messages = lines(b"x", b"", b"z")._replace(attributes=known)
    columns = pa.schema([HEADERS.field("__key"), *TEXT])
    decoder = pickle.loads(pickle.dumps(serde)).decoder(columns)
    events, failures, _ = decode_messages(messages, decoder)
    assert events.batch.schema == columns
    assert events.batch.to_pydict() == {"__key": [b"a", None], "text": ["x", "z"]}
    assert [failure.position for failure in failures] == [2]


def test_attributes_stay_with_their_message_where_another_fails_the_serde():
    serde = with_attributes(Brittle(), HEADERS, TEXT)
    known = pa.RecordBatch.from_pydict(
        {"__key": [b"a", b"b", b"c"], "Text": [1, 2, 3], "day": [1, 2, 3]}, HEADERS
    )
    messages = lines(b"x", b"!", b"z")._replace(attributes=known)
    events, _, _ = decode_messages(messages, serde.decoder(serde.schema()))
    assert events.batch.column("__key").to_pylist() == [b"a", b"c"]


def test_attributes_that_are_not_there_are_null():
    serde = with_attributes(Brittle(), HEADERS, TEXT)
    events, _, _ = decode_messages(lines(b"x"), serde.decoder(serde.schema()))
    assert events.batch.to_pylist() == [{"text": "x", "__key": None, "day": None}]


def test_dead_letters_hold_what_the_source_knows_of_their_messages():
    made = [Envelope(b"a", (), 5), Envelope(None, [("h", b"1")], 6)]
    envelopes = pickle.loads(pickle.dumps(Envelopes(made, lambda each: each)))
    of_broker = lines(b"{}", b"bad")._replace(envelopes=envelopes)
    events, (failure,), _ = decode_messages(of_broker, JsonSerDe().decoder(ICE_CREAM))
    assert failure.form is Form.MESSAGE
    assert (failure.key, failure.headers, failure.event_time_ms) == (None, [("h", b"1")], 6)
    assert events.envelopes.at(0) == made[0]
    assert len(events.envelopes.messages) == 1
    day = pa.record_batch({"day": ["2024-01-01", "2024-01-02"]})
    of_folders = lines(b"{}", b"bad")._replace(attributes=day)
    events, (failure,), _ = decode_messages(of_folders, JsonSerDe().decoder(ICE_CREAM))
    assert (failure.key, failure.attributes) == (None, '{"day": "2024-01-02"}')
    assert events.attributes.to_pylist() == [{"day": "2024-01-01"}]
