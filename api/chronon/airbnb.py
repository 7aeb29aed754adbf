"""airbnb's words: functions with the names, parameters and defaults of `ai.chronon`.

Source: `ai.chronon.group_by`, `ai.chronon.query` and `ai.chronon.utils` of chronon-ai 0.0.115.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from chronon_beam.api.chronon import words
from chronon_beam.api.chronon.checks import check
from chronon_beam.api.chronon.conf import to_conf
from chronon_beam.api.chronon.structs import STRUCTS, Struct
from chronon_beam.api.chronon.tables import join_table
from chronon_beam.api.chronon.words import select
from chronon_beam.api.dialect import AIRBNB, Operation
from chronon_beam.api.group_by import GroupByError

STRUCT: words.Words = STRUCTS[AIRBNB.name]

Aggregations = words.aggregations

__all__ = [
    "Aggregation",
    "Aggregations",
    "DefaultAggregation",
    "Derivation",
    "GroupBy",
    "Query",
    "Window",
    "select",
]


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
) -> Struct:
    """Selects and wheres in Spark SQL; `time_column` gives milliseconds since the epoch.

    Partitions are of tables, and play no part in streaming.
    """
    return STRUCT["Query"](
        selects,
        wheres,
        start_partition,
        end_partition,
        time_column,
        setups or [],
        mutation_time_column,
        reversal_column,
        partition_column,
    )


def Window(length: int, timeUnit: object) -> Struct:
    """A length of time that ends at the query."""
    return STRUCT["Window"](length, timeUnit)


def Aggregation(
    input_column: str | None = None,
    operation: object = None,
    windows: Sequence[Any] | None = None,
    buckets: Sequence[str] | None = None,
    tags: Mapping[str, str] | None = None,
    element_wise: bool | None = None,
) -> Struct:
    """One operation over one column, for each of its windows and buckets; LAST by default."""
    made = words.aggregation(
        STRUCT,
        input_column,
        operation,
        windows=[words.length(STRUCT, each) for each in windows] if windows else windows,
        buckets=buckets,
        elementWise=element_wise,
    )
    made.tags = tags
    return made


def DefaultAggregation(
    keys: list[str],
    sources: Sequence[Struct],
    operation: object = Operation.LAST,
    tags: object = None,
) -> list[Struct]:
    """One aggregation per selected column that is neither a key nor a time."""
    return words.default_aggregation(Aggregation, keys, sources, operation=operation, tags=tags)


def Derivation(name: str, expression: str, description: str | None = None) -> Struct:
    """A feature made of features and keys when it is read; both `*`: all that are not renamed."""
    noted = STRUCT["MetaData"](description=description) if description else None
    return STRUCT["Derivation"](name, expression, noted)


def GroupBy(
    sources: Struct | Sequence[Struct],
    keys: list[str],
    aggregations: Sequence[Struct] | None,
    online: bool | None = None,
    production: bool | None = None,
    backfill_start_date: str | None = None,
    dependencies: list[str] | None = None,
    env: Mapping[str, Mapping[str, str]] | None = None,
    table_properties: Mapping[str, str] | None = None,
    output_namespace: str | None = None,
    accuracy: object = None,
    lag: int = 0,
    offline_schedule: str = "@daily",
    upload_schedule: str = "@daily",
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
    derivations: Sequence[Struct] | None = None,
    historical_backfill: bool | None = None,
    deprecation_date: str | None = None,
    description: str | None = None,
    is_incremental: bool | None = None,
    **custom: object,
) -> Struct:
    """A GroupBy; what is not Chronon's goes into its `customJson`.

    Raises:
        GroupByError: what Chronon's Python API refuses as well.
    """
    _refuse_contradictions(sources, historical_backfill, backfill_start_date)
    words.with_k(aggregations, AIRBNB)
    listed = [_source(source) for source in (sources if isinstance(sources, list) else [sources])]
    for source in listed:
        words.complete(source, [*keys, *words.inputs(aggregations)])
    custom |= {"lag": lag, "groupby_tags": tags}
    custom["column_tags"] = words.column_tags(aggregations, AIRBNB)
    if upload_schedule != "@daily":
        custom["uploadSchedule"] = upload_schedule
    meta = STRUCT["MetaData"](name, online, production, json.dumps(custom))
    meta.dependencies = [wait for each in listed for wait in _waits(each, dependencies, lag)]
    meta.tableProperties, meta.outputNamespace = table_properties, output_namespace
    meta.modeToEnvMap, meta.offlineSchedule = env, offline_schedule
    meta.historicalBackfill, meta.deprecationDate = historical_backfill, deprecation_date
    meta.description = description
    made = STRUCT["GroupBy"](meta, listed, keys, aggregations, accuracy, backfill_start_date)
    made.derivations, made.isIncremental = derivations, is_incremental
    check(to_conf(made, AIRBNB, "GroupBy"), AIRBNB)
    return made


def _refuse_contradictions(
    sources: Struct | Sequence[Struct], historical: bool | None, start_date: str | None
) -> None:
    if not sources:
        raise GroupByError("GroupBy: sources is empty: a GroupBy needs one")
    if historical is not None and start_date is None:
        raise GroupByError("GroupBy: historical_backfill needs a backfill_start_date")


_KINDS = {"EventSource": "events", "EntitySource": "entities", "JoinSource": "joinSource"}


def _source(source: Any) -> Struct:
    """A source in its union, whichever of the two was given."""
    kind = type(source).__name__
    if kind in _KINDS:
        return STRUCT["Source"](**{_KINDS[kind]: source})
    if kind != "Source":
        raise GroupByError(f"GroupBy: a source is expected, found {source!r}")
    return source


def _waits(source: Struct, named: Sequence[str] | None, lag: int) -> list[str]:
    """What Chronon's batch jobs wait for before they read a source: partitions of tables."""
    query = words.query_of(source)
    dates = {"start": query.startPartition, "end": query.endPartition}
    if named:
        waits = [{"name": _wait_name(spec), "spec": spec, **dates} for spec in named]
    else:
        column = query.partitionColumn or "ds"
        # A source without a table has `null` among what is waited for, as in Chronon.
        waits = [
            {**_partition(table, column, lag), **dates} if isinstance(table, str) else None
            for table in _tables(source)
        ]
    return [json.dumps(wait) for wait in waits]


def _wait_name(spec: str) -> str:
    return re.sub(r"[^a-zA-Z0-9]+", "_", f"wait_for_{spec}").rstrip("_")


def _tables(source: Struct) -> list[str | None]:
    entities = source.entities
    if entities and entities.mutationTable:
        return [table for table in (entities.snapshotTable, entities.mutationTable) if table]
    if entities:
        return [entities.snapshotTable]
    return [source.events.table if source.events else join_table(source.joinSource.join)]


def _partition(table: str, column: str, lag: int) -> dict[str, str]:
    """The wait for a day's partition of `table`, which may name partitions under it."""
    name, _, under = table.partition("/")
    day = f"{{{{ macros.ds_add(ds, -{lag}) }}}}" if lag else "{{ ds }}"
    return {
        "name": f"wait_for_{name}_{column}" + (f"_minus_{lag}" if lag else ""),
        "spec": f"{name}/{column}={day}" + (f"/{under}" if under else ""),
    }
