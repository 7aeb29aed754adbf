"""Selects and wheres give what Spark's own DataFrame gives, event by event."""

import datetime as dt
import decimal
import json
import pickle
import random
import threading

import pyarrow as pa
import pytest

from chronon_beam.transforms.spark.compiled_query import CompiledQuery, compile_query
from chronon_beam.transforms.spark.query import SqlQuery
from chronon_beam.transforms.spark.session import local_spark, parse_ddl, session

EVENTS = (
    "id STRING, user BIGINT, amount STRING, price DECIMAL(12,2), payload STRING, url STRING, "
    "created TIMESTAMP, tags ARRAY<STRING>, props MAP<STRING,STRING>, "
    "addr STRUCT<city: STRING, zip: INT>, score DOUBLE, day DATE"
)
HEAVY = {
    "user": "CAST(user AS STRING)",
    "amt": "CAST(amount AS DOUBLE)",
    "is_big": "IF(price > 100.00, 1, 0)",
    "cents": "CAST(price * 100 AS BIGINT)",
    "score": "COALESCE(CAST(get_json_object(payload, '$.score') AS DOUBLE), score, 0.0)",
    "host": "regexp_extract(url, '^https?://([^/]+)/', 1)",
    "d": "date_format(created, 'yyyy-MM-dd')",
    "parsed": "to_timestamp(amount, 'yyyy-MM-dd')",
    "dow": "dayofweek(day)",
    "n_tags": "size(filter(tags, t -> t != ''))",
    "cat": "COALESCE(props['category'], element_at(tags, 1), 'none')",
    "city": "upper(trim(addr.city))",
    "bad": "1 / 0 + CAST('x' AS INT)",
    "ts": "unix_millis(created)",
}


def events(count: int) -> pa.RecordBatch:
    choose = random.Random(7)
    rows = [
        {
            "id": None if i % 20 == 19 else f"e{i}",
            "user": choose.randrange(30),
            "amount": choose.choice(["12.5", "bad", None, "7", "2024-02-31"]),
            "price": decimal.Decimal(choose.randrange(30_000)).scaleb(-2),
            "payload": json.dumps({"score": i / 7}) if i % 9 else "not json",
            "url": f"https://example{i % 13}.com/path",
            "created": dt.datetime(1969, 12, 31, 23, tzinfo=dt.UTC) + dt.timedelta(minutes=i * 7),
            "tags": ["a", "", None, f"b{i % 5}"][: i % 5] if i % 4 else None,
            "props": {"category": f"c{i % 11}", "z": None} if i % 3 else {},
            "addr": {"city": " Oslo ", "zip": i} if i % 5 else None,
            "score": i / 3,
            "day": dt.date(2024, 1, 1 + i % 28),
        }
        for i in range(count)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=parse_ddl(EVENTS))


def query(
    selects: dict[str, str], *wheres: str, schema: str = EVENTS, columns: tuple[str, ...] = ()
) -> SqlQuery:
    return SqlQuery(
        selects=tuple(selects.items()),
        wheres=wheres,
        setups=(),
        schema=parse_ddl(schema),
        columns=columns or tuple(selects),
    )


def rows(compiled: CompiledQuery, batch: pa.RecordBatch) -> list[dict]:
    evaluated = compiled.evaluate(batch)
    assert evaluated.failures == []
    assert len(evaluated.events) == evaluated.rows.num_rows
    return evaluated.rows.to_pylist()


def collected(wanted: SqlQuery, batch: pa.RecordBatch) -> list[dict]:
    """The same by a Spark job."""
    frame = session().createDataFrame(pa.Table.from_batches([batch]))
    frame = frame.selectExpr(*(f"{text} AS `{name}`" for name, text in wanted.selects))
    for where in wanted.wheres:
        frame = frame.where(where)
    return frame.select(*wanted.columns).toArrow().to_pylist()


def numbers(*values: int | None) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"n": n} for n in values], schema=parse_ddl("n BIGINT"))


