"""zipline's words: functions with the names, parameters and defaults of `ai.chronon.types`.

Source: `ai.chronon.group_by`, `ai.chronon.query`, `ai.chronon.source` and `ai.chronon.windows` of
zipline-ai 1.28.0.
"""

from collections.abc import Mapping, Sequence
from copy import copy, deepcopy
from typing import Any

from chronon_beam.api.chronon import partitions, words
from chronon_beam.api.chronon.checks import check
from chronon_beam.api.chronon.conf import to_conf
from chronon_beam.api.chronon.other import Other
from chronon_beam.api.chronon.structs import STRUCTS, Struct
from chronon_beam.api.chronon.tables import table_of
from chronon_beam.api.dialect import ZIPLINE, Operation
from chronon_beam.api.group_by import GroupByError

STRUCT: words.Words = STRUCTS[ZIPLINE.name]
ENVIRONMENTS = {"prod": 0, "canary": 1}

Aggregations = words.aggregations
selects = words.select

__all__ = [
    "Aggregation",
    "Aggregations",
    "DefaultAggregation",
    "Derivation",
    "EntitySource",
    "EventSource",
    "GroupBy",
    "JoinSource",
    "Query",
    "Window",
    "selects",
]

_Length = Any
"""A Window, or text such as `7d`."""


def Query(
    selects: Mapping[str, str] | None = None,
    wheres: Sequence[str] | None = None,
    start_partition: str | None = None,
    end_partition: str | None = None,
    time_column: str | None = None,
    setups: Sequence[str] | None = None,
    mutation_time_column: str | None = None,
    reversal_column: str | None = None,
    partition_column: str | None = None,
    partition_format: str | None = None,
    partition_interval: _Length = None,
    partition_offset: _Length = None,
    partition_lag: _Length = None,
    sub_partitions_to_wait_for: Sequence[str] | None = None,
    time_partitioned: bool | None = None,
) -> Struct:
    """Selects and wheres in Spark SQL; `time_column` gives milliseconds since the epoch.

    Partitions are of tables, and play no part in streaming.
    """
    return STRUCT["Query"](
        selects=selects,
        wheres=wheres,
        startPartition=start_partition,
        endPartition=end_partition,
        timeColumn=time_column,
        setups=setups,
        mutationTimeColumn=mutation_time_column,
        reversalColumn=reversal_column,
        subPartitionsToWaitFor=sub_partitions_to_wait_for,
        partitionLag=words.length(STRUCT, partition_lag),
        partitionColumn=partition_column,
        partitionFormat=partition_format
        or partitions.default_format(partition_interval, partition_offset),
        partitionInterval=words.length(STRUCT, partition_interval),
        partitionOffset=words.length(STRUCT, partition_offset),
        timePartitioned=time_partitioned,
    )


def EventSource(
    table: str, query: Struct, topic: str | None = None, is_cumulative: bool | None = None
) -> Struct:
    """Events: rows that happened once and never change."""
    return STRUCT["Source"](
        events=STRUCT["EventSource"](
            table=str(table),
            topic=topic,
            query=partitions.with_grid_of(query, table),
            isCumulative=is_cumulative,
        )
    )


def EntitySource(
    snapshot_table: str,
    query: Struct,
    mutation_table: str | None = None,
    mutation_topic: str | None = None,
) -> Struct:
    """Entities: rows that change over time."""
    return STRUCT["Source"](
        entities=STRUCT["EntitySource"](
            snapshotTable=str(snapshot_table),
            mutationTable=None if mutation_table is None else str(mutation_table),
            mutationTopic=mutation_topic,
            query=partitions.with_grid_of(query, snapshot_table),
        )
    )


def JoinSource(join: Struct, query: Struct | None = None) -> Struct:
    """Rows of a join, as they are enriched in the stream of its left source."""
    return STRUCT["Source"](joinSource=STRUCT["JoinSource"](join=join, query=query))


def Window(length: int, time_unit: object) -> Struct:
    """A length of time that ends at the query."""
    return STRUCT["Window"](length, time_unit)


