"""What Chronon's Python API refuses, refused here for the same reasons and in this project's words.

Source: `validate_group_by` in `ai.chronon.group_by` of both dialects.
"""

import json
from collections.abc import Iterator
from typing import Any

from chronon_beam.api.chronon.conf import Conf
from chronon_beam.api.dialect import AIRBNB, DAY_MS, Dialect, Operation, TimeUnit
from chronon_beam.api.group_by import Accuracy, GroupByError, Window

_SCHEDULES = ("@daily", "@weekly", "@monthly", "@quarterly")


def check(conf: Conf, dialect: Dialect, where: str = "GroupBy") -> None:
    """Raise GroupByError for the first thing that Chronon's Python API refuses in a definition."""
    for source, place in _sources(conf, where):
        _check_source(source, conf, dialect, place)
    check_declared(conf, dialect, where)
    _check_aggregations(conf, where)
    if dialect is AIRBNB:
        _check_batch(conf, where)


def check_declared(conf: Conf, dialect: Dialect, where: str = "GroupBy") -> None:
    """Raise GroupByError for what is wrong in a compiled conf as well, wherever it comes from."""
    sources = list(_sources(conf, where))
    for source, place in sources:
        if source.get("events"):
            _check_events(_query(source), place)
    _check_columns([(_query(source).get("selects"), place) for source, place in sources], where)
    backfilled = dialect is AIRBNB and conf.get("backfillStartDate")
    if _is_snapshot(conf) or backfilled:
        _check_snapshot_windows(conf, dialect, where)


def _sources(conf: Conf, where: str) -> Iterator[tuple[Conf, str]]:
    for index, source in enumerate(conf.get("sources") or []):
        yield source, f"{where}.sources[{index}]"


def _query(source: Conf) -> Conf:
    body = source.get("events") or source.get("entities") or source.get("joinSource") or {}
    return body.get("query") or {}


def _is_snapshot(conf: Conf) -> bool:
    return conf.get("accuracy") in (Accuracy.SNAPSHOT.value, Accuracy.SNAPSHOT.name)


def _is_streamed(source: Conf) -> bool:
    return bool(
        source.get("events", {}).get("topic") is not None
        or source.get("entities", {}).get("mutationTopic") is not None
    )


def _check_events(query: Conf, where: str) -> None:
    for field in ("mutationTimeColumn", "reversalColumn"):
        if query.get(field) is not None:
            raise GroupByError(
                f"{where}: {field} is {query[field]!r}: rows of events are never taken back; "
                "leave it out, or declare the source as entities"
            )


def _check_source(source: Conf, conf: Conf, dialect: Dialect, where: str) -> None:
    query, snapshot = _query(source), _is_snapshot(conf)
    windowed = any(each.get("windows") for each in conf.get("aggregations") or [])
    if "events" in source:
        if not snapshot and query.get("timeColumn") is None:
            raise GroupByError(
                f"{where}: time_column is missing: events need one, unless accuracy is SNAPSHOT"
            )
        if snapshot and dialect is AIRBNB and _is_streamed(source):
            raise GroupByError(
                f"{where}: a source with a topic is streamed, and accuracy is SNAPSHOT: leave one "
                "of the two out"
            )
    elif "joinSource" in source and dialect is AIRBNB:
        left = source["joinSource"].get("join", {}).get("left")
        if left is not None and not _is_streamed(left):
            raise GroupByError(
                f"{where}: the left source of its join has no topic: a GroupBy over a join is "
                "streamed; read the join's output table by an EventSource instead"
            )
    elif windowed and "modelTransforms" not in source and not query.get("timeColumn"):
        raise GroupByError(f"{where}: time_column is missing: windows need one")


def _check_columns(selected: list[tuple[Conf | None, str]], where: str) -> None:
    """All sources select the same columns."""
    known = [(set(selects), place) for selects, place in selected if selects is not None]
    for columns, place in known[1:]:
        if differing := sorted(columns ^ known[0][0]):
            raise GroupByError(
                f"{where}: {place} and {known[0][1]} select different columns: {differing[0]!r} is "
                "in one of them alone; select the same columns in all sources"
            )


