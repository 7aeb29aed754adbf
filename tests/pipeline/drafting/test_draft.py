"""A drafted GroupBy runs as it is, whatever the columns are; its guesses are those of a person."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from chronon_beam.api.load import load_group_by
from chronon_beam.pipeline.drafting.draft import Draft, draft
from chronon_beam.pipeline.drafting.page import as_python
from chronon_beam.pipeline.options import UsageError
from chronon_beam.transforms.evaluate import plan_of, sql_query
from chronon_beam.transforms.spark.compiled_query import compile_query

NOON = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
NOON_MS = 1_714_564_800_000


def batch(**columns: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(columns)


def times(events: pa.RecordBatch, made: Draft, folder: Path) -> list[int]:
    """The file is written, loaded and planned; gives the times of the events."""
    file = folder / "mine.py"
    file.write_text(as_python(made, "file:x"), encoding="utf-8")
    group_by = load_group_by(str(file))
    compiled = compile_query(sql_query(group_by, events.schema))
    assert plan_of(group_by, compiled, "tumbling").checked(tiled=True)
    return compiled.evaluate(events).rows.column("ts").to_pylist()


COLUMNS = st.sampled_from(
    [
        pa.array([1, 2]),
        pa.array([1, 2], pa.int8()),
        pa.array([1.5, None]),
        pa.array(["a", "b"]),
        pa.array(["1.5", "-2"]),
        pa.array([True, False]),
        pa.array([Decimal("1.50"), None]),
        pa.array([b"a", b"b"]),
        pa.array([["a"], []]),
        pa.array([{"a": 1}, {"a": 2}]),
        pa.array([NOON.date(), None]),
        pa.array([NOON, NOON], pa.timestamp("us", "UTC")),
        pa.array([NOON_MS, NOON_MS]),
        pa.array([None, None], pa.string()),
    ]
)
NAMES = st.sampled_from(
    [
        "id",
        "user id",
        "class",
        "ts",
        "TS_",
        "a.b",
        "select",
        "order",
        "2nd",
        "prix-é",
        "a`b",
        "time",
    ]
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(NAMES, COLUMNS, min_size=2))
def test_draft_of_any_columns_runs_as_it_is(tmp_path: Path, columns: dict[str, pa.Array]) -> None:
    lower = [name.lower() for name in columns]
    assume(len(set(lower)) == len(lower))  # Spark tells columns apart without their case
    events = pa.RecordBatch.from_arrays([*columns.values()], [*columns])
    try:
        made = draft(events, "2024 sales")
    except UsageError:
        return  # nothing is a time, or nothing can be a key
    assert made.variable == "_2024_sales"
    times(events, made, tmp_path)


@pytest.mark.parametrize(
    "column",
    [
        [NOON_MS],
        [NOON_MS // 1000],
        [NOON_MS * 1000 + 7],
        [NOON_MS * 1_000_000 + 7],
        [NOON_MS / 1000],
        [str(NOON_MS // 1000)],
        ["2024-05-01T12:00:00Z"],
        ["2024-05-01 14:00:00.000+02:00"],
        pa.array([NOON], pa.timestamp("ms", "UTC")),
        pa.array([NOON.replace(tzinfo=None)], pa.timestamp("us")),
    ],
    ids=str,
)
def test_time_is_noon_whatever_it_is_written_in(tmp_path: Path, column: Any) -> None:
    events = batch(user=["Ann"], created=column, price=[2.5])
    made = draft(events, "sales")
    assert (made.time.column, made.time.latest_ms) == ("created", NOON_MS)
    assert times(events, made, tmp_path) == [NOON_MS]


def test_key_is_what_events_are_about_and_not_what_each_has_of_its_own() -> None:
    made = draft(
        batch(
            event_id=["a", "b", "c"],
            amount=[1, 2, 1],
            user_id=[7, 7, 8],
            paid_at=[NOON_MS, NOON_MS, NOON_MS],
        ),
        "sales",
    )
    assert list(made.keys) == ["user_id"]
    assert made.example == {"user_id": 8}
    assert {each.alias: each.operations for each in made.inputs} == {
        "user_id": ("COUNT",),
        "event_id": ("APPROX_UNIQUE_COUNT",),
        "amount": ("SUM", "AVERAGE"),
    }


def test_best_of_several_times_is_taken_and_the_others_are_named() -> None:
    moments = ["2024-05-01T12:00:00Z"]
    made = draft(batch(user=["a"], updated=moments, created_at=moments), "sales")
    assert made.time.column == "created_at"
    assert ("updated", "string", "left out; could be the time, too: see --time") in made.remarks


def test_column_and_time_of_the_users_choice(tmp_path: Path) -> None:
    events = batch(a=["x"], b=["y"], day=["01/05/2024"])
    made = draft(events, "sales", ["b", "a"], "unix_millis(to_timestamp(day, 'dd/MM/yyyy'))")
    assert list(made.keys) == ["b", "a"]
    assert times(events, made, tmp_path) == [NOON_MS - 12 * 3_600_000]


@pytest.mark.parametrize(
    ("columns", "keys", "message"),
    [
        ({"a": ["x"], "b": ["y"]}, [], "none of the columns a, b looks like a time"),
        ({"a": ["x"], "ts": [NOON_MS]}, ["c"], "--key=c: there is no such column"),
        ({"ts": [NOON_MS], "v": [1.5]}, [], "no column can be the key"),
    ],
)
def test_what_cannot_be_guessed_is_reported(
    columns: dict[str, Any], keys: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        draft(batch(**columns), "sales", keys)
