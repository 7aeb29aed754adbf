"""Events to rows: selects and wheres of the GroupBy's query, evaluated by Spark.

Source: `ai.chronon.flink.SparkExpressionEvalFn`.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.counts import Count, Metric, uncounted
from chronon_beam.api.data_types import BOOLEAN
from chronon_beam.api.formats.arrow_types import from_arrow
from chronon_beam.api.formats.python_values import rows_without_python_value
from chronon_beam.api.group_by import IS_BEFORE, MUTATION_TIME, GroupBy, GroupByError, Query
from chronon_beam.api.records import Failure, Form
from chronon_beam.transforms.decode import Events, with_envelope
from chronon_beam.transforms.envelope import narrow_schema, unfold
from chronon_beam.transforms.rows import Rows, promises_at, row_json
from chronon_beam.transforms.spark.compiled_query import CompiledQuery, compile_query
from chronon_beam.transforms.spark.query import SqlQuery
from chronon_beam.transforms.stage import PerBatch, Result, outputs_of
from chronon_beam.transforms.start_up import freeze_start_up
from chronon_beam.transforms.time_hint import time_hint

STEP = "Evaluate"
TIME = "ts"

# Beam counts microseconds in 64 bits, and a tile, its lateness and a day must fit after a time.
_LATEST_MS = 8_000_000_000_000_000

_MOST_S = 4_200_000_000_000
"""The bound of times that are counted, so that Beam's sums do not overflow. Today's times in
microseconds, if they were taken for milliseconds, are below."""

compute: Any = pyarrow.compute
"""Its functions are made at run time, where no type checker sees them."""


def sql_query(group_by: GroupBy, schema: pa.Schema, mutations: bool = True) -> SqlQuery:
    """The query of a GroupBy's source over events of `schema`.

    The time column is added as `ts`, as in Chronon. For entities, `is_before` and `mutation_ts` are
    added too, unless the events are a snapshot without `mutations`. If the query has no selects, it
    selects the columns of the events.
    """
    query = group_by.source.query
    added = {TIME: query.time_column or TIME}
    times: dict[str, str] = {}
    if group_by.is_entities and mutations:
        added |= mutation_selects(query)
        # The where names the select, since the expression itself could mean other selects there.
        label = f"mutation time column {added[MUTATION_TIME]}"
        times[f"{MUTATION_TIME} IS NOT NULL"] = label
    if group_by.dialect.drops_null_time:
        times[f"({added[TIME]}) IS NOT NULL"] = f"time column {added[TIME]}"
    selects = query.selects
    wanted = (*group_by.keys, *group_by.aggregation_inputs, *added)
    if selects is None:
        spelled = Counter(name.lower() for name in schema.names)
        plain = [name for name in schema.names if spelled[name.lower()] == 1 or name in wanted]
        selects = tuple((name, f"`{name}`") for name in plain)
    kept = tuple((name, text) for name, text in selects if name not in added)
    return SqlQuery(
        selects=(*kept, *added.items()),
        wheres=(*query.wheres, *times),
        setups=query.setups,
        schema=schema,
        columns=tuple(dict.fromkeys(wanted)),
        labels=tuple(times.items()),
    )


def columns_read(query: SqlQuery, changes: pa.Schema | None = None) -> pa.Schema:
    """The columns of messages that a query names: the others need not be decoded.

    Args:
        query: over the events.
        changes: the schema of messages that are changes with `before` and `after`.

    Raises:
        QueryError: Spark refuses the query.
    """
    return columns_of_all([query], changes)


def columns_of_all(queries: Sequence[SqlQuery], changes: pa.Schema | None = None) -> pa.Schema:
    """As `columns_read`, of several queries over the same events: what any of them names."""
    found = {field.name: field for query in queries for field in compile_query(query).inputs}
    order = {name: at for at, name in enumerate(queries[0].schema.names)}
    inputs = pa.schema(sorted(found.values(), key=lambda field: order[field.name]))
    return narrow_schema(changes, inputs) if changes else inputs


def mutation_selects(query: Query) -> dict[str, str]:
    """Chronon's columns of a mutation, from those that the query names, else from its selects."""
    selects = dict(query.selects or ())
    return {
        IS_BEFORE: query.reversal_column or selects.get(IS_BEFORE, IS_BEFORE),
        MUTATION_TIME: query.mutation_time_column or selects.get(MUTATION_TIME, MUTATION_TIME),
    }


