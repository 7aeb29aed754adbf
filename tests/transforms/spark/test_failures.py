"""One bad event stops no other; a bad query stops the build, in its author's terms."""

import pyarrow as pa
import pytest
from pyspark.sql.types import LongType
from pyspark.sql.udf import UserDefinedFunction

from chronon_beam.transforms.spark.compiled_query import compile_query
from chronon_beam.transforms.spark.errors import EVENT, QueryError
from chronon_beam.transforms.spark.query import SqlQuery
from chronon_beam.transforms.spark.session import local_spark, parse_ddl

SCHEMA = "id STRING, n BIGINT, tags ARRAY<STRING>"


def query(selects: dict[str, str], *wheres: str, setups: tuple[str, ...] = ()) -> SqlQuery:
    names = tuple(selects)
    return SqlQuery(tuple(selects.items()), wheres, setups, parse_ddl(SCHEMA), names)


def numbers(*values: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"n": n} for n in values], schema=parse_ddl(SCHEMA))


def refusal(wanted: SqlQuery) -> str:
    with pytest.raises(QueryError) as caught:
        compile_query(wanted)
    text = str(caught.value)
    assert "\tat " not in text
    assert "LogicalRDD" not in text
    assert EVENT not in text or "reserved" in text
    return text


def picky(otherwise: str) -> dict[str, str]:
    """A select that fails on 13, 113, ..."""
    return {"x": f"IF(n % 100 = 13, raise_error(concat('unlucky\n', n)), {otherwise})"}


def test_a_bad_event_is_set_apart_with_sparks_reason():
    evaluated = compile_query(query(picky("n"))).evaluate(numbers(*range(300)))
    assert [position for position, _ in evaluated.failures] == [13, 113, 213]
    assert "[USER_RAISED_EXCEPTION] unlucky 13" in evaluated.failures[0][1]
    assert "\n" not in evaluated.failures[0][1]
    good = [n for n in range(300) if n % 100 != 13]
    assert evaluated.events == good
    assert evaluated.rows.column("x").to_pylist() == good


def test_a_bad_event_takes_its_exploded_rows_with_it():
    compiled = compile_query(
        query({"x": "explode(array(n, 10 / IF(n = 2, assert_true(false), n)))"})
    )
    evaluated = compiled.evaluate(numbers(1, 2, 5))
    assert evaluated.rows.to_pydict() == {"x": [1.0, 10.0, 5.0, 2.0]}
    assert evaluated.events == [0, 0, 2, 2]
    assert [position for position, _ in evaluated.failures] == [1]


def test_a_batch_of_bad_events_alone_gives_no_rows():
    compiled = compile_query(query(picky("n + 1")))
    for batch in (numbers(13), numbers(13, 113)):
        rows, events, failures = compiled.evaluate(batch)
        assert (rows.num_rows, rows.schema, events) == (0, compiled.schema, [])
        assert len(failures) == batch.num_rows
    assert compiled.evaluate(numbers(1)).rows.to_pydict() == {"x": [2]}


def test_a_value_that_no_spark_type_holds_is_a_bad_event():
    schema = pa.schema([("at", pa.timestamp("s"))])
    wanted = SqlQuery((("at", "at"),), (), (), schema, ("at",))
    batch = pa.RecordBatch.from_arrays([pa.array([1, 1 << 62], pa.timestamp("s"))], schema=schema)
    evaluated = compile_query(wanted).evaluate(batch)
    assert evaluated.events == [0]
    assert [position for position, _ in evaluated.failures] == [1]


def test_an_unknown_column_shows_what_it_may_have_been():
    text = refusal(query({"ok": "n", "flavor": "idd"}))
    assert text.startswith("select `flavor` = idd: [UNRESOLVED_COLUMN.WITH_SUGGESTION]")
    assert "Did you mean one of the following? [`id`, `n`, `tags`]" in text


def test_an_unknown_column_of_a_where_names_the_where():
    text = refusal(query({"ok": "n"}, "n > 1", "nn < 3"))
    assert text.startswith("where nn < 3: [UNRESOLVED_COLUMN.WITH_SUGGESTION]")


def test_a_syntax_error_keeps_its_caret():
    text = refusal(query({"ok": "n", "a": "id +* 2"}))
    assert text.startswith("select `a` = id +* 2: [PARSE_SYNTAX_ERROR]")
    assert text.endswith("id +* 2\n------^^^")


def test_a_where_cannot_break_out_of_its_parentheses():
    assert "[PARSE_SYNTAX_ERROR]" in refusal(query({"n": "n"}, "n > 1) OR (n < 0"))


def test_a_where_that_is_not_a_condition_is_refused():
    assert "is not a boolean" in refusal(query({"n": "n"}, "n"))


@pytest.mark.parametrize(
    ("select", "clause"),
    [
        ("sum(n)", "an aggregate"),
        ("count(DISTINCT n)", "an aggregate"),
        ("row_number() OVER (ORDER BY n)", "a window function (OVER)"),
        ("sum(n) OVER (PARTITION BY id)", "a window function (OVER)"),
        ("(SELECT max(id) FROM range(3))", "a subquery"),
        ("(SELECT id FROM range(3) ORDER BY id LIMIT 1)", "a subquery"),
    ],
)
def test_what_spans_events_is_refused_by_its_name(select, clause):
    text = refusal(query({"ok": "n", "a": select}))
    assert text.startswith(f"select `a` = {select}: needs {clause}")
    assert "aggregations" in text


@pytest.mark.parametrize("where", ["n IN (SELECT id FROM range(3))", "sum(n) > 1"])
def test_wheres_that_span_events_are_refused(where):
    text = refusal(query({"ok": "n"}, "n > 0", where))
    assert text.startswith(f"where {where}: needs a")


def test_a_python_function_is_refused():
    setups = ("SET its.own=session",)
    function = UserDefinedFunction(lambda n: n, LongType())
    local_spark().prepare(setups).udf().registerPython("slow", function._judf)
    assert "needs a Python function" in refusal(query({"a": "slow(n)"}, setups=setups))


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (lambda: query({"a": "id", "A": "n"}), "select `a` is there 2 times"),
        (lambda: query({EVENT: "id"}), "reserved"),
        (lambda: query({"a": ""}), "select `a` = : "),
        (lambda: query({"a": "make_interval(1)"}), "column `a` has Spark type interval"),
        (
            lambda: SqlQuery((("a", "n"),), (), (), parse_ddl(SCHEMA), ("b",)),
            "column `b` is asked for but not selected",
        ),
        (
            lambda: SqlQuery((("a", "n"),), (), (), pa.schema([("n", pa.dense_union([]))]), ("a",)),
            "input column `n` cannot be read: it has type dense_union<>, which Spark SQL does not",
        ),
    ],
)
def test_names_and_types_are_checked(wanted, said):
    assert said in refusal(wanted())


@pytest.mark.parametrize(
    ("ddl", "said"),
    [
        ("a STRIN", "STRIN\n--^^^"),
        ("a STRING,, b INT", "PARSE_SYNTAX_ERROR"),
        ("a INTERVAL", "column `a` has Spark type interval"),
    ],
)
def test_text_that_is_not_a_schema_is_refused(ddl, said):
    with pytest.raises(QueryError, match=r"schema|column") as caught:
        parse_ddl(ddl)
    assert said in str(caught.value)


def test_nothing_is_printed_when_a_query_is_refused(capfd):
    refusal(query({"a": "no_such_column"}))
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
