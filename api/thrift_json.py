"""Chronon's compiled GroupBys: Thrift JSON in, `GroupBy` out.

Enums are ids, as Chronon's compilers write them, or names. `GroupBy.conf` keeps the whole conf. A
value that Chronon does not have is an error that names the field.
"""

from collections.abc import Mapping
from typing import Any

from chronon_beam.api.chronon.checks import check_declared
from chronon_beam.api.derivations import Derivation
from chronon_beam.api.dialect import Dialect, TimeUnit
from chronon_beam.api.group_by import (
    Accuracy,
    Aggregation,
    GroupBy,
    GroupByError,
    Query,
    Source,
    Window,
)
from chronon_beam.api.json_fields import (
    an_object,
    compiled_conf,
    member,
    objects,
    parse_json,
    text,
    texts,
)
from chronon_beam.api.validation import validated

_INT_MAX = 2**31 - 1
_SOURCES = {
    "events": ("table", "topic"),
    "entities": ("snapshotTable", "mutationTopic"),
    "joinSource": (None, None),
}


def parse_group_by(text: str | bytes, dialect: Dialect, origin: str = "GroupBy") -> GroupBy:
    """Read one compiled GroupBy.

    Args:
        text: Thrift JSON as Chronon's compiler writes it.
        dialect: which Chronon compiled it.
        origin: what errors call the text, for example its path.

    Raises:
        GroupByError: not JSON, an unknown enum value or a contradiction; names the field.
    """
    return parse_conf(parse_json(text, origin), dialect, origin)


def parse_conf(value: Any, dialect: Dialect, origin: str = "GroupBy") -> GroupBy:
    """Read one compiled GroupBy from its JSON object; see `parse_group_by`."""
    conf = compiled_conf(value, "GroupBy", "keyColumns", origin)
    group_by = _group_by(conf, dialect, origin)
    check_declared(conf, dialect, origin)
    return validated(group_by, origin)


def declaration_of(group_by: GroupBy) -> dict[str, Any] | None:
    """The JSON object that `parse_conf` reads as the same GroupBy.

    None for a GroupBy that has been changed since it was read, apart from its name.
    """
    conf = group_by.to_thrift()
    try:
        same = parse_conf(conf, group_by.dialect) == group_by
    except GroupByError:
        return None
    return conf if same else None


def _group_by(conf: Mapping[str, Any], dialect: Dialect, origin: str) -> GroupBy:
    meta = an_object(conf.get("metaData") or {}, f"{origin}: metaData")
    accuracy = conf.get("accuracy")
    return GroupBy(
        name=str(meta.get("name") or ""),
        sources=tuple(_source(*source) for source in objects(conf, "sources", f"{origin}: ")),
        keys=texts(conf, "keyColumns", origin),
        aggregations=tuple(
            _aggregation(aggregation, dialect, where)
            for aggregation, where in objects(conf, "aggregations", f"{origin}: ")
        ),
        accuracy=None
        if accuracy is None
        else member(accuracy, {each.value: each for each in Accuracy}, f"{origin}: accuracy"),
        dialect=dialect,
        derivations=tuple(
            derivation(*found) for found in objects(conf, "derivations", f"{origin}: ")
        ),
        conf=conf,
    )


def derivation(conf: Mapping[str, Any], where: str) -> Derivation:
    """Read one derivation, which errors call `where`."""
    return Derivation(text(conf, "name", where), text(conf, "expression", where))


def _source(conf: Mapping[str, Any], where: str) -> Source:
    kinds = [kind for kind in _SOURCES if conf.get(kind)]
    if len(kinds) != 1:
        raise GroupByError(
            f"{where}: one of {', '.join(_SOURCES)} is expected, found {kinds or sorted(conf)}"
        )
    kind = kinds[0]
    table, topic = _SOURCES[kind]
    query = f"{where}.{kind}.query"
    body = an_object(conf[kind], f"{where}.{kind}")
    return Source(
        kind=kind,
        query=_query(an_object(body.get("query") or {}, query), query),
        table=body.get(table) if table else None,
        topic=body.get(topic) if topic else None,
    )


def _query(conf: Mapping[str, Any], where: str) -> Query:
    selects = conf.get("selects")
    found = list(selects.values()) if isinstance(selects, dict) else [selects]
    if selects is not None and not all(isinstance(each, str) for each in found):
        raise GroupByError(f"{where}: selects must be a map of name to Spark SQL, found {selects}")
    return Query(
        selects=None if selects is None else tuple(selects.items()),
        wheres=texts(conf, "wheres", where),
        time_column=conf.get("timeColumn"),
        setups=texts(conf, "setups", where),
        mutation_time_column=conf.get("mutationTimeColumn"),
        reversal_column=conf.get("reversalColumn"),
    )


def _aggregation(conf: Mapping[str, Any], dialect: Dialect, where: str) -> Aggregation:
    column = conf.get("inputColumn")
    if not column:
        raise GroupByError(f"{where}: inputColumn is missing: name the column to aggregate")
    if not isinstance(column, str):
        raise GroupByError(f"{where}: inputColumn must be a string, found {column!r}")
    if conf.get("operation") is None:
        raise GroupByError(f"{where}: operation is missing: for example 6 (COUNT)")
    where_operation = f"{where}.operation (dialect {dialect.name})"
    windows = [
        _window(window, dialect, place) for window, place in objects(conf, "windows", f"{where}.")
    ]
    arguments = an_object(conf.get("argMap") or {}, f"{where}.argMap")
    return Aggregation(
        input_column=column,
        operation=member(conf["operation"], dialect.operations, where_operation),
        windows=_bounded(windows),
        buckets=texts(conf, "buckets", where) or None,
        arguments=tuple((name, str(value)) for name, value in arguments.items()),
        element_wise=bool(conf.get("elementWise")),
    )


def _window(conf: Mapping[str, Any], dialect: Dialect, where: str) -> Window:
    length = conf.get("length")
    if not isinstance(length, int) or isinstance(length, bool):
        raise GroupByError(f"{where}.length: an int is expected, found {length!r}")
    where_unit = f"{where}.timeUnit (dialect {dialect.name})"
    unit: TimeUnit = member(conf.get("timeUnit"), dialect.time_units, where_unit)
    return Window(length, unit)


def _bounded(windows: list[Window]) -> tuple[Window | None, ...] | None:
    """Windows, with None for an unbounded one: Chronon writes 0, less, or the largest int."""
    bounded = [window if 0 < window.length < _INT_MAX else None for window in windows]
    return tuple(bounded) if any(bounded) else None
