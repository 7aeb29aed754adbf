"""Chronon's compiled JSON: what it means in each dialect, and what is wrong with it."""

import copy
import json
from typing import Any

import pytest

from chronon_beam.api import Accuracy, GroupByError, Operation, TimeUnit, Window, parse_group_by
from chronon_beam.api.dialect import AIRBNB, DIALECTS, ZIPLINE, Dialect

CONF: dict[str, Any] = {
    "metaData": {"name": "team.clicks.v1", "online": 1, "customJson": '{"lag": 0}'},
    "sources": [
        {
            "events": {
                "table": "data.clicks",
                "topic": "events.clicks",
                "isCumulative": 0,
                "query": {
                    "selects": {"user": "user_id", "price": "price * 100", "city": "upper(city)"},
                    "wheres": ["price > 0", "city IS NOT NULL"],
                    "timeColumn": "created_ms",
                    "setups": ["CREATE FUNCTION f AS 'F'"],
                    "startPartition": "2024-01-01",
                },
            }
        }
    ],
    "keyColumns": ["user"],
    "aggregations": [
        {
            "inputColumn": "price",
            "operation": 7,
            "windows": [{"length": 6, "timeUnit": 0}, {"length": 30, "timeUnit": 1}],
            "buckets": ["city"],
        },
        {"inputColumn": "price", "operation": 13, "argMap": {"k": 3}},
    ],
    "accuracy": 0,
    "neverHeardOf": {"a": [1]},
}


def changed(path: str, value: Any) -> str:
    """CONF with the value at `path` (`aggregations.0.operation`) replaced; None removes it."""
    conf = copy.deepcopy(CONF)
    *parents, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place: Any = conf
    for step in parents:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return json.dumps(conf)


def parsed(text: str, dialect: Dialect = AIRBNB) -> Any:
    return parse_group_by(text, dialect, "conf.json")


def test_compiled_group_by_is_read_whole() -> None:
    group_by = parsed(json.dumps(CONF))
    assert (group_by.name, group_by.keys) == ("team.clicks.v1", ("user",))
    assert group_by.accuracy is Accuracy.TEMPORAL
    source = group_by.source
    assert (source.kind, source.table, source.topic) == ("events", "data.clicks", "events.clicks")
    assert source.query.selects == (
        ("user", "user_id"),
        ("price", "price * 100"),
        ("city", "upper(city)"),
    )
    assert source.query.wheres == ("price > 0", "city IS NOT NULL")
    assert source.query.time_column == "created_ms"
    assert source.query.setups == ("CREATE FUNCTION f AS 'F'",)
    total, latest = group_by.aggregations
    assert total.operation is Operation.SUM
    assert total.windows == (Window(6, TimeUnit.HOURS), Window(30, TimeUnit.DAYS))
    assert total.buckets == ("city",)
    assert latest.operation is Operation.LAST_K
    assert latest.arguments == (("k", "3"),)
    assert [feature.name for feature in group_by.features] == [
        "price_sum_6h_by_city",
        "price_sum_30d_by_city",
        "price_last3",
    ]


def test_unknown_fields_are_kept() -> None:
    group_by = parsed(json.dumps(CONF))
    assert group_by.conf["neverHeardOf"] == {"a": [1]}
    assert group_by.conf["metaData"]["customJson"] == '{"lag": 0}'


@pytest.mark.parametrize(
    ("number", "airbnb", "zipline"),
    [
        (6, Operation.COUNT, Operation.COUNT),
        (17, Operation.HISTOGRAM, Operation.HISTOGRAM),
        (18, Operation.APPROX_HISTOGRAM_K, Operation.APPROX_FREQUENT_K),
        (19, Operation.BOUNDED_UNIQUE_COUNT, Operation.APPROX_HEAVY_HITTERS_K),
        (20, None, Operation.UNIQUE_TOP_K),
    ],
)
def test_operation_ids_belong_to_the_dialect(
    number: int, airbnb: Operation | None, zipline: Operation
) -> None:
    text = changed("aggregations.1.operation", number)
    assert parsed(text, ZIPLINE).aggregations[1].operation is zipline
    if airbnb is None:
        with pytest.raises(GroupByError, match=r"operation \(dialect airbnb\): unknown value 20"):
            parsed(text, AIRBNB)
    else:
        assert parsed(text, AIRBNB).aggregations[1].operation is airbnb


def test_minutes_are_ziplines() -> None:
    text = changed("aggregations.0.windows", [{"length": 10, "timeUnit": 2}])
    windows = parsed(text, ZIPLINE).aggregations[0].windows
    assert [window.millis for window in windows] == [600_000]
    with pytest.raises(GroupByError, match=r"windows\[0\]\.timeUnit \(dialect airbnb\)"):
        parsed(text, AIRBNB)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_enums_may_be_named(dialect: Dialect) -> None:
    conf = json.loads(changed("aggregations.0.operation", "average"))
    conf["aggregations"][0]["windows"] = [{"length": 2, "timeUnit": "DAYS"}]
    conf["accuracy"] = "TEMPORAL"
    group_by = parsed(json.dumps(conf), dialect)
    assert group_by.aggregations[0].operation is Operation.AVERAGE
    assert group_by.windows == (Window(2, TimeUnit.DAYS),)
    assert group_by.accuracy is Accuracy.TEMPORAL


@pytest.mark.parametrize("length", [-1, 0, 2**31 - 1])
def test_unbounded_windows_are_no_windows(length: int) -> None:
    windows = [{"length": length, "timeUnit": 1}]
    assert parsed(changed("aggregations.0.windows", windows)).aggregations[0].windows is None