def Aggregation(
    input_column: str | None = None,
    operation: object = None,
    windows: Sequence[_Length] | None = None,
    buckets: Sequence[str] | None = None,
    tags: Mapping[str, str] | None = None,
    filter: str | None = None,  # noqa: A002 - Chronon's name
    column_alias: str | None = None,
) -> Struct:
    """One operation over one column, for each of its windows and buckets; LAST by default.

    With `filter`, of the rows for which it is true, under the name `column_alias`.
    """
    made = words.aggregation(
        STRUCT,
        input_column,
        operation,
        windows=[words.length(STRUCT, each) for each in windows] if windows else None,
        buckets=buckets,
    )
    made.tags, made.filter, made.column_alias = tags, filter, column_alias
    return made


def DefaultAggregation(
    keys: list[str],
    sources: Sequence[Struct],
    operation: object = Operation.LAST,
    tags: object = None,
) -> list[Struct]:
    """One aggregation per selected column that is neither a key nor a time."""
    return words.default_aggregation(Aggregation, keys, sources, operation=operation, tags=tags)


def Derivation(name: str, expression: str) -> Struct:
    """A feature made of features and keys when it is read; both `*`: all that are not renamed."""
    return STRUCT["Derivation"](name, expression)


def GroupBy(
    sources: Struct | Sequence[Struct],
    keys: list[str],
    aggregations: Sequence[Struct] | None,
    version: int | None = None,
    derivations: Sequence[Struct] | None = None,
    accuracy: object = None,
    output_namespace: str | None = None,
    table_properties: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    online: bool | None = None,
    online_strategy: object = None,
    production: bool | None = None,
    key_filter: Struct | None = None,
    offline_schedule: str | None = None,
    online_schedule: str | None = None,
    conf: Struct | None = None,
    env_vars: object = None,
    cluster_conf: object = None,
    step_days: int | None = None,
    disable_historical_backfill: bool = False,
    environments: Sequence[str] | None = None,
    partition_interval: _Length = None,
    partition_offset: _Length = None,
    workflow_concurrency: int | None = None,
) -> Struct:
    """A GroupBy.

    Raises:
        GroupByError: what zipline's Python API refuses as well.
    """
    _refuse_contradictions(sources, version)
    words.with_k(aggregations, ZIPLINE)
    aggregations, filters = filtered(aggregations, keys)
    listed = [deepcopy(source) for source in normalized(sources)]
    for source in listed:
        refuse_selected(filters, source)
        words.complete(source, [*keys, *words.inputs(aggregations)], filters)
    grid = partitions.output_grid(partition_interval, partition_offset, offline_schedule)
    info = STRUCT["ExecutionInfo"](env_vars, conf, clusterConf=cluster_conf, outputTableInfo=grid)
    info.offlineSchedule, info.stepDays = offline_schedule, step_days
    info.onlineSchedule = schedule_online(online, online_schedule, offline_schedule, grid)
    info.historicalBackfill = disable_historical_backfill
    info.workflowConcurrency = workflow_concurrency
    meta = STRUCT["MetaData"](online=online, production=production, executionInfo=info)
    meta.outputNamespace, meta.tableProperties = output_namespace, table_properties
    meta.tags, meta.columnTags = tags or None, words.column_tags(aggregations, ZIPLINE) or None
    meta.version = None if version is None else str(version)
    meta.environments = [_environment(each) for each in environments] if environments else None
    made = STRUCT["GroupBy"](meta, listed, keys, aggregations, accuracy, derivations)
    made.keyFilter = entities_of(key_filter, keys)
    made.onlineStrategy = online_strategy
    check(to_conf(made, ZIPLINE, "GroupBy"), ZIPLINE)
    return made


def _refuse_contradictions(sources: object, version: object) -> None:
    if not sources:
        raise GroupByError("GroupBy: sources is empty: a GroupBy needs one")
    if not (version is None or isinstance(version, int)):
        raise GroupByError(f"GroupBy: version is {version!r}: an int is expected")


def normalized(sources: Any) -> list[Struct]:
    """Sources in their union, from one source or a sequence of sources."""
    kinds = {"EventSource": "events", "EntitySource": "entities", "JoinSource": "joinSource"}
    given = [sources] if isinstance(sources, (Struct, Other)) else list(sources)
    for index, source in enumerate(given):
        kind = type(source).__name__
        if isinstance(source, Other):
            raise GroupByError(f"GroupBy: sources[{index}] is {source}: it cannot be read")
        if kind not in (*kinds, "Source"):
            raise GroupByError(f"GroupBy: sources[{index}]: a source is expected, found {source!r}")
    return [
        STRUCT["Source"](**{kinds[kind]: source})
        if (kind := type(source).__name__) in kinds
        else source
        for source in given
    ]


