"""The hint for a time column of the wrong type, followed to the letter, gives the right time."""

import datetime as dt
import decimal
import re
from typing import Any

import pyarrow as pa
import pytest

from chronon_beam.api import (
    Aggregation,
    EventSource,
    GroupBy,
    GroupByError,
    Operation,
    Query,
    Source,
)
from chronon_beam.transforms.evaluate import plan_of, sql_query
from chronon_beam.transforms.spark.compiled_query import compile_query
from chronon_beam.transforms.spark.session import parse_ddl

NOON = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
NOON_MS = 1_714_564_800_000


def group_by(time_column: str) -> GroupBy:
    query = Query(selects={"u": "'Ann'"}, time_column=time_column)
    source = Source(events=EventSource(query=query))
    return GroupBy(
        sources=source, keys=["u"], aggregations=[Aggregation("u", Operation.COUNT)], name="t.t"
    )


def refusal(time_column: str, schema: pa.Schema) -> str:
    declared = group_by(time_column)
    with pytest.raises(GroupByError) as refused:
        plan_of(declared, compile_query(sql_query(declared, schema)), "tumbling")
    return str(refused.value)


@pytest.mark.parametrize(
    ("ddl", "value", "which"),
    [
        ("t STRING", "2024-05-01T12:00:00Z", 0),
        ("t STRING", "2024-05-01 14:00:00+02:00", 0),
        ("t STRING", str(NOON_MS), 1),
        ("t TIMESTAMP", NOON, 0),
        ("t TIMESTAMP_NTZ", NOON.replace(tzinfo=None), 0),
        ("t DECIMAL(20,0)", decimal.Decimal(NOON_MS), 0),
    ],
)
def test_hint_gives_milliseconds(ddl: str, value: Any, which: int) -> None:
    schema = parse_ddl(ddl)
    hinted = re.findall(r"(?:unix_millis|CAST)\(.*?\bt\b.*?\)+", refusal("t", schema))[which]
    compiled = compile_query(sql_query(group_by(hinted), schema))
    batch = pa.record_batch([pa.array([value], schema.field("t").type)], schema=schema)
    assert compiled.evaluate(batch).rows.column("ts").to_pylist() == [NOON_MS]


def test_hint_for_a_date_is_its_midnight() -> None:
    schema = parse_ddl("t DATE")
    assert "write unix_millis(CAST(t AS TIMESTAMP))" in refusal("t", schema)
    compiled = compile_query(sql_query(group_by("unix_millis(CAST(t AS TIMESTAMP))"), schema))
    batch = pa.record_batch([pa.array([NOON.date()])], schema=schema)
    midnight_ms = NOON_MS - 12 * 3_600_000
    assert compiled.evaluate(batch).rows.column("ts").to_pylist() == [midnight_ms]


def test_hint_names_the_expression_that_the_query_has() -> None:
    refused = refusal("coalesce(t, x)", parse_ddl("t TIMESTAMP, x TIMESTAMP"))
    assert "time column 'coalesce(t, x)' is of type timestamp" in refused
    assert "write unix_millis(coalesce(t, x))" in refused


def test_a_list_is_not_a_time() -> None:
    assert "choose another column" in refusal("t", parse_ddl("t ARRAY<STRING>"))