def test_unbounded_window_stands_beside_others_without_a_suffix() -> None:
    windows = [{"length": 15, "timeUnit": 1}, {"length": 2**31 - 1, "timeUnit": 1}]
    conf = json.loads(changed("aggregations.0.windows", windows))
    del conf["aggregations"][0]["buckets"]
    group_by = parsed(json.dumps(conf))
    assert [f.name for f in group_by.features][:2] == ["price_sum_15d", "price_sum"]
    assert [f.tile_index for f in group_by.features] == [0, 0, 1]
    assert group_by.windows == (Window(15, TimeUnit.DAYS),)


def test_entity_source_is_read() -> None:
    entities = {
        "snapshotTable": "db.users",
        "mutationTopic": "users.changes",
        "query": {
            "selects": {"user": "id", "price": "p", "city": "c"},
            "timeColumn": "ts",
            "mutationTimeColumn": "changed_ms",
            "reversalColumn": "is_before",
        },
    }
    source = parsed(changed("sources", [{"entities": entities}])).source
    assert (source.kind, source.table, source.topic) == ("entities", "db.users", "users.changes")
    assert source.query.mutation_time_column == "changed_ms"
    assert source.query.reversal_column == "is_before"


def test_first_source_with_a_topic_is_streamed() -> None:
    conf = copy.deepcopy(CONF)
    batch_only = copy.deepcopy(CONF["sources"][0])
    del batch_only["events"]["topic"]
    conf["sources"] = [batch_only, CONF["sources"][0]]
    assert parsed(json.dumps(conf)).source.topic == "events.clicks"


def test_no_selects_means_all_columns() -> None:
    assert parsed(changed("sources.0.events.query.selects", None)).source.query.selects is None


QUERY = "sources.0.events.query"
WRONG = [
    ("keyColumns", None, "not a compiled GroupBy: a JSON object with keyColumns is expected"),
    ("keyColumns", [], "keyColumns is empty: name at least one key"),
    ("keyColumns", "user", "keyColumns must be a list, found 'user'"),
    ("keyColumns", [7], r"keyColumns\[0\] must be a string, found 7"),
    ("keyColumns", ["user", "user"], "key 'user' is declared twice"),
    ("keyColumns", ["nobody"], "key 'nobody' is not selected: add it to the query's selects"),
    ("sources", None, "sources is empty"),
    ("sources", ["x"], r"sources\[0\]: a JSON object is expected, found 'x'"),
    ("sources", [{}], r"sources\[0\]: one of events, entities, joinSource is expected"),
    ("sources", [{"event": {}}], r"found \['event'\]"),
    ("sources.0.events", ["x"], r"sources\[0\]\.events: a JSON object is expected"),
    (QUERY, "SELECT 1", r"sources\[0\]\.events\.query: a JSON object is expected"),
    (f"{QUERY}.selects", ["user"], "selects must be a map of name to Spark SQL"),
    (f"{QUERY}.selects", {"user": 1}, "selects must be a map of name to Spark SQL"),
    (f"{QUERY}.selects.ts", "created", "'ts', which is reserved: give its expression as"),
    (f"{QUERY}.selects.price", None, "input or bucket column 'price' is not selected"),
    (f"{QUERY}.selects.city", None, "input or bucket column 'city' is not selected"),
    (f"{QUERY}.wheres", "a > 1", "wheres must be a list"),
    (f"{QUERY}.wheres", [None], r"wheres\[0\] must be a string"),
    ("aggregations", None, "aggregations is empty: rows are looked up as they are"),
    ("aggregations", {"a": 1}, "aggregations must be a list"),
    ("aggregations", [3], r"aggregations\[0\]: a JSON object is expected, found 3"),
    ("aggregations.0.inputColumn", None, r"aggregations\[0\]: inputColumn is missing"),
    ("aggregations.0.inputColumn", 5, "inputColumn must be a string, found 5"),
    ("aggregations.1.operation", None, r"aggregations\[1\]: operation is missing: for example 6"),
    ("aggregations.0.operation", 99, r"unknown value 99: known are 0 \(MIN\), 1 \(MAX\)"),
    ("aggregations.0.operation", "SUMM", "unknown value 'SUMM'"),
    ("aggregations.0.windows", [6], r"windows\[0\]: a JSON object is expected"),
    ("aggregations.0.windows.1.length", "30", r"windows\[1\]\.length: an int is expected"),
    ("aggregations.0.windows.1.length", True, r"windows\[1\]\.length: an int is expected"),
    ("aggregations.0.windows.1.timeUnit", 7, r"timeUnit \(dialect airbnb\): unknown value 7"),
    ("aggregations.0.buckets", "city", "buckets must be a list"),
    ("aggregations.1.argMap", ["k"], "argMap: a JSON object is expected"),
    ("aggregations.1.argMap", None, "LAST_K over 'price' needs an int argument 'k'"),
    ("aggregations.1.argMap.k", "many", "found 'many': add argMap="),
    ("accuracy", 5, "accuracy: unknown value 5"),
    ("metaData", "team", "metaData: a JSON object is expected"),
]


@pytest.mark.parametrize(("path", "value", "message"), WRONG)
def test_error_names_field_and_remedy(path: str, value: Any, message: str) -> None:
    with pytest.raises(GroupByError, match=message):
        parsed(changed(path, value))


def test_repeated_feature_is_refused() -> None:
    conf = copy.deepcopy(CONF)
    conf["aggregations"] = [CONF["aggregations"][1]] * 2
    with pytest.raises(GroupByError, match="feature 'price_last3' is declared 2 times"):
        parsed(json.dumps(conf))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", b"\xff\xfe"])
def test_other_texts_are_refused_by_name(text: str | bytes) -> None:
    with pytest.raises(GroupByError, match=r"^conf\.json: not "):
        parse_group_by(text, AIRBNB, "conf.json")
