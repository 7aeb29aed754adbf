"""What Chronon's Python API refuses in a definition is refused, whichever dialect's it is."""

import json
from typing import Any

import pytest

from chronon_beam.api import GroupByError, parse_group_by
from chronon_beam.api.chronon import airbnb, zipline
from chronon_beam.api.chronon.airbnb import STRUCT
from chronon_beam.api.chronon.case_when import when
from chronon_beam.api.dialect import AIRBNB, ZIPLINE, OnlineStrategy, Operation, TimeUnit
from chronon_beam.api.group_by import Accuracy
from chronon_beam.api.thrift_json import parse_conf
from chronon_beam.api.validation import (
    require_all_keys,
    require_computable,
)

SNAPSHOT, TEMPORAL = Accuracy.SNAPSHOT, Accuracy.TEMPORAL
SUM = airbnb.Aggregation("n", Operation.SUM)
HOURS = airbnb.Aggregation("n", Operation.SUM, [airbnb.Window(6, TimeUnit.HOURS)])


def events(topic: str | None = None, **query: Any) -> Any:
    return STRUCT["EventSource"]("t", topic, airbnb.Query(**{"time_column": "t", **query}))


def entities(mutations: str | None = None, **query: Any) -> Any:
    return STRUCT["EntitySource"]("t", mutations, None, airbnb.Query(**query))


def joined(left: Any) -> Any:
    from chronon_beam.api.chronon.tables import producer

    join = producer("ai.chronon.join.Join", AIRBNB, "left")(
        STRUCT["Source"](events=left), name="t.j"
    )
    return STRUCT["JoinSource"](join, airbnb.Query(time_column="ts"))


def of_airbnb(source: Any, *aggregations: Any, **more: Any) -> Any:
    return airbnb.GroupBy(source, ["k"], list(aggregations) or [SUM], **more)


@pytest.mark.parametrize(
    ("source", "more", "message"),
    [
        (events(reversal_column="x"), {}, "reversalColumn is 'x': rows of events"),
        (events(mutation_time_column="x"), {}, "mutationTimeColumn is 'x'"),
        (events(time_column=None), {}, "time_column is missing: events need one"),
        (events("topic"), {"accuracy": SNAPSHOT}, "a source with a topic is streamed"),
        ([events(), events(selects={"z": "z"})], {}, "select different columns: 'z'"),
        (joined(events()), {}, "the left source of its join has no topic"),
        (events(), {"historical_backfill": True}, "needs a backfill_start_date"),
        (events("topic"), {"is_incremental": True}, "is_incremental is for events of accuracy"),
        (events(), {"upload_schedule": "@hourly"}, "'@hourly': choose one of @daily, @weekly"),
        (events("topic"), {"upload_schedule": "@weekly"}, "is for sources without a topic"),
        ([], {}, "sources is empty"),
    ],
)
def test_airbnbs_definitions(source: Any, more: dict[str, Any], message: str) -> None:
    with pytest.raises(GroupByError, match=message):
        of_airbnb(source, **more)