def plan_of(group_by: GroupBy, compiled: CompiledQuery, layout: str) -> Plan:
    """The plan of a GroupBy whose query has been compiled.

    Raises:
        GroupByError: a time is no number of milliseconds, or the reversal column no boolean.
    """
    types = {field.name: from_arrow(field.name, field.type) for field in compiled.schema}
    query = group_by.source.query
    _check_time(group_by, compiled, TIME, query.time_column or TIME)
    if MUTATION_TIME in types and group_by.is_entities:
        chosen = mutation_selects(query)
        _check_time(group_by, compiled, MUTATION_TIME, chosen[MUTATION_TIME])
        if types[IS_BEFORE] != BOOLEAN:
            raise GroupByError(
                f"{group_by.name}: reversal column {chosen[IS_BEFORE]!r} is of type "
                f"{types[IS_BEFORE].name}: a boolean is expected; write for example op = 'delete'"
            )
    return Plan(group_by, types, layout)


def _check_time(group_by: GroupBy, compiled: CompiledQuery, name: str, expression: str) -> None:
    kind = compiled.schema.field(name).type
    if not (pa.types.is_integer(kind) or (name == TIME and pa.types.is_floating(kind))):
        role = "time column" if name == TIME else "mutation time column"
        raise GroupByError(
            f"{group_by.name}: {role} {expression!r} is of type {kind}: milliseconds since the "
            f"epoch are expected: {time_hint(kind, expression)}"
        )


def evaluate_events(compiled: CompiledQuery, events: Events) -> Result[Rows]:
    """Rows of a batch of events; events with a row that the next stages cannot take are failures.

    A row needs a time, and values that Python has: see `python_values`.
    """
    began_ns = time.perf_counter_ns()
    evaluated = compiled.evaluate(events.batch)
    took_us = (time.perf_counter_ns() - began_ns) // 1000
    failures = [_dead_event(events, index, reason) for index, reason in evaluated.failures]
    batch, indices = _with_time(evaluated.rows), evaluated.events
    whole = len(indices) if isinstance(indices, range) else len(set(indices))
    filtered = events.batch.num_rows - whole - len(failures)
    unusable = {**rows_without_python_value(batch), **_rows_without_time(batch.column(TIME))}
    if unusable:
        # The event's other rows are left out too: a redrive makes all rows of the event again.
        reasons = {indices[row]: unusable[row] for row in sorted(unusable, reverse=True)}
        failures += [_dead_event(events, index, reasons[index]) for index in sorted(reasons)]
        kept = [row for row, index in enumerate(indices) if index not in reasons]
        batch, indices = batch.take(pa.array(kept, pa.int64())), [indices[row] for row in kept]
        whole -= len(reasons)
    rows = _rows_of(events, batch, indices)
    number = batch.num_rows
    counts = {Metric.ROWS: number, Metric.EXTRA_ROWS: number - whole, Metric.FILTERED: filtered}
    times = {Metric.SPARK_TIME: took_us, **_extreme_times(batch.column(TIME))}
    return Result(rows, failures, {**counts, **times})


def _rows_of(events: Events, batch: pa.RecordBatch, indices: Sequence[int]) -> Rows:
    """The rows in `batch`, with what is known of the events that they came from."""
    if indices == range(len(events.positions)):
        return Rows(batch, events.source, events.positions, events.promised_ms)
    positions = [events.positions[index] for index in indices]
    return Rows(batch, events.source, positions, promises_at(events.promised_ms, indices))