def _check_aggregations(conf: Conf, where: str) -> None:
    aggregations = conf.get("aggregations")
    if aggregations is None:
        entities = [source.get("entities", {}) for source, _ in _sources(conf, where)]
        events = any("events" in source for source, _ in _sources(conf, where))
        if events or any("mutationTable" in e or "mutationTopic" in e for e in entities):
            raise GroupByError(
                f"{where}: aggregations is None: rows without aggregation are those of an "
                "EntitySource without mutations alone"
            )
    for index, aggregation in enumerate(aggregations or []):
        place = f"{where}.aggregations[{index}]"
        if aggregation.get("operation") == _PERCENTILE:
            _check_percentiles(aggregation.get("argMap", {}), place)


_PERCENTILE = next(
    number for number, known in AIRBNB.operations.items() if known is Operation.APPROX_PERCENTILE
)


def _check_percentiles(arguments: Conf, where: str) -> None:
    text = arguments.get("percentiles")
    try:
        ranks: Any = json.loads(text or "null")
    except ValueError:
        ranks = None
    numbers = isinstance(ranks, list) and all(isinstance(rank, (int, float)) for rank in ranks)
    if not numbers or not all(0 <= rank <= 1 for rank in ranks):
        raise GroupByError(
            f"{where}: percentiles are numbers from 0 to 1, as in "
            f"Operation.APPROX_PERCENTILE([0.5, 0.9]), found {text!r}"
        )


def _check_snapshot_windows(conf: Conf, dialect: Dialect, where: str) -> None:
    """Features as of midnight have windows of whole days; zipline's may have a finer interval."""
    interval = (
        conf.get("metaData", {})
        .get("executionInfo", {})
        .get("outputTableInfo", {})
        .get("partitionInterval")
    )
    grid_ms = _window(interval, dialect).millis if interval else DAY_MS
    for aggregation in conf.get("aggregations") or []:
        for window in (_window(each, dialect) for each in aggregation.get("windows") or []):
            hours = dialect is AIRBNB and window.timeUnit is TimeUnit.HOURS
            if hours or (dialect is not AIRBNB and window.millis % grid_ms):
                raise GroupByError(
                    f"{where}: window {window.suffix[1:]} of {aggregation.get('inputColumn')!r}: "
                    "with accuracy SNAPSHOT, or backfill_start_date in airbnb, features are as of "
                    "midnight: choose days"
                )


def _window(conf: Conf, dialect: Dialect) -> Window:
    unit = conf["timeUnit"]
    named = isinstance(unit, str)
    return Window(conf["length"], TimeUnit[unit] if named else dialect.time_units[unit])


def _check_batch(conf: Conf, where: str) -> None:
    """What Chronon's batch jobs demand: incremental ones, and uploads that are not daily."""
    sources = [source for source, _ in _sources(conf, where)]
    streamed = any(_is_streamed(source) for source in sources)
    accuracy = conf.get("accuracy")
    snapshot = _is_snapshot(conf) or (accuracy is None and not streamed)
    if conf.get("isIncremental") and not (snapshot and all("events" in s for s in sources)):
        raise GroupByError(
            f"{where}: is_incremental is for events of accuracy SNAPSHOT alone: leave it out"
        )
    custom = json.loads(conf.get("metaData", {}).get("customJson") or "{}")
    schedule = custom.get("uploadSchedule") or "@daily"
    if schedule not in _SCHEDULES:
        raise GroupByError(
            f"{where}: upload_schedule {schedule!r}: choose one of {', '.join(_SCHEDULES)}"
        )
    if schedule != "@daily" and (streamed or accuracy == Accuracy.TEMPORAL.value):
        raise GroupByError(
            f"{where}: upload_schedule {schedule!r} is for sources without a topic, of accuracy "
            "SNAPSHOT: leave it out"
        )
