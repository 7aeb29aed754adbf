"""Evaluates Chronon's selects and wheres on Arrow batches, by Spark itself and without a Spark job.

>>> query = SqlQuery(                                                    # doctest: +SKIP
...     selects=(("flavor", "upper(ice_cream)"), ("ts", "created")),
...     wheres=("flavor IS NOT NULL",),
...     setups=(),
...     schema=parse_ddl("ice_cream STRING, created BIGINT"),
...     columns=("flavor", "ts"),
... )
>>> rows, events, failures = compile_query(query).evaluate(batch)        # doctest: +SKIP
"""

import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from chronon_beam.transforms.spark.errors import EVENT, QueryError, quiet_pyspark
from chronon_beam.transforms.spark.eval_socket import EvaluationFailed
from chronon_beam.transforms.spark.launch import JvmFailed
from chronon_beam.transforms.spark.planning import QueryPlan, plan_query
from chronon_beam.transforms.spark.query import SqlQuery, check_names
from chronon_beam.transforms.spark.session import LocalSpark, local_spark, parse_ddl
from chronon_beam.transforms.spark.setups import check_jars

__all__ = [
    "EVENT",
    "CompiledQuery",
    "QueryResult",
    "QueryError",
    "SqlQuery",
    "compile_query",
    "parse_ddl",
]


class QueryResult(NamedTuple):
    """What a query made of a batch.

    Attributes:
        rows: the output rows, in the order of their events.
        events: per row the position, in the input batch, of its event; a `range` over the batch if
            there is one row per event.
        failures: (position in the input batch, Spark's reason in one line) of each event that
            cannot be evaluated, by position.
    """

    rows: pa.RecordBatch
    events: Sequence[int]
    failures: list[tuple[int, str]]


class CompiledQuery:
    """A planned query, for any thread of this process; made by `compile_query`.

    Attributes:
        inputs: the columns of the query's schema that the query reads.
        schema: the columns of the output rows, with Spark's types in Arrow; timestamps are in
            microseconds, UTC.
    """

    def __init__(self, query: SqlQuery, spark: LocalSpark, plan: QueryPlan) -> None:
        self._query = query
        self._spark = spark
        self._plan = plan
        self._input = pa.schema(list(plan.input)[:-1])
        self.inputs: pa.Schema = pa.schema([query.schema.field(at) for at in plan.used])
        self.schema: pa.Schema = pa.schema(list(plan.output)[:-1])

    def evaluate(self, batch: pa.RecordBatch) -> QueryResult:
        """The rows of a batch of any length; an event on which Spark fails does not affect others.

        Args:
            batch: has the columns of `inputs`, by name; other columns are ignored.

        Raises:
            ValueError: the batch lacks a column that the query reads.
            JvmFailed: Spark's JVM has ended; compile the query anew.
        """
        positions = _positions(batch.num_rows)
        outputs: list[pa.RecordBatch] = []
        failures: list[tuple[int, str]] = []
        if self._plan.id is not None and batch.num_rows:
            self._collect(self._plan.id, batch, positions, outputs, failures)
        rows = _join(outputs, self._plan.output)
        events = rows.column(rows.num_columns - 1)
        one_row_each = events.equals(positions)
        return QueryResult(
            rows.select(self.schema.names),
            range(batch.num_rows) if one_row_each else events.to_pylist(),
            failures,
        )

    def alive(self) -> bool:
        """Whether the Spark that has planned the query still runs."""
        return self._spark.alive()

    def warm_up(self) -> None:
        """Evaluate an empty batch, so that Spark generates and loads the code for events now.

        Raises:
            QueryError: Spark fails.
        """
        if self._plan.id is None:
            return
        try:
            self._ask(self._plan.id, _no_rows(self._input), _positions(0))
        except EvaluationFailed as error:
            raise QueryError(f"Spark cannot run the query: {_one_line(error)}") from None

    def __reduce__(self) -> str:
        raise TypeError(
            "a CompiledQuery belongs to its process: pickle the SqlQuery, "
            "and call compile_query(query) where it is used"
        )

    def _collect(
        self,
        plan_id: int,
        batch: pa.RecordBatch,
        positions: pa.Array,
        outputs: list[pa.RecordBatch],
        failures: list[tuple[int, str]],
    ) -> None:
        """Evaluate a batch; if it fails, halve it until each event that fails is alone."""
        try:
            outputs.append(self._ask(plan_id, batch, positions))
        except (EvaluationFailed, pa.ArrowInvalid) as error:
            if batch.num_rows == 1:
                failures.append((positions[0].as_py(), _one_line(error)))
                return
            half = batch.num_rows // 2
            for part in (slice(0, half), slice(half, batch.num_rows)):
                self._collect(plan_id, batch[part], positions[part], outputs, failures)

    def _cast(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with the types that Spark reads."""
        missing = [name for name in self._input.names if name not in batch.schema.names]
        if missing:
            raise ValueError(
                f"the batch has the columns {batch.schema.names}, but the query reads {missing}"
            )
        return batch.select(self._input.names).cast(self._input)

    def _ask(self, plan_id: int, batch: pa.RecordBatch, positions: pa.Array) -> pa.RecordBatch:
        if not batch.schema.equals(self._input):
            batch = self._cast(batch)
        request = pa.RecordBatch.from_arrays([*batch.columns, positions], schema=self._plan.input)
        try:
            answer = self._spark.socket.evaluate(plan_id, request)
        except OSError as error:
            raise JvmFailed(
                f"Spark's JVM is gone ({error}); the next compile_query starts another. "
                f"It said: {self._spark.last_words()}"
            ) from error
        return pa.ipc.read_record_batch(answer, self._plan.output)


def compile_query(query: SqlQuery) -> CompiledQuery:
    """The query as a function on batches; planned once per process, safe to call from any thread.

    Raises:
        QueryError: Spark refuses a select, where or setup, or one needs more than one event.
        JavaNotFound: there is no Java to run Spark on.
        JvmFailed: Spark does not start.
    """
    check_names(query)
    with _lock, quiet_pyspark():
        compiled = _compiled.get(query)
        if compiled is None or not compiled.alive():
            check_jars(query.setups)
            spark = local_spark(query.setups)
            compiled = CompiledQuery(query, spark, plan_query(spark, query))
            compiled.warm_up()
            _compiled[query] = compiled
        return compiled


_lock = threading.RLock()
_compiled: dict[SqlQuery, CompiledQuery] = {}


def _positions(count: int) -> pa.Array:
    return pa.array(np.arange(count, dtype=np.int32))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _join(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    table = pa.Table.from_batches(batches, schema).combine_chunks()
    return table.to_batches()[0] if table.num_rows else _no_rows(schema)


def _no_rows(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)