@pytest.mark.parametrize(
    ("aggregation", "source", "more", "message"),
    [
        (HOURS, events(), {"accuracy": SNAPSHOT}, "window 6h of 'n': .* choose days"),
        (HOURS, events(), {"backfill_start_date": "2024-01-01"}, "window 6h of 'n'"),
        (HOURS, entities(), {}, "time_column is missing: windows need one"),
        (
            airbnb.Aggregation("n", Operation.APPROX_PERCENTILE([2])),
            events(),
            {},
            r"numbers from 0 to 1.*found '\[2\]'",
        ),
        (
            STRUCT["Aggregation"](inputColumn="n", operation=Operation.APPROX_PERCENTILE),
            events(),
            {},
            "found None",
        ),
    ],
)
def test_airbnbs_aggregations(
    aggregation: Any, source: Any, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(GroupByError, match=message):
        of_airbnb(source, aggregation, **more)


def test_what_chronon_takes_is_taken() -> None:
    weekly = of_airbnb(events(), upload_schedule="@weekly", accuracy=SNAPSHOT)
    assert json.loads(weekly.metaData.customJson)["uploadSchedule"] == "@weekly"
    assert of_airbnb(events(), is_incremental=True).isIncremental
    assert of_airbnb([events(), events("topic")]).accuracy is None
    assert of_airbnb(joined(events("topic"))).sources[0].joinSource is not None
    waits = of_airbnb(events(), dependencies=["db.a/ds={{ ds }}"]).metaData.dependencies
    assert json.loads(waits[0])["name"] == "wait_for_db_a_ds_ds"


Z_EVENTS = zipline.EventSource("t", zipline.Query(time_column="t"))
Z_SUM = zipline.Aggregation("n", Operation.SUM, ["1d"])
Z_TABLE = zipline.EntitySource("keys", zipline.Query({"k": "k"}))


def of_zipline(*aggregations: Any, source: Any = Z_EVENTS, **more: Any) -> Any:
    return zipline.GroupBy(source, ["k"], list(aggregations) or [Z_SUM], **more)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"version": "1"}, "version is '1': an int is expected"),
        ({"environments": ["dev"]}, "environment 'dev': choose one of prod, canary"),
        ({"online_schedule": "@daily"}, "online_schedule needs online=True"),
        ({"key_filter": Z_EVENTS}, "an EntitySource with a snapshot_table"),
        (
            {"key_filter": zipline.EntitySource("keys", zipline.Query({"x": "x"}))},
            "selects none of the keys k",
        ),
        ({"source": "t"}, r"sources\[0\]: a source is expected, found 't'"),
        ({"source": []}, "sources is empty"),
        ({"offline_schedule": "0 */3 * * *"}, "say partition_interval as well"),
        ({"partition_interval": "5h"}, "an interval that divides a day"),
        ({"partition_interval": "3h", "partition_offset": "4h"}, "an offset shorter than it"),
        (
            {
                "online": True,
                "partition_interval": "3h",
                "offline_schedule": "0 */3 * * *",
                "online_schedule": "@daily",
            },
            "differs from offline_schedule",
        ),
    ],
)
def test_ziplines_definitions(more: dict[str, Any], message: str) -> None:
    with pytest.raises(GroupByError, match=message):
        of_zipline(**more)


@pytest.mark.parametrize(
    ("aggregations", "message"),
    [
        ([{"filter": "n > 1"}], "give both, or none"),
        ([{"column_alias": "x"}], "give both, or none"),
        ([{"filter": "n > 1", "column_alias": "k"}], "is the name of another column"),
        (
            [{"filter": "a", "column_alias": "x"}, {"filter": "b", "column_alias": "x"}],
            "is the name of another column",
        ),
        ([{"filter": "a", "column_alias": "x"}] * 2, "'x_last' is declared twice"),
        ([{"filter": "a", "column_alias": "s"}], "'s' is selected already"),
    ],
)
def test_ziplines_filters(aggregations: list[dict[str, str]], message: str) -> None:
    source = zipline.EventSource("t", zipline.Query({"s": "s"}, time_column="t"))
    made = [zipline.Aggregation("n", **each) for each in aggregations]
    with pytest.raises(GroupByError, match=message):
        of_zipline(*made, source=source)


def test_snapshot_windows_are_multiples_of_ziplines_partitions() -> None:
    six = zipline.Aggregation("n", Operation.SUM, ["6h"])
    of_zipline(six, accuracy=SNAPSHOT, partition_interval="3h")
    with pytest.raises(GroupByError, match="window 6h of 'n'"):
        of_zipline(six, accuracy=SNAPSHOT)


