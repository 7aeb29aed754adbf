"""What several GroupBys make of the same messages is what each makes of them by itself."""

import json
import pickle
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
from apache_beam.pvalue import TaggedOutput
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.api.counts import Metric
from chronon_beam.api.records import FAILURES, Messages
from chronon_beam.transforms.evaluation import EvaluatedRows, StartRows
from chronon_beam.transforms.serdes.json import JsonSerDe
from chronon_beam.transforms.shared_evaluation import (
    SharedEvaluation,
    SharedRows,
    StartShared,
    failures_of,
    rows_of,
)
from chronon_beam.transforms.spark.query import SqlQuery

SCHEMA = pa.schema(
    [("ks", pa.list_(pa.string())), ("d", pa.float64()), ("t", pa.int64()), ("u", pa.int64())]
)
QUERIES = (
    SqlQuery((("k", "explode(ks)"), ("ts", "t")), (), (), SCHEMA, ("k", "ts")),
    SqlQuery((("d", "d"), ("ts", "u")), ("d > 0",), (), SCHEMA, ("d", "ts")),
    SqlQuery((("n", "size(ks)"), ("ts", "u + t")), (), (), SCHEMA, ("n", "ts")),
)
READ = (("ks", "t"), ("d", "u"), ("ks", "t", "u"))
_counts: dict[str, Counter[str]] = {name: Counter() for name in "abc"}


@dataclass(frozen=True)
class CountOf:
    group_by: str

    def __call__(self, name: str, number: int, part: str = "") -> None:
        if name != Metric.SPARK_TIME:
            _counts[self.group_by][name] += number


EACH = tuple(
    StartRows(
        JsonSerDe(), pa.schema([SCHEMA.field(name) for name in read]), query, False, CountOf(name)
    )
    for read, query, name in zip(READ, QUERIES, _counts, strict=True)
)
DAMAGED = st.just({"damaged": True})
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "ks": st.none() | st.lists(st.text(max_size=1), max_size=2) | DAMAGED,
        "d": st.none() | st.floats(-1, 1) | DAMAGED,
        "t": st.none() | st.integers(0, 9) | DAMAGED,
        "u": st.none() | st.integers(0, 9) | DAMAGED,
    },
)
LINES = EVENTS.map(lambda event: json.dumps(event).encode()) | st.just(b'{"ks": ')


@pytest.fixture(scope="module")
def shared() -> Any:
    made = pickle.loads(pickle.dumps(StartShared(JsonSerDe(), SCHEMA, EACH)))()
    yield made
    made.close()


@pytest.fixture(scope="module")
def alone() -> Any:
    made = [start() for start in EACH]
    yield made
    for each in made:
        each.close()


def outputs(rows: EvaluatedRows | SharedRows) -> tuple[list[Any], dict[str, Counter[str]]]:
    """Rows and failures with the tags of one GroupBy alone, and what was counted."""
    for each in _counts.values():
        each.clear()
    promised_ms = pa.array(range(len(rows.positions)), pa.int64())
    found = []
    for output in rows.outputs(promised_ms):
        if isinstance(output, TaggedOutput):
            found.append((output.tag, output.value))
        else:
            found.append((None, output))
    return found, {name: +each for name, each in _counts.items()}


@given(lines=st.lists(LINES, min_size=1, max_size=6))
def test_rows_letters_and_counts_are_those_of_each_by_itself(
    shared: SharedEvaluation, alone: list[Any], lines: list[bytes]
) -> None:
    messages = Messages("topic/0", list(range(len(lines))), lines)
    found = shared(messages)
    for sharer, (mine, one) in enumerate(zip(found, alone, strict=True)):
        (expected,) = one(messages)
        assert list(mine.positions) == list(expected.positions)
        assert mine.times_ms == expected.times_ms
        tags = {rows_of(sharer): None, failures_of(sharer): FAILURES}
        given_out, counts = outputs(mine)
        assert [(tags[tag], value) for tag, value in given_out] == outputs(expected)[0]
        assert counts == outputs(expected)[1]


def test_what_could_not_be_read_is_a_letter_of_each(shared: SharedEvaluation) -> None:
    lost = Messages("topic/0", [7], [b""], error="offsets 7 to 9 were deleted")
    for sharer, each in enumerate(shared(lost)):
        (letter,) = each.outputs(pa.array([], pa.int64()))
        assert (letter.tag, letter.value.step) == (failures_of(sharer), "Read")
