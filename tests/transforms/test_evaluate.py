"""The stage Evaluate, with values that Python cannot hold."""

import base64

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from chronon_beam.transforms.decode import Events
from chronon_beam.transforms.evaluate import evaluate_events
from chronon_beam.transforms.spark.compiled_query import compile_query
from chronon_beam.transforms.spark.query import SqlQuery

SELECTS = {
    "s": "CAST(unbase64(b) AS STRING)",
    "m": "map(CAST(unbase64(b) AS STRING), DATE'1970-01-01' + days)",
    "ts": "t",
}
QUERY = SqlQuery(
    tuple(SELECTS.items()),
    (),
    (),
    pa.schema([("b", pa.string()), ("days", pa.int32()), ("t", pa.int64())]),
    tuple(SELECTS),
)
texts = st.none() | st.text(max_size=2).map(str.encode) | st.binary(max_size=2)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(texts, st.sampled_from([0, 4_000_000]), st.none() | st.just(5))))
def test_what_python_has_no_value_for_costs_its_event_alone(drawn):
    payloads = [b"%d" % at for at in range(len(drawn))]
    batch = pa.RecordBatch.from_pylist(
        [
            {"b": None if b is None else base64.b64encode(b).decode(), "days": days, "t": t}
            for b, days, t in drawn
        ],
        QUERY.schema,
    )
    events = Events(batch, "here", list(range(len(drawn))), payloads)
    rows, failures, _ = evaluate_events(compile_query(QUERY), events)
    good = [at for at, (b, days, t) in enumerate(drawn) if is_text(b) and t and days == 0]
    assert rows.positions == good
    assert [row["s"] for row in rows.batch.to_pylist()] == [drawn[at][0].decode() for at in good]
    assert sorted(failure.position for failure in failures) == sorted(
        set(range(len(drawn))) - set(good)
    )
    assert {failure.payload for failure in failures} <= set(payloads)


def is_text(value: bytes | None) -> bool:
    """Null is none here, since a map has no null key."""
    try:
        return value is not None and value.decode() is not None
    except UnicodeDecodeError:
        return False
