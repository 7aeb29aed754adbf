"""Which times an event must have, and what errors call them."""

import pytest

from chronon_beam.api import (
    Aggregation,
    EntitySource,
    EventSource,
    GroupBy,
    Query,
    Source,
    select,
)
from chronon_beam.api.group_by import GroupBy as GroupByRecord
from chronon_beam.transforms.evaluate import sql_query
from chronon_beam.transforms.spark.compiled_query import compile_query
from chronon_beam.transforms.spark.errors import QueryError
from chronon_beam.transforms.spark.session import parse_ddl

SCHEMA = parse_ddl("user STRING, n BIGINT, times ARRAY<BIGINT>, is_before BOOLEAN")


def group_by_of(source: Source, dialect: str) -> GroupByRecord:
    return GroupBy(source, ["user"], [Aggregation("n")], name="t.times", dialect=dialect)


@pytest.mark.parametrize("dialect", ["airbnb", "zipline"])
def test_mutation_time_is_an_expression_and_filtered_by_its_name(dialect: str) -> None:
    # The select `n` has another meaning than the input `n`, of which the time is made.
    query = Query(select("user", n="NULL"), time_column="n", mutation_time_column="n + 1")
    source = Source(entities=EntitySource(query=query))
    made = sql_query(group_by_of(source, dialect), SCHEMA)
    assert dict(made.selects)["mutation_ts"] == "n + 1"
    assert made.wheres[0] == "mutation_ts IS NOT NULL"
    compile_query(made)


def test_error_in_a_check_of_the_time_shows_what_the_user_wrote() -> None:
    query = Query(select("user", "n"), time_column="explode(times)")
    made = sql_query(group_by_of(Source(EventSource(query=query)), "zipline"), SCHEMA)
    with pytest.raises(QueryError, match=r"^time column explode\(times\): "):
        compile_query(made)
