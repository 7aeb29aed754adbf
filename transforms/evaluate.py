"""Events to rows: selects and wheres of the GroupBy's query, evaluated by Spark.

Source: `ai.chronon.flink.SparkExpressionEvalFn`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.pvalue import TaggedOutput

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.data_types import from_arrow
from chronon_beam.api.group_by import GroupBy, GroupByError
from chronon_beam.api.records import Failure
from chronon_beam.transforms.decode import Events
from chronon_beam.transforms.rows import Rows, as_json
from chronon_beam.transforms.sql import CompiledQuery, SqlQuery, compile_query

FAILURES = "failures"
TIME = "ts"


def sql_query(group_by: GroupBy, schema: pa.Schema) -> SqlQuery:
    """The query of a GroupBy's source over events of `schema`.

    `ts` is the time column, as Chronon adds it; without selects, the events' own columns.
    """
    query = group_by.source.query
    time_column = query.time_column or TIME
    selects = query.selects
    if selects is None:
        selects = tuple((name, f"`{name}`") for name in schema.names if name != TIME)
    time_filter = (f"({time_column}) IS NOT NULL",) if group_by.dialect.drops_null_time else ()
    wanted = (*group_by.keys, *group_by.aggregation_inputs, TIME)
    return SqlQuery(
        selects=(*selects, (TIME, time_column)),
        wheres=(*query.wheres, *time_filter),
        setups=query.setups,
        schema=schema,
        columns=tuple(dict.fromkeys(wanted)),
    )


def plan_of(group_by: GroupBy, compiled: CompiledQuery, layout: str) -> Plan:
    """The plan of a GroupBy whose query has been compiled.

    Raises:
        GroupByError: the time is no number of milliseconds.
    """
    types = {field.name: from_arrow(field.name, field.type) for field in compiled.schema}
    time_type = compiled.schema.field(TIME).type
    if not (pa.types.is_integer(time_type) or pa.types.is_floating(time_type)):
        raise GroupByError(
            f"{group_by.name}: time column {group_by.source.query.time_column or TIME!r} is of "
            f"type {time_type}: milliseconds since the epoch are expected; write for example "
            "unix_millis(created) or CAST(created AS BIGINT)"
        )
    return Plan(group_by, types, layout)


def evaluate_events(compiled: CompiledQuery, events: Events) -> tuple[Rows, list[Failure]]:
    """Rows of a batch of events, and the events that could not be evaluated or have no time."""
    evaluated = compiled.evaluate(events.batch)
    failures = [_dead_event(events, index, reason) for index, reason in evaluated.failures]
    batch, indices = _with_time(evaluated.rows), evaluated.events
    gave_rows = len(set(indices))
    times = batch.column(TIME)
    if times.null_count:
        untimed = {indices[i] for i in pc.indices_nonzero(times.is_null()).to_pylist()}
        failures += [
            _dead_event(events, index, "the time column is null") for index in sorted(untimed)
        ]
        timed = times.is_valid()
        batch = batch.filter(timed)
        indices = [indices[i] for i in pc.indices_nonzero(timed).to_pylist()]
    positions = [events.positions[index] for index in indices]
    filtered = events.batch.num_rows - gave_rows - len(evaluated.failures)
    return Rows(batch, events.source, positions, events.watermark_ms, filtered), failures


def _with_time(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with `ts` as int64: doubles are truncated as Chronon does, NaN is null."""
    times = batch.column(TIME)
    if times.type == pa.int64():
        return batch
    if pa.types.is_floating(times.type):
        finite = pc.if_else(pc.is_finite(times), times, None)
        times = pc.trunc(finite)
    index = batch.schema.get_field_index(TIME)
    return batch.set_column(index, TIME, times.cast(pa.int64()))


def _dead_event(events: Events, index: int, reason: str) -> Failure:
    if events.payloads is not None:
        payload = events.payloads[index]
    else:
        payload = as_json(events.batch.slice(index, 1).to_pylist()[0])
    return Failure("Evaluate", reason, payload, events.source, events.positions[index])


@dataclass
class Evaluate(beam.PTransform):
    """Events to Rows; `failures` beside them."""

    query: SqlQuery

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, events: beam.PCollection[Events]) -> Any:
        """One batch of rows a batch of events."""
        return events | "Sql" >> beam.ParDo(_EvaluateFn(self.query)).with_outputs(
            FAILURES, main="rows"
        )


class _EvaluateFn(beam.DoFn):
    def __init__(self, query: SqlQuery) -> None:
        self._query = query

    def setup(self) -> None:
        self._compiled = compile_query(self._query)

    def process(self, events: Events) -> Iterator[Any]:
        rows, failures = evaluate_events(self._compiled, events)
        yield rows
        yield from (TaggedOutput(FAILURES, failure) for failure in failures)
