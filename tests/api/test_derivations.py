"""Derivations as declared, and what renames alone give."""

import json
from typing import Any

import declarations
import pytest

from chronon_beam.api import (
    Aggregation,
    GroupByError,
    Operation,
    parse_group_by,
)
from chronon_beam.api import Derivation as declare
from chronon_beam.api.derivations import Derivation, projection, rename_only, renamed
from chronon_beam.api.dialect import AIRBNB

STAR = Derivation("*", "*")
KNOWN = {"user": "ann", "a_sum": 1, "b_sum": 2, "ts": 86_400_000, "ds": "1970-01-02"}
FEATURES = ["a_sum", "b_sum"]


def group_by(*derivations: Derivation) -> Any:
    return declarations.group_by(
        "t.derived",
        ["user"],
        [Aggregation("a", Operation.SUM), Aggregation("b", Operation.SUM)],
        derivations=[declare(each.name, each.expression) for each in derivations],
    )


@pytest.mark.parametrize(
    ("derivations", "expected"),
    [
        ([Derivation("x", "a_sum")], {"x": 1}),
        ([STAR, Derivation("x", "a_sum")], {"b_sum": 2, "x": 1}),
        ([STAR, Derivation("who", "user")], {"a_sum": 1, "b_sum": 2, "who": "ann"}),
        ([STAR, Derivation("a_sum", "b_sum")], {"a_sum": 2}),
        (
            [Derivation("day", "ds"), Derivation("at", "ts")],
            {"day": "1970-01-02", "at": 86_400_000},
        ),
        ([Derivation("ts", "a_sum"), Derivation("x", "b_sum")], {"x": 2}),
        ([STAR, Derivation("r", "a_sum / b_sum")], {"a_sum": 1, "b_sum": 2}),
    ],
)
def test_renames_are_chronons(derivations: list[Any], expected: dict[str, Any]) -> None:
    assert renamed(derivations, KNOWN, FEATURES) == expected


def test_computed_ones_need_spark_and_keep_chronons_order() -> None:
    derivations = [Derivation("r", "a_sum / b_sum"), STAR, Derivation("x", "b_sum")]
    assert not rename_only(derivations)
    assert rename_only(derivations[1:])
    assert projection(derivations, FEATURES) == {
        "a_sum": "a_sum", "r": "a_sum / b_sum", "x": "b_sum",
    }  # fmt: skip


def test_derivations_are_read_from_thrift_and_written_to_it() -> None:
    declared = group_by(STAR, Derivation("r", "a_sum / b_sum"))
    assert parse_group_by(json.dumps(declared.to_thrift()), AIRBNB) == declared


@pytest.mark.parametrize(
    ("derivations", "message"),
    [
        ([Derivation("x", "c_sum")], "'x' is of 'c_sum', which is neither a feature nor a key"),
        ([Derivation("x", "a_sum"), Derivation("x", "b_sum")], "'x' is declared 2 times"),
    ],
)
def test_contradictions_are_named(derivations: list[Any], message: str) -> None:
    with pytest.raises(GroupByError, match=message):
        group_by(*derivations)


@pytest.mark.parametrize("derivation", [{"name": "x"}, {"expression": "a"}, {"name": 1}, 3])
def test_derivations_without_text_are_refused(derivation: Any) -> None:
    conf = {**group_by().to_thrift(), "derivations": [derivation]}
    with pytest.raises(GroupByError, match=r"conf: derivations\[0\]"):
        parse_group_by(json.dumps(conf), AIRBNB, "conf")
