"""GroupBys as Chronon's Thrift JSON: the inverse of `thrift_json`."""

from collections.abc import Mapping
from typing import Any

from chronon_beam.api.dialect import Dialect
from chronon_beam.api.group_by import Aggregation, GroupBy, Query, Source

_PLACES = {"events": ("table", "topic"), "entities": ("snapshotTable", "mutationTopic")}


def to_thrift(group_by: GroupBy) -> dict[str, Any]:
    """The object that Chronon's compiler would have written; what was compiled stays as it was."""
    meta = {**group_by.extra.get("metaData", {}), "name": group_by.name}
    if "keyColumns" in group_by.extra:
        return {**group_by.extra, "metaData": meta}
    dialect = group_by.dialect
    return _given(
        {
            "metaData": _given({name: meta.get(name) for name in ("name", "customJson")}),
            "sources": [_source(source) for source in group_by.sources],
            "keyColumns": list(group_by.keys),
            "aggregations": [_aggregation(each, dialect) for each in group_by.aggregations],
            "derivations": [
                {"name": each.name, "expression": each.expression} for each in group_by.derivations
            ]
            or None,
            "accuracy": None if group_by.accuracy is None else group_by.accuracy.value,
        }
    )


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Without fields that have no value: Thrift leaves them out."""
    return {name: value for name, value in fields.items() if value is not None}


def _source(source: Source) -> dict[str, Any]:
    table, topic = _PLACES[source.kind]
    fields = {table: source.table, topic: source.topic, "query": _query(source.query)}
    return {source.kind: _given(fields)}


def _query(query: Query) -> dict[str, Any]:
    return _given(
        {
            "selects": None if query.selects is None else dict(query.selects),
            "wheres": list(query.wheres) or None,
            "timeColumn": query.time_column,
            "setups": list(query.setups),
            "mutationTimeColumn": query.mutation_time_column,
            "reversalColumn": query.reversal_column,
        }
    )


def _aggregation(aggregation: Aggregation, dialect: Dialect) -> dict[str, Any]:
    operations = {operation: number for number, operation in dialect.operations.items()}
    units = {unit: number for number, unit in dialect.time_units.items()}
    windows = [
        {"length": window.length, "timeUnit": units[window.timeUnit]}
        for window in aggregation.windows or ()
    ]
    return _given(
        {
            "inputColumn": aggregation.input_column,
            "operation": operations[aggregation.operation],
            "argMap": dict(aggregation.arguments) or None,
            "windows": windows or None,
            "buckets": list(aggregation.buckets or ()) or None,
            "elementWise": aggregation.element_wise or None,
        }
    )
