"""A query reads the columns that it names: the others may be anything."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.api.formats.refused import refused
from chronon_beam.transforms.spark.compiled_query import compile_query
from chronon_beam.transforms.spark.errors import QueryError
from chronon_beam.transforms.spark.query import SqlQuery

ODD = [
    pa.field("Note", pa.string()),
    pa.field("note", pa.int64()),
    pa.field("time_of_day", pa.time64("us")),
    pa.field("either", pa.dense_union([pa.field("a", pa.int32()), pa.field("b", pa.string())])),
    pa.field("wide", pa.decimal256(50, 2)),
    refused("next", "field 'next': record Node holds itself"),
]
PLAIN = [("k", pa.string()), ("v", pa.int64()), ("tags", pa.list_(pa.string()))]
SCHEMA = pa.schema([ODD[0], ("k", pa.string()), *ODD[1:], *PLAIN[1:]])


def query(selects: dict[str, str], *wheres: str, columns: tuple[str, ...] = ()) -> SqlQuery:
    wanted = columns or tuple(selects)
    return SqlQuery(tuple(selects.items()), wheres, (), SCHEMA, wanted)


@pytest.mark.parametrize(
    ("wanted", "read"),
    [
        (query({"a": "k"}), ["k"]),
        (query({"a": "v + 1", "b": "upper(k)"}, columns=("a",)), ["v"]),
        (query({"a": "k"}, "v > 1"), ["k", "v"]),
        (query({"a": "k", "b": "v"}, "b > 1", columns=("a",)), ["k", "v"]),
        (query({"a": "explode(tags)", "b": "xxhash64(*)"}, columns=("a",)), ["tags"]),
        (query({"a": "1"}), ["Note"]),
        (query({"a": "v"}, "1 = 2"), ["Note"]),
    ],
)
def test_only_named_columns_are_read(wanted, read):
    compiled = compile_query(wanted)
    assert sorted(compiled.inputs.names) == sorted(read)
    assert compiled.inputs.names == [name for name in SCHEMA.names if name in read]


def test_operators_that_spark_does_not_compile_copy_columns_that_nobody_reads():
    compiled = compile_query(query({"a": "transform(tags, tag -> tag || '!')"}))
    batch = pa.RecordBatch.from_pylist([{"tags": ["s", None]}], compiled.inputs)
    assert compiled.evaluate(batch).rows.to_pylist() == [{"a": ["s!", None]}]
    compiled = compile_query(query({"a": "transform_values(map(k, v), (name, n) -> n * 2)"}))
    batch = pa.RecordBatch.from_pylist([{"k": "x", "v": 4}], compiled.inputs)
    assert compiled.evaluate(batch).rows.to_pylist() == [{"a": [("x", 8)]}]


def test_rows_are_right_whatever_else_the_events_have():
    compiled = compile_query(query({"a": "k", "b": "v * 2", "c": "explode(tags)"}, "v > 1"))
    batch = pa.RecordBatch.from_pylist(
        [{"k": "x", "v": i, "tags": ["s", None]} for i in range(4)], compiled.inputs
    )
    evaluated = compiled.evaluate(batch)
    assert evaluated.events == [2, 2, 3, 3]
    assert evaluated.rows.to_pylist()[:2] == [
        {"a": "x", "b": 4, "c": "s"},
        {"a": "x", "b": 4, "c": None},
    ]


@pytest.mark.parametrize(
    ("selects", "said"),
    [
        ({"a": "next"}, "input column `next` cannot be read: field 'next': record Node holds itse"),
        ({"a": "either"}, "input column `either` cannot be read: it has type dense_union"),
        ({"a": "to_json(struct(*))"}, "cannot be read: .*`\\*` names all columns"),
        ({"a": "note"}, "AMBIGUOUS"),
    ],
)
def test_what_is_named_and_cannot_be_read_is_refused_when_the_query_is_planned(selects, said):
    with pytest.raises(QueryError, match=said):
        compile_query(query(selects))


STAR = SqlQuery(
    selects=(("h", "xxhash64(*)"), ("j", "to_json(struct(*))"), ("s", "concat_ws('-', *)")),
    wheres=("size(array(*)) = 3",),
    setups=(),
    schema=pa.schema([("k", pa.string()), ("l", pa.string())]),
    columns=("h", "j", "s"),
)


@given(st.lists(st.sampled_from(["a", "b", None]), max_size=6))
def test_a_star_is_what_the_user_sees_and_the_same_wherever_the_event_stands(keys):
    compiled = compile_query(STAR)
    events = pa.RecordBatch.from_pylist([{"k": key, "l": "x"} for key in keys], STAR.schema)
    evaluated = compiled.evaluate(events)
    assert evaluated.events == range(len(keys))
    each = [compiled.evaluate(events[at : at + 1]).rows for at in range(len(keys))]
    alone = [row for rows in each for row in rows.to_pylist()]
    assert evaluated.rows.to_pylist() == alone
    for key, row in zip(keys, alone, strict=True):
        assert row["j"] == ('{"l":"x"}' if key is None else f'{{"k":"{key}","l":"x"}}')
        assert row["s"] == ("x" if key is None else f"{key}-x")
