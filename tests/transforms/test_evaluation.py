"""What a reading step makes of messages is what Decode and Evaluate make of them, one by one."""

import json
import pickle
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from apache_beam.pvalue import TaggedOutput

from chronon_beam.api.counts import Metric
from chronon_beam.api.records import FAILURES, Messages
from chronon_beam.transforms.decode import decode_messages
from chronon_beam.transforms.evaluate import evaluator
from chronon_beam.transforms.evaluation import RowEvaluation, StartRows
from chronon_beam.transforms.rows import Rows
from chronon_beam.transforms.serdes.json import JsonSerDe
from chronon_beam.transforms.spark.query import SqlQuery

SCHEMA = pa.schema([("ks", pa.list_(pa.string())), ("t", pa.int64()), ("ok", pa.bool_())])
QUERY = SqlQuery((("k", "explode(ks)"), ("ts", "t")), ("ok",), (), SCHEMA, ("k", "ts"))
_counts: Counter[str] = Counter()


def count(name: str, number: int, part: str = "") -> None:
    _counts[name] += number


START = StartRows(JsonSerDe(), SCHEMA, QUERY, False, count)


@pytest.fixture
def evaluation() -> Any:
    _counts.clear()
    # As a worker gets it.
    made = pickle.loads(pickle.dumps(START))()
    yield made
    made.close()


def messages_of(*events: Any) -> Messages:
    lines = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in events]
    return Messages("topic/0", list(range(10, 10 + 2 * len(lines), 2)), lines)


MESSAGES = messages_of(
    {"ks": ["a", "b"], "t": 5, "ok": True},
    {"ks": ["c"], "t": 6, "ok": False},
    b'{"ks": ',
    {"ks": [], "t": 7, "ok": True},
    {"ks": ["d"], "t": None, "ok": True},
    {"ks": ["e"], "t": 3, "ok": True},
)


def test_each_row_has_its_time_and_the_offset_of_its_message(evaluation: RowEvaluation) -> None:
    (found,) = evaluation(MESSAGES)
    assert (found.positions, found.times_ms.to_pylist()) == ([10, 10, 20], [5, 5, 3])


def test_rows_failures_and_counts_are_those_of_the_two_steps(evaluation: RowEvaluation) -> None:
    decoder = JsonSerDe().decoder(SCHEMA)
    decoded = decode_messages(MESSAGES, decoder)
    evaluated = evaluator(QUERY)(decoded.batch)
    promised_ms = pa.array([1, 1, 2], pa.int64())
    *letters, rows = evaluation(MESSAGES)[0].outputs(promised_ms)
    assert isinstance(rows, Rows)
    assert rows == evaluated.batch._replace(promised_ms=promised_ms)
    assert all(isinstance(each, TaggedOutput) and each.tag == FAILURES for each in letters)
    assert [each.value for each in letters] == [*decoded.failures, *evaluated.failures]
    assert [each.value.position for each in letters] == [14, 18]
    steps = {Metric.DEAD_DECODE: 1, Metric.DEAD_EVALUATE: 1}
    assert _counts.pop(Metric.SPARK_TIME) > 0
    expected = Counter({**decoded.counts, **evaluated.counts, **steps})
    del expected[Metric.SPARK_TIME]
    assert +_counts == +expected


def test_nothing_is_counted_before_the_outputs_are_taken(evaluation: RowEvaluation) -> None:
    evaluation(MESSAGES)
    assert not _counts


def test_what_could_not_be_read_is_a_letter_without_rows(evaluation: RowEvaluation) -> None:
    lost = Messages("topic/0", [7], [b""], error="offsets 7 to 9 were deleted")
    (found,) = evaluation(lost)
    assert (found.positions, len(found.times_ms)) == ([], 0)
    (letter,) = found.outputs(pa.array([], pa.int64()))
    assert (letter.value.step, letter.value.position) == ("Read", 7)
