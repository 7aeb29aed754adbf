"""Plans a query with Spark, and refuses queries that need more than one event."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
from pyspark.sql.types import StructType

from chronon_beam.api.formats.refused import refusal
from chronon_beam.transforms.spark.arrow_types import spark_field, to_arrow, to_spark
from chronon_beam.transforms.spark.errors import (
    EVENT,
    SPARK_ERRORS,
    QueryError,
    error_condition,
    spark_reason,
)
from chronon_beam.transforms.spark.java_value import JavaValue
from chronon_beam.transforms.spark.plan_tree import (
    Physical,
    SeveralEvents,
    is_of_one_event,
    physical_plan,
    used_columns,
    with_column,
)
from chronon_beam.transforms.spark.query import SqlQuery
from chronon_beam.transforms.spark.session import LocalSpark

_REMEDY = (
    "a select or where may compute on one event at a time only; "
    "what spans events belongs into the GroupBy's aggregations"
)

_AGGREGATE_CONDITIONS = ("MISSING_GROUP_BY", "MISSING_AGGREGATION", "INVALID_WHERE_CONDITION")


class QueryPlan(NamedTuple):
    """A query that Spark has planned, and that is registered with the evaluator.

    Attributes:
        id: the id of the plan in requests; None if no event can pass, so that no request is made.
        used: the positions, in the query's schema, of the columns that the query reads.
        input: the schema of the batches of requests: those columns, EVENT last.
        output: the schema of the batches of answers, EVENT last.
    """

    id: int | None
    used: list[int]
    input: pa.Schema
    output: pa.Schema


def plan_query(spark: LocalSpark, query: SqlQuery) -> QueryPlan:
    """Have Spark plan the query, and register the plan with the JVM's evaluator.

    Raises:
        QueryError: Spark refuses the query; the message names the select or where, and the reason.
    """
    return _Planner(spark, query).plan()


class _Planner:
    """Plans one query."""

    def __init__(self, spark: LocalSpark, query: SqlQuery) -> None:
        self._spark = spark
        self._query = query
        self._session = spark.prepare(query.setups)
        event = pa.field(EVENT, pa.int32())
        self._input = pa.schema([*map(spark_field, query.schema), event])
        types = spark.gateway.jvm.org.apache.spark.sql.types
        schema = types.DataType.fromJson(to_spark(self._input).json())
        context: Any = spark.session._jsc
        source = spark.evaluator.source(context.sc())
        frame = self._session.internalCreateDataFrame(source, schema.asNullable(), False)
        columns = frame.queryExecution().analyzed().output()
        self._event: JavaValue = columns.apply(columns.size() - 1)
        self._events = frame.drop(EVENT)

    def plan(self) -> QueryPlan:
        self._parse_each()
        try:
            frame = self._frame(self._query.selects, self._query.wheres, self._query.columns)
            physical = physical_plan(self._with_event(frame))
        except (*SPARK_ERRORS, SeveralEvents) as error:
            raise self._blame(error) from None
        output = to_arrow(StructType.fromJson(json.loads(frame.schema().json())))
        output = output.append(pa.field(EVENT, pa.int32()))
        used = self._used(physical)
        request = pa.schema([self._input.field(at) for at in (*used, len(self._input) - 1)])
        plan_id = self._register(physical, used, request, output) if physical.lets_pass else None
        return QueryPlan(plan_id, used, request, output)

    def _used(self, physical: Physical) -> list[int]:
        """The columns that the plan reads; at least one, since a batch without columns is empty."""
        event = len(self._input) - 1
        used = used_columns(physical.plan) if physical.lets_pass else []
        used = [at for at in used if at != event]
        for at in used:
            self._refuse_unreadable(self._input.field(at))
        return used or [at for at in range(event) if refusal(self._input.field(at)) is None][:1]

    def _with_event(self, frame: JavaValue) -> JavaValue:
        """The frame with EVENT as its last column; `*` in the query does not include it."""
        logical = frame.queryExecution().analyzed()
        if not is_of_one_event(logical):
            return frame  # `physical_plan` refuses its other operators
        sql = self._spark.gateway.jvm.org.apache.spark.sql
        project = sql.catalyst.plans.logical.Project
        return sql.classic.Dataset.ofRows(self._session, with_column(logical, self._event, project))

    def _refuse_unreadable(self, field: pa.Field) -> None:
        reason = refusal(field)
        if reason is not None:
            raise QueryError(
                f"input column {_quoted(field.name)} cannot be read: {reason}. Leave it out of "
                "the selects and wheres (`*` names all columns)"
            )

    def _parse_each(self) -> None:
        """Parse each expression alone, so that the caret in an error points into its own text."""
        parser = self._session.sessionState().sqlParser()
        for label, text in self._expressions():
            try:
                parser.parseExpression(text)
            except SPARK_ERRORS as error:
                raise QueryError(f"{label}: {spark_reason(error)}") from None

    def _expressions(self) -> Iterator[tuple[str, str]]:
        for name, text in self._query.selects:
            yield _select_label(name, text), text
        for text in self._query.wheres:
            yield self._query.where_label(text), text

    def _frame(
        self,
        selects: Sequence[tuple[str, str]],
        wheres: Sequence[str],
        columns: Sequence[str],
    ) -> JavaValue:
        # The line break ends a comment that an expression may end with. No parentheses around a
        # select, since a generator (explode) must stand bare.
        frame = self._events.selectExpr(
            self._strings([f"{text}\nAS {_quoted(name)}" for name, text in selects])
        )
        if len(wheres) == 1:
            frame = frame.where(wheres[0])
        elif wheres:
            frame = frame.where(" AND ".join(f"({text}\n)" for text in wheres))
        return frame.selectExpr(self._strings([*map(_quoted, columns)]))

    def _strings(self, texts: Sequence[str]) -> JavaValue:
        gateway = self._spark.gateway
        array = gateway.new_array(gateway.jvm.String, len(texts))
        for index, text in enumerate(texts):
            array[index] = text
        return array

    def _blame(self, error: Exception) -> QueryError:
        """The error of the first select or where that fails without the others."""
        selects = self._query.selects
        for name, text in selects:
            alone = self._failure(lambda one=(name, text): self._frame([one], [], [one[0]]))
            if alone:
                return QueryError(f"{_select_label(name, text)}: {_reason(alone)}")
        for text in self._query.wheres:
            alone = self._failure(
                lambda one=text: self._frame(selects, [one], [name for name, _ in selects])
            )
            if alone:
                return QueryError(f"{self._query.where_label(text)}: {_reason(alone)}")
        return QueryError(f"the selects and wheres together: {_reason(error)}")

    def _failure(self, frame: Callable[[], JavaValue]) -> Exception | None:
        try:
            physical_plan(frame())
        except (*SPARK_ERRORS, SeveralEvents) as error:
            return error
        return None

    def _register(
        self, physical: Physical, used: list[int], request: pa.Schema, output: pa.Schema
    ) -> int:
        state = self._session.sessionState()
        convert = self._spark.gateway.jvm.scala.jdk.javaapi.CollectionConverters
        return self._spark.evaluator.register(
            physical.plan.execute(),
            len(self._input),
            self._ints([*used, len(self._input) - 1]),
            request.serialize().to_pybytes(),
            output.serialize().to_pybytes(),
            convert.asJava(state.conf().getAllConfs()),
            self._session.sharedState().jarClassLoader(),
            physical.reusable,
        )

    def _ints(self, numbers: Sequence[int]) -> JavaValue:
        gateway = self._spark.gateway
        array = gateway.new_array(gateway.jvm.int, len(numbers))
        for index, number in enumerate(numbers):
            array[index] = number
        return array


def _reason(error: Exception) -> str:
    if isinstance(error, SeveralEvents):
        return f"needs {error}, but {_REMEDY}"
    if error_condition(error).startswith(_AGGREGATE_CONDITIONS):
        return f"needs an aggregate or window function, but {_REMEDY} ({spark_reason(error)})"
    return spark_reason(error)


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _select_label(name: str, text: str) -> str:
    return f"select {_quoted(name)} = {text}"
