"""The Python API: functions with Chronon's names and parameters that make a `GroupBy`.

A definition written for Chronon's Python API runs with the import line changed:

>>> from chronon_beam.api import (
...     Aggregation, EventSource, GroupBy, Operation, Query, Source, TimeUnit, Window, select)
>>> cones = GroupBy(
...     name="shop.cones",
...     sources=Source(events=EventSource(query=Query(
...         selects=select(customer_id="customer_id"), time_column="created"))),
...     keys=["customer_id"],
...     aggregations=[Aggregation(
...         input_column="customer_id", operation=Operation.COUNT,
...         windows=[Window(length=6, timeUnit=TimeUnit.HOURS)])])
>>> [feature.name for feature in cones.features]
['customer_id_count_6h']
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from chronon_beam.api import derivations as derived
from chronon_beam.api import group_by as records
from chronon_beam.api.dialect import AIRBNB, Dialect, Operation, dialect
from chronon_beam.api.group_by import Accuracy, GroupByError, Window
from chronon_beam.api.validation import validated


def select(*columns: str, **expressions: str) -> dict[str, str]:
    """Columns as they are, and expressions under names: `select("a", b="upper(c)")`."""
    return {**{column: column for column in columns}, **expressions}


def Query(
    selects: Mapping[str, str] | None = None,
    wheres: Sequence[str] | None = None,
    time_column: str | None = None,
    setups: Sequence[str] | None = None,
    mutation_time_column: str | None = None,
    reversal_column: str | None = None,
    **batch_only: str | None,
) -> records.Query:
    """Selects and wheres in Spark SQL; `time_column` gives milliseconds since the epoch.

    `start_partition`, `end_partition` and `partition_column` are accepted and play no part in
    streaming.
    """
    _refuse_unknown("Query", batch_only, {"start_partition", "end_partition", "partition_column"})
    return records.Query(
        selects=None if selects is None else tuple(selects.items()),
        wheres=tuple(wheres or ()),
        time_column=time_column,
        setups=tuple(setups or ()),
        mutation_time_column=mutation_time_column,
        reversal_column=reversal_column,
    )


def EventSource(
    query: records.Query,
    table: str | None = None,
    topic: str | None = None,
    isCumulative: bool | None = None,
) -> records.Source:
    """Events: rows that happened once and never change."""
    return records.Source(kind="events", query=query, table=table, topic=topic)


def EntitySource(
    query: records.Query,
    snapshotTable: str | None = None,
    mutationTable: str | None = None,
    mutationTopic: str | None = None,
) -> records.Source:
    """Entities: rows that change over time."""
    return records.Source(kind="entities", query=query, table=snapshotTable, topic=mutationTopic)


def Source(
    events: records.Source | None = None, entities: records.Source | None = None
) -> records.Source:
    """Chronon's union of source kinds: exactly one of them."""
    given = [source for source in (events, entities) if source is not None]
    if len(given) != 1:
        raise GroupByError("Source: give exactly one of events= and entities=")
    return given[0]


def Aggregation(
    input_column: str | None = None,
    operation: Operation | tuple[Operation, Mapping[str, str]] = Operation.LAST,
    windows: Sequence[Window] | None = None,
    buckets: Sequence[str] | None = None,
    element_wise: bool | None = None,
    tags: Mapping[str, str] | None = None,
) -> records.Aggregation:
    """One operation over one column, for each of its windows and buckets."""
    if not input_column:
        raise GroupByError(f"Aggregation of {operation}: input_column is missing")
    kind, arguments = operation if isinstance(operation, tuple) else (operation, {})
    return records.Aggregation(
        input_column=input_column,
        operation=kind,
        windows=tuple(windows) if windows else None,
        buckets=tuple(buckets) if buckets else None,
        arguments=tuple(arguments.items()),
        element_wise=bool(element_wise),
    )


def Derivation(
    name: str,
    expression: str,
    description: str | None = None,
) -> derived.Derivation:
    """A feature made of features and keys when it is read; both `*`: all that are not renamed."""
    return derived.Derivation(name, expression)


def GroupBy(
    sources: records.Source | Sequence[records.Source],
    keys: Sequence[str],
    aggregations: Sequence[records.Aggregation],
    accuracy: Accuracy | None = None,
    name: str = "",
    dialect: str | Dialect = AIRBNB,
    derivations: Sequence[derived.Derivation] | None = None,
    **metadata: Any,
) -> records.GroupBy:
    """A GroupBy; without a name it takes that of its file and variable when it is loaded.

    `online`, `production`, `output_namespace` and Chronon's other metadata are kept, and play no
    part in the job.
    """
    group_by = records.GroupBy(
        name=name,
        sources=(sources,) if isinstance(sources, records.Source) else tuple(sources),
        keys=tuple(keys),
        aggregations=tuple(aggregations),
        accuracy=accuracy,
        dialect=_dialect(dialect),
        derivations=tuple(derivations or ()),
        extra={"metaData": json.loads(json.dumps(metadata, default=str))},
    )
    return validated(group_by, name or "GroupBy")


def _dialect(given: str | Dialect) -> Dialect:
    return given if isinstance(given, Dialect) else dialect(given)


def _refuse_unknown(what: str, given: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(given.keys() - known)
    if unknown:
        raise GroupByError(f"{what}: unknown parameter {unknown[0]!r}")


def with_dialect(group_by: records.GroupBy, name: str) -> records.GroupBy:
    """The same GroupBy in the dialect `name`; raises GroupByError if it makes no sense there."""
    return validated(replace(group_by, dialect=dialect(name)), group_by.name or "GroupBy")
