"""Columns and positions of messages, by Google's own classes."""

import pyarrow as pa
from google.pubsub_v1.types import PubsubMessage
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.api.records import Envelope
from chronon_beam.io.pubsub.attributes import COLUMNS, attributes_of, envelope_of, position_of


def test_a_query_has_what_it_asks_for() -> None:
    whole = PubsubMessage(
        attributes={"a": "1"},
        message_id="7",
        ordering_key="k",
        publish_time={"seconds": 2, "nanos": 5_999_999},
    )
    messages = [PubsubMessage.pb(each) for each in (whole, PubsubMessage(message_id="8"))]
    found = attributes_of(messages, pa.schema([("other", pa.int64()), *COLUMNS]))
    assert found is not None
    assert found.to_pylist() == [
        {
            "__attributes": [("a", "1")],
            "__message_id": "7",
            "__ordering_key": "k",
            "__publish_time": 2005,
        },
        {"__attributes": [], "__message_id": "8", "__ordering_key": None, "__publish_time": 0},
    ]
    assert attributes_of(messages, pa.schema([("other", pa.int64())])) is None
    assert envelope_of(messages[0]) == Envelope(b"k", [("a", b"1")], 2005)
    assert envelope_of(messages[1]) == Envelope(None, [], 0)


@given(st.integers(0, 2**63 - 1))
def test_a_number_is_its_own_position(number: int) -> None:
    assert position_of(str(number)) == number


@given(st.text(max_size=30))
def test_any_id_has_a_position(message_id: str) -> None:
    assert 0 <= position_of(message_id) < 2**63
    assert position_of(message_id) == position_of(message_id)
    assert position_of(message_id + "-") != position_of(message_id)