def filtered(
    aggregations: Sequence[Struct] | None, keys: Sequence[str]
) -> tuple[list[Struct] | None, dict[str, str]]:
    """Aggregations over columns that hold what passes their filters, and these columns' selects.

    Raises:
        GroupByError: a filter without a name for its column, a name without a filter, or a name
            that is taken.
    """
    if aggregations is None:
        return None, {}
    made, selected = [copy(each) for each in aggregations], dict[str, str]()
    taken = {"ts", *keys, *(each.inputColumn for each in aggregations)}
    for each in made:
        condition, alias = getattr(each, "filter", None), getattr(each, "column_alias", None)
        if not condition and not alias:
            continue
        where = f"Aggregation over {each.inputColumn!r}"
        if not condition or not alias:
            raise GroupByError(
                f"{where}: filter is {condition!r} and column_alias {alias!r}: give both, or none"
            )
        text = f"CASE WHEN ({condition}) THEN {each.inputColumn} ELSE NULL END"
        if alias in taken or selected.get(alias, text) != text:
            raise GroupByError(
                f"{where}: column_alias {alias!r} is the name of another column: choose another"
            )
        selected[alias] = text
        each.inputColumn = alias
    if selected:
        _refuse_same_names(made)
    return made, selected


def _refuse_same_names(aggregations: Sequence[Struct]) -> None:
    names = [
        name
        for each in aggregations
        for name in words.output_columns(to_conf(each, ZIPLINE, "Aggregation"), ZIPLINE)
    ]
    if twice := [name for name in names if names.count(name) > 1]:
        raise GroupByError(
            f"GroupBy: feature {twice[0]!r} is declared twice: choose another column_alias"
        )


def refuse_selected(filters: Mapping[str, str], source: Struct) -> None:
    """Raise GroupByError when a filtered column has the name of a selected column."""
    for alias in filters:
        if alias in (words.query_of(source).selects or {}):
            raise GroupByError(
                f"Aggregation: column_alias {alias!r} is selected already: choose another name"
            )


def schedule_online(
    online: bool | None, given: str | None, offline: str | None, grid: Struct
) -> str | None:
    """When zipline refreshes what is served: daily, or as often as tables of less than a day."""
    if not online and given not in (None, "@never"):
        raise GroupByError("GroupBy: online_schedule needs online=True: leave one of the two out")
    often = partitions.is_subdaily(grid) and offline not in (None, "@never")
    if online and often and given not in (None, "@never", offline):
        raise GroupByError(
            f"GroupBy: online_schedule {given!r} differs from offline_schedule {offline!r}, and "
            "partition_interval is less than a day: leave online_schedule out"
        )
    if given == "@never" or not online:
        return None
    return given or (offline if often else "@daily")


def entities_of(key_filter: Any, keys: Sequence[str]) -> Any:
    """The entities that limit which keys are uploaded; raises GroupByError if they cannot."""
    if key_filter is None:
        return None
    chosen = key_filter.entities if type(key_filter).__name__ == "Source" else key_filter
    if type(chosen).__name__ != "EntitySource" or not chosen.snapshotTable:
        raise GroupByError("GroupBy: key_filter: an EntitySource with a snapshot_table is expected")
    selects = chosen.query.selects if chosen.query else None
    if selects is not None and not set(keys) & set(selects):
        raise GroupByError(
            f"GroupBy: key_filter selects none of the keys {', '.join(keys)}: name its columns "
            "after them"
        )
    return chosen


def _environment(name: str) -> int:
    if name.lower() not in ENVIRONMENTS:
        raise GroupByError(
            f"GroupBy: environment {name!r}: choose one of {', '.join(ENVIRONMENTS)}"
        )
    return ENVIRONMENTS[name.lower()]


def _table(group_by: Struct) -> str:
    return partitions.Table(
        table_of(group_by, ZIPLINE), group_by.metaData.executionInfo.outputTableInfo
    )


_group_by: Any = STRUCT["GroupBy"]
_group_by.table = property(_table, doc="The table of its backfill.")
