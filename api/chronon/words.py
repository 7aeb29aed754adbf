"""Chronon's words that are the same in both dialects, or nearly so.

Source: `ai.chronon.group_by`, `ai.chronon.query` and `ai.chronon.utils` of Chronon's Python API.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from chronon_beam.api.chronon.conf import Conf, to_conf
from chronon_beam.api.chronon.structs import Struct
from chronon_beam.api.dialect import Dialect, Operation, TimeUnit
from chronon_beam.api.group_by import GroupByError, Window

Words = Mapping[str, Callable[..., Any]]
"""What makes the structs of one dialect, by their names."""

_NOT_AGGREGATED = ("ts", "is_before", "mutation_ts", "ds")
_NAMED_BY_K = (Operation.LAST_K, Operation.FIRST_K, Operation.TOP_K, Operation.BOTTOM_K)


def select(*columns: str, **expressions: str) -> dict[str, str]:
    """Columns as they are, and expressions under names: `select("a", b="upper(c)")`."""
    return {**{column: column for column in columns}, **expressions}


def query_of(source: Struct) -> Struct:
    """The query of a source, of whatever kind; raises GroupByError when there is none."""
    kind = source.entities or source.events or source.joinSource
    if kind is None or kind.query is None:
        raise GroupByError(
            f"Source: events, entities or joinSource with a query is expected, found {source!r}"
        )
    return kind.query


def columns_of(source: Struct) -> list[str]:
    """The names of what a source selects; raises GroupByError when it selects nothing."""
    selects = query_of(source).selects
    if selects is None:
        raise GroupByError("Query: selects is missing: name the columns to select")
    return list(selects)


def aggregation(words: Words, column: str | None, operation: object, **fields: object) -> Struct:
    """An Aggregation; `operation` may carry its arguments, as `Operation.LAST_K(5)` does."""
    kind, arguments = operation if isinstance(operation, tuple) else (operation, {})
    return words["Aggregation"](
        inputColumn=column,
        operation=Operation.LAST if kind is None else kind,
        argMap=dict(arguments),
        **fields,
    )


def inputs(aggregations: Iterable[Struct] | None) -> list[str]:
    """The columns that are aggregated; raises GroupByError for an aggregation without any."""
    for index, each in enumerate(aggregations or ()):
        if not each.inputColumn:
            raise GroupByError(
                f"GroupBy.aggregations[{index}]: input_column is missing: name the column to "
                "aggregate"
            )
    return [each.inputColumn for each in aggregations or ()]


def with_k(aggregations: Iterable[Struct] | None, dialect: Dialect) -> None:
    """Give percentiles of which no k was said the dialect's."""
    for each in aggregations or ():
        if each.argMap and "k" in each.argMap and each.argMap["k"] is None:
            each.argMap["k"] = str(dialect.percentile_k)


def aggregations(**named: Struct) -> list[Struct]:
    """Aggregations of which each is over the column that its name says, unless it says another."""
    for name, each in named.items():
        if not each.inputColumn:
            each.inputColumn = name
    return list(named.values())


def default_aggregation(
    aggregate: Callable[..., Struct],
    keys: list[str],
    sources: Iterable[Struct],
    **fields: object,
) -> list[Struct]:
    """One aggregation per selected column that is neither a key nor a time."""
    return [
        aggregate(input_column=column, **fields)
        for source in sources
        for column in columns_of(source)
        if column not in (*keys, *_NOT_AGGREGATED, query_of(source).timeColumn)
    ]


def length(words: Words, window: object, least: int = 1) -> Struct:
    """A window from `7d`, `24h` or `15m`, of at `least` that many units, or as it is.

    Raises:
        ValueError, TypeError: text of another form, or neither text nor a window.
    """
    if (
        window is None
        or isinstance(window, (Struct, Window))
        or hasattr(type(window), "thrift_spec")
    ):
        return window
    if not isinstance(window, str):
        raise TypeError(f"a window is text like '7d' or a Window, found {window!r}")
    units = {"d": TimeUnit.DAYS, "h": TimeUnit.HOURS, "m": TimeUnit.MINUTES}
    number, unit = window[:-1], units.get(window[-1:].lower())
    if unit is None or not number.isdigit() or int(number) < least:
        raise ValueError(f"window {window!r}: a number and d, h or m is expected, such as '7d'")
    return words["Window"](int(number), unit)


def complete(
    source: Struct, required: Sequence[str], filters: Mapping[str, str] | None = None
) -> None:
    """Add to a source's selects what its GroupBy needs, as Chronon does.

    Keys and input columns that are not selected are selected as they are; buckets are not. `ts`
    among the selects is the time column.

    Args:
        source: a source, whose query is changed.
        required: keys and input columns.
        filters: more selects, instead of those of the same name.

    Raises:
        GroupByError: `ts` is selected, and there is another time column.
    """
    query = query_of(source)
    if not isinstance(query.selects, Mapping | None):
        raise GroupByError(f"Query: selects: a dict is expected, found {query.selects!r}")
    query.selects = {**(query.selects or {})}
    for column in required:
        query.selects.setdefault(column, column)
    query.selects.update(filters or {})
    if "ts" not in query.selects:
        return
    time = query.selects.pop("ts")
    if query.timeColumn not in (None, time):
        raise GroupByError(
            f"Query: selects has ts={time!r}, and the time column is {query.timeColumn!r}: give "
            "the expression of the time as time_column alone"
        )
    query.timeColumn = time


def output_columns(aggregation: Conf, dialect: Dialect) -> list[str]:
    """Names of the features of one compiled aggregation: for each bucket one per window."""
    operation = dialect.operations[aggregation["operation"]]
    last = operation.value
    if operation in _NAMED_BY_K:
        last = f"{last.removesuffix('_k')}{aggregation.get('argMap', {}).get('k')}"
    name = f"{aggregation['inputColumn']}_{last}"
    windowed = [
        f"{name}_{window['length']}{dialect.time_units[window['timeUnit']].value}"
        for window in aggregation.get("windows") or ()
    ] or [name]
    buckets = aggregation.get("buckets") or ()
    return [f"{part}_by_{bucket}" for bucket in buckets for part in windowed] or windowed


def column_tags(aggregations: Iterable[Struct] | None, dialect: Dialect) -> dict[str, object]:
    """The tags of aggregations, by the names of their features."""
    return {
        column: each.tags
        for each in aggregations or ()
        if getattr(each, "tags", None)
        for column in output_columns(to_conf(each, dialect, "Aggregation"), dialect)
    }
