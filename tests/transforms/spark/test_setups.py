"""Setups make functions before the query is planned."""

from zipfile import ZipFile

import pyarrow as pa
import pytest

from chronon_beam.transforms.spark.compiled_query import compile_query
from chronon_beam.transforms.spark.errors import QueryError
from chronon_beam.transforms.spark.query import SqlQuery
from chronon_beam.transforms.spark.session import parse_ddl
from chronon_beam.transforms.spark.setups import refuse_other_functions

HIVE_UPPER = "org.apache.hadoop.hive.ql.udf.generic.GenericUDFUpper"


def query(select: str, *setups: str) -> SqlQuery:
    return SqlQuery((("x", select),), (), setups, parse_ddl("n BIGINT, s STRING"), ("x",))


def value(wanted: SqlQuery) -> object:
    batch = pa.RecordBatch.from_pylist([{"n": 1, "s": "a"}], schema=wanted.schema)
    return compile_query(wanted).evaluate(batch).rows.column(0)[0].as_py()


def plus(amount: int) -> str:
    return f"CREATE TEMPORARY FUNCTION plus(x BIGINT) RETURNS BIGINT RETURN x + {amount}"


def test_a_setup_makes_a_function():
    assert value(query("plus(n)", plus(1))) == 2


def test_queries_do_not_see_each_others_functions():
    assert value(query("plus(n)", plus(10))) == 11
    with pytest.raises(QueryError, match="UNRESOLVED_ROUTINE"):
        compile_query(query("plus(n)"))


def test_what_exists_already_is_left_as_it_is():
    assert value(query("plus(n)", plus(100), plus(200))) == 101


def test_a_setup_that_fails_is_named():
    with pytest.raises(QueryError, match=r"(?s)^setup `CREAT x`: \[PARSE_SYNTAX_ERROR\].*\^\^\^"):
        compile_query(query("n", "CREAT x"))


@pytest.mark.parametrize(
    "setup",
    ["ADD JAR /no/such.jar", "CREATE FUNCTION f AS 'F' USING JAR 'file:///no/such.jar'"],
)
def test_a_missing_jar_is_named(setup):
    with pytest.raises(QueryError, match=r"there is no file /no/such\.jar on this machine"):
        compile_query(query("n", setup))


def test_temporary_functions_of_two_group_bys_are_beside_each_other():
    refuse_other_functions({"a": [plus(1)], "b": [plus(2)]})
    assert value(query("plus(n)", plus(1000))) == 1001
    assert value(query("plus(n)", plus(2000))) == 2001


def test_lasting_functions_of_two_group_bys_must_be_the_same():
    made = "CREATE FUNCTION Upper2 AS 'a.Upper'"
    refuse_other_functions({"a": [made], "b": [f"{made[:6]}  {made[7:]}"]})
    with pytest.raises(QueryError, match="b and a define function upper2 in two ways"):
        refuse_other_functions({"a": [made], "b": ["create or replace function upper2 as 'b.U'"]})


def test_classes_of_two_group_bys_must_be_the_same(tmp_path):
    for name, content in (("one", "1"), ("same", "1"), ("other", "2")):
        with ZipFile(tmp_path / f"{name}.jar", "w") as jar:
            jar.writestr("shop/Upper.class", content)
            jar.writestr("META-INF/MANIFEST.MF", name)
    one, same, other = (f"ADD JAR {tmp_path}/{name}.jar" for name in ("one", "same", "other"))
    refuse_other_functions({"a": [one], "b": [same, one]})
    with pytest.raises(QueryError, match=r"b and a define class shop\.Upper in two ways"):
        refuse_other_functions({"a": [one], "b": [other]})


def test_a_function_of_a_hive_class_works_and_older_queries_stay():
    before = query("upper(s)", plus(1))
    compiled = compile_query(before)
    hive = query("hive_upper(s)", f"CREATE TEMPORARY FUNCTION hive_upper AS '{HIVE_UPPER}'")
    assert value(hive) == "A"
    batch = pa.RecordBatch.from_pylist([{"n": 1, "s": "b"}], schema=before.schema)
    assert compiled.evaluate(batch).rows.to_pydict() == {"x": ["B"]}
    with pytest.raises(QueryError, match=r"no\.Such"):
        compile_query(query("f(s)", "CREATE TEMPORARY FUNCTION f AS 'no.Such'"))
