"""The Python API: Chronon's words, and contradictions found where they are written."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chronon_beam.api import (
    Aggregation,
    Aggregations,
    DefaultAggregation,
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
from chronon_beam.api.dialect import AIRBNB, ZIPLINE
from chronon_beam.api.validation import require_computable

SIX_HOURS = [Window(6, TimeUnit.HOURS)]


def events(*columns: str, **expressions: str) -> Any:
    return Source(EventSource(query=Query(select(*columns, **expressions), time_column="created")))


def group_by(**changes: Any) -> Any:
    declared: dict[str, Any] = {
        "name": "t.clicks",
        "sources": events("user", "price"),
        "keys": ["user"],
        "aggregations": [Aggregation("price", Operation.SUM, SIX_HOURS)],
    }
    return GroupBy(**{**declared, **changes})


def names(*aggregations: Any, **changes: Any) -> list[str]:
    return [f.name for f in group_by(aggregations=list(aggregations), **changes).features]


def test_select_takes_columns_and_expressions() -> None:
    assert select("a", "b", c="upper(d)") == {"a": "a", "b": "b", "c": "upper(d)"}


def test_k_operations_are_called_with_k() -> None:
    assert names(Aggregation("price", Operation.LAST_K(5), SIX_HOURS)) == ["price_last5_6h"]


def test_aggregation_without_operation_is_last_as_in_chronon() -> None:
    assert names(Aggregation("price"), Aggregation("price", None, SIX_HOURS)) == [
        "price_last",
        "price_last_6h",
    ]


def test_windows_may_be_text() -> None:
    assert names(Aggregation("price", Operation.MAX, ["6h", "7d"])) == [
        "price_max_6h",
        "price_max_7d",
    ]


def test_aggregations_take_their_column_from_their_name() -> None:
    declared = Aggregations(price=Aggregation(operation=Operation.MAX), other=Aggregation("user"))
    assert names(*declared) == ["price_max", "user_last"]


def test_default_aggregation_is_of_all_columns_that_are_no_key_and_no_time() -> None:
    source = events("user", "price", "city", "created", "ds", "mutation_ts")
    declared = DefaultAggregation(["user"], [source], Operation.COUNT)
    assert names(*declared, sources=source) == ["price_count", "city_count"]


def test_metadata_is_kept() -> None:
    declared = group_by(online=True, output_namespace="ns", enable_tiling=True)
    meta = declared.to_thrift()["metaData"]
    assert (meta["name"], meta["online"], meta["outputNamespace"]) == ("t.clicks", 1, "ns")
    assert '"enable_tiling": true' in meta["customJson"]


def test_ttypes_has_the_names_that_chronon_files_import() -> None:
    assert ttypes.EventSource is EventSource
    window = ttypes.Window(length=6, timeUnit=TimeUnit.HOURS)
    made = ttypes.Aggregation(
        inputColumn="price", operation=Operation.TOP_K, argMap={"k": "2"}, windows=[window]
    )
    assert names(made) == ["price_top2_6h"]


def test_entity_source_is_declared_and_joined_sources_cannot_be_read() -> None:
    source = Source(
        entities=EntitySource(
            "db.users", None, "topic", Query(select("user", "price"), time_column="t")
        )
    )
    declared = group_by(sources=source)
    assert (declared.source.table, declared.source.topic) == ("db.users", "topic")
    require_computable(declared)
    joined = replace(declared, sources=(replace(declared.source, kind="joinSource"),))
    with pytest.raises(GroupByError, match="source is a join"):
        require_computable(joined)


def test_columns_that_are_needed_are_selected_as_chronon_selects_them() -> None:
    declared = group_by(sources=events(price="cost * 2"), keys=["user", "shop"])
    assert dict(declared.source.query.selects) == {
        "price": "cost * 2",
        "user": "user",
        "shop": "shop",
    }


def test_other_group_bys_over_a_source_do_not_change_it() -> None:
    source = events("user")
    group_by(sources=source, keys=["user", "shop"])
    assert dict(group_by(sources=source).source.query.selects) == {"user": "user", "price": "price"}


def test_ts_among_the_selects_is_the_time_column() -> None:
    query = Query(select("user", "price", ts="unix_millis(at)"))
    declared = group_by(sources=Source(EventSource(query=query)))
    assert declared.source.query.time_column == "unix_millis(at)"
    assert "ts" not in dict(declared.source.query.selects)
    same = Query(select("user", "price", ts="at"), time_column="at")
    assert group_by(sources=Source(EventSource(query=same))).source.query.time_column == "at"


WRONG: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: Query(tiem_column="x"), TypeError, "unexpected keyword argument 'tiem_column'"),
    (lambda: EventSource(querry=1), TypeError, "does not take 'querry': its fields are table"),
    (lambda: EventSource(1, 2, 3, 4, 5), TypeError, "a value more than 4"),
    (lambda: EventSource("a", table="b"), TypeError, "got 'table' twice"),
    (lambda: group_by(sources=Source()), GroupByError, "events, entities or joinSource with a"),
    (
        lambda: group_by(sources=Source(EventSource(query=Query({"v": 1}, time_column="t")))),
        GroupByError,
        r"selects\['v'\]: text is expected, found 1",
    ),
    (lambda: group_by(sources=[]), GroupByError, "sources is empty"),
    (lambda: group_by(sources="events"), GroupByError, "a source is expected, found 'events'"),
    (
        lambda: group_by(aggregations=[Aggregation(operation=Operation.SUM)]),
        GroupByError,
        "input_column is missing",
    ),
    (lambda: group_by(keys=[]), GroupByError, "t.clicks: keyColumns is empty"),
    (lambda: group_by(keys=["user", "user"]), GroupByError, "key 'user' is declared twice"),
    (
        lambda: group_by(aggregations=[Aggregation("price", Operation.SUM, SIX_HOURS)] * 2),
        GroupByError,
        "'price_sum_6h' is declared 2 times",
    ),
    (
        lambda: group_by(aggregations=[Aggregation("price", buckets=["city"])]),
        GroupByError,
        "column 'city' is not selected",
    ),
    (
        lambda: group_by(sources=events("user", "price", ts="at")),
        GroupByError,
        "has ts='at', and the time column is 'created'",
    ),
    (
        lambda: group_by(aggregations=[Aggregation("price", Operation.TOP_K, SIX_HOURS)]),
        GroupByError,
        "TOP_K over 'price' needs an int argument 'k'",
    ),
    (
        lambda: group_by(aggregations=[Aggregation("price", Operation.UNIQUE_TOP_K(2))]),
        GroupByError,
        "dialect airbnb has no UNIQUE_TOP_K: it has MIN",
    ),
    (lambda: Aggregation("price", Operation.LAST_K(1, 2)), TypeError, "called with one value, k"),
    (lambda: Aggregation("price", windows=["7w"]), ValueError, "'7w': a number and d, h or m"),
    (lambda: Aggregation("price", windows=[7]), TypeError, "text like '7d' or a Window, found 7"),
]


@pytest.mark.parametrize(("declare", "error", "message"), WRONG)
def test_contradictions_are_refused_where_they_are_written(
    declare: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        declare()


def test_column_ts_may_be_aggregated_where_it_is_the_time_column() -> None:
    latest = Aggregation("ts", Operation.MAX, SIX_HOURS)
    source = Source(EventSource(query=Query(select("user"), time_column="ts")))
    assert names(latest, sources=source) == ["ts_max_6h"]
    with pytest.raises(GroupByError, match="ts='ts', and the time column is 'created'"):
        names(latest)


def test_percentiles_are_given_and_k_is_the_dialects() -> None:
    median = Operation.APPROX_PERCENTILE([0.5, 0.9])
    for dialect, k in (("airbnb", "128"), ("zipline", "20")):
        declared = group_by(aggregations=[Aggregation("price", median)], dialect=dialect)
        assert dict(declared.aggregations[0].arguments) == {"percentiles": "[0.5, 0.9]", "k": k}
    said = Operation.APPROX_PERCENTILE([0.5], k=200)
    declared = group_by(aggregations=[Aggregation("price", said)])
    assert dict(declared.aggregations[0].arguments) == {"percentiles": "[0.5]", "k": "200"}


def test_dialect_is_said_by_name() -> None:
    assert group_by().dialect is AIRBNB
    assert group_by(dialect="zipline").dialect is ZIPLINE
    with pytest.raises(ValueError, match="unknown dialect 'lyft': choose one of airbnb, zipline"):
        group_by(dialect="lyft")


def test_minute_windows_are_refused_in_the_dialect_without_them() -> None:
    minutes = [Aggregation("price", Operation.SUM, [Window(10, TimeUnit.MINUTES)])]
    declared = group_by(aggregations=minutes, dialect="zipline")
    assert [feature.name for feature in declared.features] == ["price_sum_10m"]
    with pytest.raises(GroupByError, match="dialect airbnb has no MINUTES"):
        group_by(aggregations=minutes)
