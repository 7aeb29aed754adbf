"""Inspects Spark's plan of a query: whether it needs one event only, which columns it reads."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from chronon_beam.transforms.spark.java_value import JavaValue

_ONE_EVENT = {"WholeStageCodegen", "InputAdapter", "Project", "Filter", "Generate", "Scan"}
_NO_EVENT = {"LocalTableScan", "EmptyRelation"}
"""The operators of a query of which the optimizer has proved that no event passes it."""

_ONE_EVENT_LOGICAL = {"Project", "Filter", "Generate", "LogicalRDD"}

_CLAUSES = (
    ("Window", "a window function (OVER)"),
    ("Python", "a Python function"),
    ("Aggregate", "an aggregate"),
    ("Join", "a join"),
    ("Limit", "LIMIT"),
    ("Sort", "a sort"),
)
"""Parts of operators' names, and the SQL clauses that they stand for; the first match is used."""


class SeveralEvents(Exception):
    """A plan that needs more than one event; the message names the clause."""


class Physical(NamedTuple):
    """A physical plan that works on one event at a time.

    Attributes:
        plan: Spark's `SparkPlan`.
        lets_pass: whether any event can pass.
        reusable: whether its iterators can go on with the next batch once they have ended.
    """

    plan: JavaValue
    lets_pass: bool
    reusable: bool


def physical_plan(frame: JavaValue) -> Physical:
    """The physical plan of a DataFrame.

    Raises:
        SeveralEvents: it needs more than one event.
    """
    execution = frame.queryExecution()
    if not execution.analyzed().subqueriesAll().isEmpty():
        raise SeveralEvents("a subquery")
    plan = execution.executedPlan()
    nodes = list(_nodes(plan))
    others = [node.name for node in nodes if node.name not in _ONE_EVENT | _NO_EVENT]
    if others:
        raise SeveralEvents(_clause(others))
    # Outside generated code a generator's iterator may remember that it has ended.
    reusable = all(node.in_codegen for node in nodes if node.name == "Generate")
    return Physical(plan, not any(node.name in _NO_EVENT for node in nodes), reusable)


def used_columns(plan: JavaValue) -> list[int]:
    """The ordinals of the leaf's columns that a physical plan reads, in order."""
    used = _ids(plan.output())
    nodes = list(_nodes(plan))
    for node in nodes:
        used |= _ids(node.spark.references().toSeq())
    leaf = nodes[-1].spark.output()
    return [i for i in range(leaf.size()) if leaf.apply(i).exprId().id() in used]


def with_column(
    logical: JavaValue, column: JavaValue, make_project: Callable[[JavaValue, JavaValue], JavaValue]
) -> JavaValue:
    """An analyzed plan of one-event operators, with a column of its leaf added to the output.

    Queries are analyzed without the column, so that `*` in a query does not contain it.

    Args:
        logical: Spark's `LogicalPlan`.
        column: an attribute of its leaf.
        make_project: the constructor of Spark's logical `Project`.
    """
    if not logical.children().size():
        return logical
    child = with_column(logical.children().apply(0), column, make_project)
    if _name(logical) == "Project":
        return make_project(logical.projectList().appended(column), child)
    return logical.withNewChildren(logical.children().updated(0, child))


def is_of_one_event(logical: JavaValue) -> bool:
    """Whether an analyzed plan is a chain of operators that work on one event each."""
    children = logical.children()
    if _name(logical) not in _ONE_EVENT_LOGICAL:
        return False
    return all(is_of_one_event(children.apply(i)) for i in range(children.size()))


class _Node(NamedTuple):
    name: str
    in_codegen: bool
    spark: JavaValue


def _nodes(node: JavaValue, in_codegen: bool = False) -> Iterator[_Node]:
    """The nodes of a physical plan, the root first."""
    name = _name(node)
    yield _Node(name, in_codegen, node)
    inside = name == "WholeStageCodegen" or (in_codegen and name != "InputAdapter")
    children = node.children()
    for index in range(children.size()):
        yield from _nodes(children.apply(index), inside)


def _name(node: JavaValue) -> str:
    return str(node.nodeName()).split("(")[0].split()[0]


def _ids(attributes: JavaValue) -> set[int]:
    return {attributes.apply(i).exprId().id() for i in range(attributes.size())}


def _clause(operators: Sequence[str]) -> str:
    for part, clause in _CLAUSES:
        if any(part in name for name in operators):
            return clause
    return f"the operators {', '.join(dict.fromkeys(operators))}"