@pytest.mark.parametrize(
    "wanted",
    [
        lambda: query({"id": "id", "ts": "unix_millis(created)"}, "id IS NOT NULL"),
        lambda: query(HEAVY, "id IS NOT NULL AND user > 10", "url LIKE '%1.com%' OR score > 9"),
        lambda: query({"tag": "explode(tags)", "id": "id"}, "id IS NOT NULL"),
        lambda: query({"tag": "EXPLODE_OUTER(tags)", "id": "id"}),
        lambda: query({"score": "json_tuple(payload, 'score')", "id": "id"}),
        lambda: query({name: name for name in parse_ddl(EVENTS).names}),
        lambda: query({"never": "id"}, "1 = 2"),
    ],
    ids=["simple", "heavy", "explode", "explode_outer", "json_tuple", "all_types", "no_row"],
)
def test_rows_equal_those_of_a_spark_job(wanted):
    compiled, batch = compile_query(wanted()), events(200)
    expected = collected(wanted(), batch)
    assert rows(compiled, batch) == expected
    assert rows(compiled, batch) == expected, "a second batch through the same iterators"
    alone = [row for i in range(60) for row in rows(compiled, batch.slice(i, 1))]
    assert alone == rows(compiled, batch.slice(0, 60))


def test_types_go_through_unchanged_and_timestamps_are_micros_in_utc():
    compiled = compile_query(query({name: name for name in parse_ddl(EVENTS).names}))
    assert compiled.schema.equals(parse_ddl(EVENTS))
    assert compiled.schema.field("created").type == pa.timestamp("us", tz="UTC")


def test_events_tell_which_input_a_row_came_from():
    compiled = compile_query(query({"x": "explode(sequence(1, n))"}, "x != 2", schema="n BIGINT"))
    evaluated = compiled.evaluate(numbers(1, None, 3, 2))
    assert evaluated.rows.to_pydict() == {"x": [1, 1, 3, 1]}
    assert evaluated.events == [0, 2, 2, 3]


def test_where_sees_a_select_before_the_input_of_that_name():
    compiled = compile_query(query({"n": "-n"}, "n > 0", schema="n BIGINT"))
    assert rows(compiled, numbers(-1, 1)) == [{"n": 1}]


def test_where_sees_inputs_that_are_not_selected():
    compiled = compile_query(
        query({"tag": "explode(tags)"}, "id = 'e1'", "score IS NOT NULL", "tag = 'a'")
    )
    assert rows(compiled, events(9)) == [{"tag": "a"}]


def test_each_where_stands_in_parentheses():
    compiled = compile_query(query({"n": "n"}, "n = 1 OR n = 2", "n > 1", schema="n BIGINT"))
    assert rows(compiled, numbers(1, 2, 3)) == [{"n": 2}]


def test_a_where_that_is_null_drops_the_event():
    compiled = compile_query(query({"n": "n"}, "n > 0", schema="n BIGINT"))
    assert rows(compiled, numbers(None, 1)) == [{"n": 1}]


def test_a_comment_ends_with_its_expression():
    compiled = compile_query(
        query({"a": "n -- the number"}, "n > 1 -- big", "n < 3 -- small", schema="n BIGINT")
    )
    assert rows(compiled, numbers(1, 2, 3)) == [{"a": 2}]


def test_columns_come_in_the_order_asked_for_without_the_rest():
    compiled = compile_query(
        query(
            {"a": "n", "b": "n * 2", "c d": "1"}, "a < 2", schema="n BIGINT", columns=("c d", "b")
        )
    )
    assert compiled.schema.names == ["c d", "b"]
    assert rows(compiled, numbers(1, 2)) == [{"c d": 1, "b": 2}]


@pytest.mark.parametrize("wheres", [(), ("1 = 2",)])
def test_an_empty_batch_gives_no_rows(wheres):
    compiled = compile_query(query({"a": "n"}, *wheres, schema="n BIGINT"))
    rows, events, failures = compiled.evaluate(numbers())
    assert (rows.num_rows, rows.schema, list(events), failures) == (0, compiled.schema, [], [])


