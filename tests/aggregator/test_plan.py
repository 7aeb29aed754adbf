"""A GroupBy with types: its codecs, and what is refused before anything runs."""

import pickle
from typing import Any

import pytest
from declarations import group_by, windows
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.aggregator.avro import AvroError
from chronon_beam.aggregator.codecs import complete
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import (
    Aggregation,
    GroupByError,
    Operation,
    TimeUnit,
    Window,
)
from chronon_beam.api.data_types import (
    DATE,
    DOUBLE,
    INT,
    LONG,
    STRING,
    TIMESTAMP,
    DataType,
    list_of,
)

SIX_HOURS = windows("6h")
TYPES: dict[str, DataType] = {"user": STRING, "shop": INT, "n": DOUBLE, "ts": LONG}


def plan(types: dict[str, DataType] | None = None, *aggregations: Any, **changes: Any) -> Plan:
    chosen = aggregations or [Aggregation("n", Operation.AVERAGE, SIX_HOURS)]
    declared = {"name": "t.plan", "keys": ["user", "shop"], "aggregations": chosen, **changes}
    return Plan(group_by(**declared), {**TYPES, **(types or {})})


def test_plan_pickles_as_its_fields() -> None:
    made = plan().checked(tiled=True)
    copy = pickle.loads(pickle.dumps(made))
    assert (copy.group_by, copy.types, copy.layout) == (made.group_by, made.types, made.layout)
    assert copy.tiles.schema == made.tiles.schema


def test_columns_are_keys_inputs_and_time_each_once() -> None:
    aggregations = [Aggregation("n"), Aggregation("user", Operation.COUNT), Aggregation("ts")]
    assert plan(None, *aggregations).columns == ("user", "shop", "n", "ts")


@given(
    st.none() | st.text(st.characters(exclude_categories=["Cs"])), st.none() | st.integers(-9, 9)
)
def test_keys_round_trip_with_nulls(user: str | None, shop: int | None) -> None:
    keys = plan().keys
    assert keys.decode(keys.encode([user, shop])) == (user, shop)


def test_tile_says_when_it_is_complete() -> None:
    made = plan()
    tile = made.tiles.encode([(4.0, 2)])
    assert made.tiles.decode(tile) == ([(4.0, 2)], False)
    assert made.tiles.decode(complete(tile)) == ([(4.0, 2)], True)
    assert made.tiles.decode(made.tiles.encode([None])) == ([None], False)


def test_tile_columns_of_one_name_are_kept_apart() -> None:
    thirty = [Window(30, TimeUnit.DAYS)]
    made = plan(
        None, Aggregation("n", Operation.SUM, SIX_HOURS), Aggregation("n", Operation.SUM, thirty)
    )
    assert made.tiles.decode(made.tiles.encode([1.0, 2.0]))[0] == [1.0, 2.0]
    names = [field["name"] for field in made.tiles.schema["fields"][0]["type"][1]["fields"]]
    assert names == ["n_sum", "n_sum_REPEATED_NAME_0"]


def test_bytes_that_are_not_a_tile_are_refused() -> None:
    with pytest.raises(AvroError, match="t_plan_TILE_IR"):
        plan().tiles.decode(b"\x02\x02\x09")


@pytest.mark.parametrize("values", [[1, 2], ["a", "b"], ["a", 1.5]])
def test_values_of_other_types_do_not_fit_the_key(values: list[Any]) -> None:
    with pytest.raises(AvroError, match=r"does not fit \['user', 'shop'\]"):
        plan().keys.encode(values)


@pytest.mark.parametrize(
    ("types", "changes", "tiled", "message"),
    [
        ({"user": list_of(STRING)}, {}, True, "key 'user' is of type list_string: a key must be"),
        ({"user": DATE}, {}, True, "key 'user' of type date: date has no Avro form"),
        ({"n": STRING}, {}, True, "t.plan: AVERAGE does not take 'n' of type string"),
        ({"n": TIMESTAMP}, {}, False, "column 'n' of type timestamp: timestamp has no Avro form"),
        ({}, {"aggregations": [Aggregation("n")]}, True, "no aggregation has a window"),
    ],
)
def test_plan_that_cannot_run_is_refused(
    types: dict[str, DataType], changes: dict[str, Any], tiled: bool, message: str
) -> None:
    with pytest.raises(GroupByError, match=message):
        plan(types, **changes).checked(tiled)


def test_untiled_needs_no_windows() -> None:
    assert plan(None, Aggregation("n")).checked(tiled=False).rows.schema["name"] == (
        "t_plan_INPUT_COLS"
    )
