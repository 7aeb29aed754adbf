"""Plans a query with Spark, and refuses what is no function of one event."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
from pyspark.sql.types import StructType

from chronon_beam.transforms.spark.arrow_types import readable_field, to_arrow, to_spark
from chronon_beam.transforms.spark.errors import (
    EVENT,
    SPARK_ERRORS,
    QueryError,
    error_condition,
    spark_reason,
)
from chronon_beam.transforms.spark.query import SqlQuery
from chronon_beam.transforms.spark.session import LocalSpark

_REMEDY = (
    "a select or where may compute on one event at a time only; "
    "what spans events belongs into the GroupBy's aggregations"
)

_ONE_EVENT = {"WholeStageCodegen", "InputAdapter", "Project", "Filter", "Generate", "Scan"}
_NO_EVENT = {"LocalTableScan", "EmptyRelation"}
"""What the optimizer leaves of a query that it proved to let no event pass."""

_CLAUSES = (
    ("Window", "a window function (OVER)"),
    ("Python", "a Python function"),
    ("Aggregate", "an aggregate"),
    ("Join", "a join"),
    ("Limit", "LIMIT"),
    ("Sort", "a sort"),
)
"""What an operator's name says about the SQL, most telling first."""

_AGGREGATE_CONDITIONS = ("MISSING_GROUP_BY", "MISSING_AGGREGATION", "INVALID_WHERE_CONDITION")


class _Operator(NamedTuple):
    """A node of a physical plan."""

    name: str
    in_codegen: bool


class Plan(NamedTuple):
    """A query as the evaluator knows it.

    Attributes:
        id: names it in requests; None if no event can pass, so that nobody need be asked.
        input: schema of the batches that the evaluator reads, EVENT last.
        output: schema of the batches that it answers, EVENT last.
    """

    id: int | None
    input: pa.Schema
    output: pa.Schema


def plan_query(spark: LocalSpark, query: SqlQuery) -> Plan:
    """Has Spark plan the query and registers the plan with the JVM's evaluator.

    Raises:
        QueryError: naming the select or where and the reason.
    """
    return _Planner(spark, query).plan()


class _Planner:
    """One query on its way through Spark."""

    def __init__(self, spark: LocalSpark, query: SqlQuery) -> None:
        self._spark = spark
        self._query = query
        self._session = spark.prepare(query.setups)
        event = pa.field(EVENT, pa.int32())
        self._input = pa.schema([*map(readable_field, query.schema), event])
        types = spark.gateway.jvm.org.apache.spark.sql.types
        schema = types.DataType.fromJson(to_spark(self._input).json())
        context: Any = spark.session._jsc
        source = spark.evaluator.source(context.sc())
        self._events = self._session.internalCreateDataFrame(source, schema.asNullable(), False)

    def plan(self) -> Plan:
        self._parse_each()
        try:
            frame = self._frame(self._query.selects, self._query.wheres, self._query.columns)
            physical, operators = _checked(frame)
        except (*SPARK_ERRORS, _Refusal) as error:
            raise self._blame(error) from None
        output = to_arrow(StructType.fromJson(json.loads(frame.schema().json())))
        if any(operator.name in _NO_EVENT for operator in operators):
            return Plan(None, self._input, output)
        return Plan(self._register(physical, operators, output), self._input, output)

    def _parse_each(self) -> None:
        """Parses each expression alone, so that a caret points into what its author wrote."""
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
            yield _where_label(text), text

    def _frame(
        self,
        selects: Sequence[tuple[str, str]],
        wheres: Sequence[str],
        columns: Sequence[str],
    ) -> Any:
        # The line break ends a comment that an expression may end with. No parentheses around a
        # select, since a generator (explode) must stand bare.
        frame = self._events.selectExpr(
            self._strings([*(f"{text}\nAS {_quoted(name)}" for name, text in selects), EVENT])
        )
        if len(wheres) == 1:
            frame = frame.where(wheres[0])
        elif wheres:
            frame = frame.where(" AND ".join(f"({text}\n)" for text in wheres))
        return frame.selectExpr(self._strings([*map(_quoted, columns), EVENT]))

    def _strings(self, texts: Sequence[str]) -> Any:
        gateway: Any = self._spark.gateway
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
                return QueryError(f"{_select_label(name, text)}: {_told(alone)}")
        for text in self._query.wheres:
            alone = self._failure(
                lambda one=text: self._frame(selects, [one], [name for name, _ in selects])
            )
            if alone:
                return QueryError(f"{_where_label(text)}: {_told(alone)}")
        return QueryError(f"the selects and wheres together: {_told(error)}")

    def _failure(self, frame: Callable[[], Any]) -> Exception | None:
        try:
            _checked(frame())
        except (*SPARK_ERRORS, _Refusal) as error:
            return error
        return None

    def _register(self, physical: Any, operators: list[_Operator], output: pa.Schema) -> int:
        # Outside generated code a generator's iterator may remember that it has ended.
        reusable = all(each.in_codegen for each in operators if each.name == "Generate")
        state = self._session.sessionState()
        convert = self._spark.gateway.jvm.scala.jdk.javaapi.CollectionConverters
        return self._spark.evaluator.register(
            physical.execute(),
            self._input.serialize().to_pybytes(),
            output.serialize().to_pybytes(),
            convert.asJava(state.conf().getAllConfs()),
            self._session.sharedState().jarClassLoader(),
            reusable,
        )


class _Refusal(Exception):
    """A plan that needs more than one event; the message names the clause."""


def _checked(frame: Any) -> tuple[Any, list[_Operator]]:
    """The physical plan and its operators, if they work on one event at a time."""
    execution = frame.queryExecution()
    if not execution.analyzed().subqueriesAll().isEmpty():
        raise _Refusal("a subquery")
    physical = execution.executedPlan()
    operators = list(_walk(physical, in_codegen=False))
    others = [each.name for each in operators if each.name not in _ONE_EVENT | _NO_EVENT]
    if others:
        raise _Refusal(_clause(others))
    return physical, operators


def _walk(node: Any, in_codegen: bool) -> Iterator[_Operator]:
    name = str(node.nodeName()).split("(")[0].split()[0]
    yield _Operator(name, in_codegen)
    inside = name == "WholeStageCodegen" or (in_codegen and name != "InputAdapter")
    children = node.children()
    for index in range(children.size()):
        yield from _walk(children.apply(index), inside)


def _clause(operators: Sequence[str]) -> str:
    for part, clause in _CLAUSES:
        if any(part in name for name in operators):
            return clause
    return f"the operators {', '.join(dict.fromkeys(operators))}"


def _told(error: Exception) -> str:
    if isinstance(error, _Refusal):
        return f"needs {error}, but {_REMEDY}"
    if error_condition(error).startswith(_AGGREGATE_CONDITIONS):
        return f"needs an aggregate or window function, but {_REMEDY} ({spark_reason(error)})"
    return spark_reason(error)


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _select_label(name: str, text: str) -> str:
    return f"select {_quoted(name)} = {text}"


def _where_label(text: str) -> str:
    return f"where {text}"