TYPES_THAT_SPARK_LACKS = {
    "at": pa.array([1_700_000_000_123], pa.timestamp("ms", tz="Asia/Tokyo")),
    "count": pa.array([5], pa.uint32()),
    "word": pa.array(["x"]).dictionary_encode(),
    "list": pa.array([[1, None]], pa.large_list(pa.uint8())),
    "day": pa.array([dt.date(2024, 1, 2)], pa.date64()),
    "inner": pa.array([{"t": 1}], pa.struct([pa.field("t", pa.timestamp("s"))])),
}


def test_types_that_spark_lacks_are_read_as_the_nearest_it_has():
    batch = pa.RecordBatch.from_pydict(TYPES_THAT_SPARK_LACKS)
    selects = tuple((name, name) for name in batch.schema.names)
    wanted = SqlQuery(
        (*selects, ("ms", "unix_millis(at)")),
        (),
        (),
        batch.schema,
        ("ms", "count", "word", "list", "day", "inner"),
    )
    assert rows(compile_query(wanted), batch) == [
        {
            "ms": 1_700_000_000_123,
            "count": 5,
            "word": "x",
            "list": [1, None],
            "day": dt.date(2024, 1, 2),
            "inner": {"t": dt.datetime(1970, 1, 1, 0, 0, 1)},  # noqa: DTZ001, it has no zone
        }
    ]


def test_a_field_declared_not_null_is_still_checked():
    schema = pa.schema([pa.field("n", pa.int64(), nullable=False)])
    wanted = SqlQuery((("n", "n"),), ("n IS NOT NULL",), (), schema, ("n",))
    batch = pa.RecordBatch.from_arrays([pa.array([1, None])], schema=schema)
    assert rows(compile_query(wanted), batch) == [{"n": 1}]


def test_a_batch_of_other_columns_is_refused():
    compiled = compile_query(query({"a": "n"}, schema="n BIGINT"))
    with pytest.raises(ValueError, match=r"columns \['m'\].*the query reads \['n'\]"):
        compiled.evaluate(pa.RecordBatch.from_pydict({"m": [1]}))


def test_random_numbers_differ_between_lone_events():
    compiled = compile_query(query({"r": "rand()"}, schema="n BIGINT"))
    drawn = {rows(compiled, numbers(1))[0]["r"] for _ in range(20)}
    assert len(drawn) == 20


def test_threads_get_their_own_rows():
    compiled, batch = compile_query(query({"id": "id", "t": "explode(tags)"})), events(120)
    expected = {n: rows(compiled, batch.slice(n, 60)) for n in range(60)}
    wrong = []

    def work(start: int) -> None:
        for n in range(start, 60, 6):
            if rows(compiled, batch.slice(n, 60)) != expected[n]:
                wrong.append(n)

    threads = [threading.Thread(target=work, args=[start]) for start in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_equal_queries_are_planned_once_even_by_many_threads():
    made = []
    wanted = {"once": "n + 41"}

    def work() -> None:
        made.append(compile_query(query(wanted, schema="n BIGINT")))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, made))) == 1


def test_a_query_pickles_and_a_compiled_one_does_not():
    wanted = query({"a": "n"}, schema="n BIGINT")
    assert pickle.loads(pickle.dumps(wanted)) == wanted
    assert hash(pickle.loads(pickle.dumps(wanted))) == hash(wanted)
    with pytest.raises(TypeError, match="pickle the SqlQuery"):
        pickle.dumps(compile_query(wanted))


def test_meaning_is_chronons_whatever_spark_defaults_to():
    selects = {
        "cast": "CAST('x' AS INT)",
        "div": "1 / 0",
        "item": "array(1)[5]",
        "zone": "current_timezone()",
        "legacy": "date_format(DATE'2024-01-03', 'u')",
    }
    compiled = compile_query(query(selects, schema="n BIGINT"))
    assert rows(compiled, numbers(1)) == [
        {"cast": None, "div": None, "item": None, "zone": "UTC", "legacy": "3"}
    ]
    assert local_spark().session.conf.get("spark.sql.adaptive.enabled") == "false"