def _extreme_times(times: pa.Array) -> dict[Metric, int]:
    """The earliest and the latest time of a batch, in seconds, within `_MOST_S`."""
    if not len(times):
        return {}
    found = compute.min_max(times)
    earliest, latest = (_in_bounds(found[end].as_py() // 1000) for end in ("min", "max"))
    return {Metric.EARLIEST_S: earliest, Metric.LATEST_S: latest}


def _in_bounds(time_s: int) -> int:
    return max(-_MOST_S, min(time_s, _MOST_S))


def _rows_without_time(times: pa.Array) -> dict[int, str]:
    """Why rows have no time, by their index."""
    extremes = compute.min_max(times)
    if not times.null_count and _is_time(extremes["min"]) and _is_time(extremes["max"]):
        return {}
    return {row: _why_no_time(time.as_py()) for row, time in enumerate(times) if not _is_time(time)}


def _is_time(time: Any) -> bool:
    return time.is_valid and abs(time.as_py()) <= _LATEST_MS


def _why_no_time(time_ms: int | None) -> str:
    if time_ms is None:
        return "the time column is null"
    return f"the time {time_ms} is none: milliseconds since the epoch are expected"


def _with_time(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with `ts` as int64: doubles are truncated as Chronon does; NaN is null."""
    times = batch.column(TIME)
    if times.type == pa.int64():
        return batch
    if pa.types.is_floating(times.type):
        # A double beyond all times becomes an int64 that is not a time either.
        bounded = compute.min_element_wise(times, 2.0 * _LATEST_MS, skip_nulls=False)
        bounded = compute.max_element_wise(bounded, -2.0 * _LATEST_MS, skip_nulls=False)
        times = compute.trunc(compute.if_else(compute.is_nan(times), None, bounded))
    index = batch.schema.get_field_index(TIME)
    return batch.set_column(index, TIME, times.cast(pa.int64()))


def _dead_event(events: Events, index: int, reason: str) -> Failure:
    source, position = events.source, events.positions[index]
    if events.payloads is None:
        return Failure(STEP, reason, row_json(events.batch, index), source, position, Form.EVENT)
    message = Failure(STEP, reason, events.payloads[index], source, position, Form.MESSAGE)
    return with_envelope(message, events, index)


def evaluator(query: SqlQuery, changes: bool = False) -> Callable[[Events], Result[Rows]]:
    """The function of the stage: compiles `query`; see `Evaluate` for `changes`."""
    evaluate = partial(evaluate_events, compile_query(query))
    freeze_start_up()  # no other stage has more to load
    return partial(_evaluate_changes, evaluate) if changes else evaluate


def _evaluate_changes(evaluate: Callable[[Events], Result[Rows]], events: Events) -> Result[Rows]:
    """Evaluates the rows before and after each change, and counts changes, not their rows.

    A change of which one row fails is dead as a whole.
    """
    rows = unfold(events)
    result = _whole_changes(evaluate(rows))
    empty = len(set(events.positions) - set(rows.positions))
    extra = len(rows.positions) - len(events.positions) + empty
    counts = {**result.counts}
    counts[Metric.EXTRA_ROWS] += extra
    counts[Metric.FILTERED] += empty
    return result._replace(counts=counts)


def _whole_changes(result: Result[Rows]) -> Result[Rows]:
    """The result without any row of changes that have failed, and with one failure per change."""
    if not result.failures:
        return result
    dead = {failure.position: failure for failure in reversed(result.failures)}
    rows = result.batch
    kept = [row for row, position in enumerate(rows.positions) if position not in dead]
    left_out = len(rows.positions) - len(kept)
    again = len(result.failures) - len(dead)
    left = Rows(
        rows.batch.take(pa.array(kept, pa.int64())),
        rows.source,
        [rows.positions[row] for row in kept],
        promises_at(rows.promised_ms, kept),
    )
    counts = {**result.counts}
    counts[Metric.ROWS] -= left_out
    counts[Metric.EXTRA_ROWS] -= left_out + again
    return Result(left, list(dead.values()), counts)


class Evaluated(NamedTuple):
    """The outputs of `Evaluate`."""

    rows: beam.PCollection[Rows]
    failures: beam.PCollection[Failure]


@dataclass
class Evaluate(beam.PTransform):
    """Events to Rows.

    Attributes:
        query: the selects and wheres.
        changes: whether an event is a change with `before` and `after`; see `envelope`.
        count: takes rows, events that are filtered out, and dead letters.
    """

    query: SqlQuery
    changes: bool = False
    count: Count = uncounted

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, events: beam.PCollection[Events]) -> Evaluated:
        """One batch of rows per batch of events."""
        start = partial(evaluator, self.query, self.changes)
        return Evaluated(*outputs_of(events | "Sql" >> PerBatch(start, self.count)))
