"""The Python API: Chronon's words, and contradictions found where they are written."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chronon_beam.api import (
    Aggregation,
    EntitySource,
    EventSource,
    GroupBy,
    GroupByError,
    Operation,
    Query,
    Source,
    TimeUnit,
    Window,
    select,
    ttypes,
)
from chronon_beam.api.declare import with_dialect
from chronon_beam.api.dialect import AIRBNB, ZIPLINE
from chronon_beam.api.validation import require_rows

SIX_HOURS = [Window(6, TimeUnit.HOURS)]


def events(*columns: str, **expressions: str) -> Any:
    return Source(EventSource(Query(select(*columns, **expressions), time_column="created")))


def group_by(**changes: Any) -> Any:
    declared: dict[str, Any] = {
        "name": "t.clicks",
        "sources": events("user", "price"),
        "keys": ["user"],
        "aggregations": [Aggregation("price", Operation.SUM, SIX_HOURS)],
    }
    return GroupBy(**{**declared, **changes})


def test_select_takes_columns_and_expressions() -> None:
    assert select("a", "b", c="upper(d)") == {"a": "a", "b": "b", "c": "upper(d)"}


def test_k_operations_are_called_with_k() -> None:
    declared = Aggregation("price", Operation.LAST_K(5), SIX_HOURS)
    assert declared.operation is Operation.LAST_K
    assert declared.arguments == (("k", "5"),)
    assert [f.name for f in group_by(aggregations=[declared]).features] == ["price_last5_6h"]


def test_aggregation_without_operation_is_last_as_in_chronon() -> None:
    assert Aggregation("price").operation is Operation.LAST


def test_batch_only_parameters_are_accepted() -> None:
    query = Query(select("a"), start_partition="2024-01-01", partition_column="ds")
    assert EventSource(query, table="t", isCumulative=True).kind == "events"


def test_metadata_is_kept() -> None:
    declared = group_by(online=True, output_namespace="ns")
    assert declared.extra["metaData"] == {"online": True, "output_namespace": "ns"}


def test_ttypes_has_the_names_that_chronon_files_import() -> None:
    assert ttypes.Window is Window
    assert ttypes.EventSource is EventSource


def test_entity_source_is_declared_and_joined_sources_cannot_be_read() -> None:
    source = Source(
        entities=EntitySource(Query(select("user", "price")), "db.users", None, "topic")
    )
    declared = group_by(sources=source)
    assert (declared.source.table, declared.source.topic) == ("db.users", "topic")
    require_rows(declared)
    joined = replace(declared, sources=(replace(declared.source, kind="joinSource"),))
    with pytest.raises(GroupByError, match="kind 'joinSource': only events and entities"):
        require_rows(joined)


WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: Query(tiem_column="x"), "Query: unknown parameter 'tiem_column'"),
    (lambda: Source(), "give exactly one of events= and entities="),
    (lambda: Source(events("a"), events("a")), "give exactly one of events= and entities="),
    (lambda: Aggregation(operation=Operation.SUM), "input_column is missing"),
    (lambda: group_by(keys=[]), "t.clicks: keyColumns is empty"),
    (lambda: group_by(keys=["user", "user"]), "key 'user' is declared twice"),
    (lambda: group_by(keys=["shop"]), "key 'shop' is not selected: add it .*user, price"),
    (lambda: group_by(sources=[]), "sources is empty"),
    (lambda: group_by(aggregations=[]), "aggregations is empty"),
    (
        lambda: group_by(aggregations=[Aggregation("price", Operation.SUM, SIX_HOURS)] * 2),
        "'price_sum_6h' is declared 2 times",
    ),
    (lambda: group_by(aggregations=[Aggregation("cost")]), "column 'cost' is not selected"),
    (
        lambda: group_by(aggregations=[Aggregation("price", buckets=["city"])]),
        "column 'city' is not selected",
    ),
    (lambda: group_by(sources=events("user", "price", ts="created")), "'ts', which is reserved"),
    (
        lambda: group_by(aggregations=[Aggregation("price", Operation.TOP_K, SIX_HOURS)]),
        "TOP_K over 'price' needs an int argument 'k'",
    ),
    (
        lambda: group_by(
            aggregations=[Aggregation("price", Operation.SUM, [Window(0, TimeUnit.DAYS)])]
        ),
        "window length 0 .*at least 1",
    ),
]


@pytest.mark.parametrize(("declare", "message"), WRONG)
def test_contradictions_are_refused_where_they_are_written(
    declare: Callable[[], Any], message: str
) -> None:
    with pytest.raises(GroupByError, match=message):
        declare()


def test_column_ts_may_be_aggregated_without_being_selected() -> None:
    declared = group_by(aggregations=[Aggregation("ts", Operation.MAX, SIX_HOURS)])
    assert [feature.name for feature in declared.features] == ["ts_max_6h"]


def test_dialect_is_said_by_name() -> None:
    assert group_by().dialect is AIRBNB
    assert group_by(dialect="zipline").dialect is ZIPLINE
    assert with_dialect(group_by(), "zipline").dialect is ZIPLINE
    with pytest.raises(ValueError, match="unknown dialect 'lyft': choose one of airbnb, zipline"):
        group_by(dialect="lyft")


def test_minute_windows_are_refused_in_the_dialect_without_them() -> None:
    minutes = [Aggregation("price", Operation.SUM, [Window(10, TimeUnit.MINUTES)])]
    declared = group_by(aggregations=minutes, dialect="zipline")
    assert [feature.name for feature in declared.features] == ["price_sum_10m"]
    with pytest.raises(GroupByError, match="window 10m: dialect airbnb has no MINUTES"):
        group_by(aggregations=minutes)
    with pytest.raises(GroupByError, match="dialect airbnb has no MINUTES"):
        with_dialect(declared, "airbnb")