def test_partitions_are_kept_for_ziplines_batch_jobs() -> None:
    declared = of_zipline(
        partition_interval="3h", offline_schedule="0 */3 * * *", online=True, version=1
    )
    info = declared.metaData.executionInfo
    assert info.onlineSchedule == "0 */3 * * *"
    assert info.outputTableInfo.partitionFormat == "yyyy-MM-dd-HH-mm"
    declared.metaData.name = "team.file.v1__1"
    reader = zipline.EventSource(declared.table, zipline.Query(time_column="t"))
    query = reader.events.query
    assert (query.partitionInterval.length, query.partitionFormat) == (3, "yyyy-MM-dd-HH-mm")
    assert of_zipline(online=True, online_schedule="@never").metaData.executionInfo


def test_case_when_is_text_that_grows() -> None:
    case = when("n > 1", "'many'").when("n = 1", None)
    assert case == "CASE WHEN n > 1 THEN 'many' WHEN n = 1 THEN NULL END"
    assert case.otherwise(0).when("m", 1) == (
        "CASE WHEN n > 1 THEN 'many' WHEN n = 1 THEN NULL WHEN m THEN 1 ELSE 0 END"
    )


COMPILED: dict[str, Any] = {
    "metaData": {"name": "t.compiled"},
    "keyColumns": ["k"],
    "sources": [{"events": {"query": {"selects": {"k": "k", "n": "n"}, "timeColumn": "t"}}}],
    "aggregations": [{"inputColumn": "n", "operation": 7}],
}


def compiled(**changes: Any) -> str:
    return json.dumps({**COMPILED, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"sources": [*COMPILED["sources"], {"events": {"query": {"selects": {"k": "k"}}}}]},
            "select different columns: 'n'",
        ),
        (
            {"sources": [{"events": {"query": {"reversalColumn": "x", "timeColumn": "t"}}}]},
            "reversalColumn is 'x'",
        ),
        (
            {
                "accuracy": "SNAPSHOT",
                "aggregations": [
                    {
                        "inputColumn": "n",
                        "operation": "SUM",
                        "windows": [{"length": 1, "timeUnit": "HOURS"}],
                    }
                ],
            },
            "window 1h of 'n'",
        ),
        (
            {"derivations": [{"name": "x", "expression": " "}]},
            "derivation 'x' has no expression: give one",
        ),
        ({"aggregations": []}, "aggregations is empty: rows are looked up"),
    ],
)
def test_compiled_confs_that_mean_nothing_are_refused_too(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(GroupByError, match=f"conf: .*{message}|conf.*{message}"):
        parse_group_by(compiled(**changes), AIRBNB, "conf")


def test_rows_without_aggregation_load_and_cannot_be_run() -> None:
    lookup = {"snapshotTable": "users", "query": {"selects": {"k": "k", "name": "name"}}}
    renamed = [{"name": "called", "expression": "name"}]
    conf = {**COMPILED, "sources": [{"entities": lookup}], "derivations": renamed}
    del conf["aggregations"]
    group_by = parse_conf(conf, ZIPLINE)
    assert group_by.features == ()
    with pytest.raises(GroupByError, match="no aggregations: .* by LAST .*DefaultAggregation"):
        require_computable(group_by)
    require_computable(parse_conf(COMPILED, AIRBNB))


def test_strategies_and_filters_that_are_not_here_are_named() -> None:
    for strategy in (OnlineStrategy.STREAMING_MEGATILES, OnlineStrategy.PUSH.value):
        conf = {**COMPILED, "onlineStrategy": getattr(strategy, "value", strategy)}
        with pytest.raises(GroupByError, match="onlineStrategy is (STREAMING_MEGATILES|PUSH)"):
            require_computable(parse_conf(conf, ZIPLINE))
    require_computable(parse_conf({**COMPILED, "onlineStrategy": 0}, ZIPLINE))
    filtered = {**COMPILED, "keyFilter": {"snapshotTable": "keys"}}
    with pytest.raises(GroupByError, match="keyFilter limits which keys are uploaded"):
        require_all_keys(parse_conf(filtered, ZIPLINE))
    require_all_keys(parse_conf(COMPILED, ZIPLINE))
