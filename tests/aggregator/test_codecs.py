"""Schemas of tiles and batch values that the dialects do not make alike."""

import pytest
from declarations import group_by, windows

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import (
    Aggregation,
    GroupByError,
    Operation,
)
from chronon_beam.api.data_types import LONG, STRING


def plan(dialect: str) -> Plan:
    """One column and operation twice, with other windows."""
    aggregations = [Aggregation("n", Operation.SUM, windows(each)) for each in ("6h", "3d")]
    return Plan(group_by("t.twice", ["k"], aggregations, dialect=dialect), {"k": STRING, "n": LONG})


def test_one_name_twice_is_numbered_or_refused_in_tiles() -> None:
    collapsed = plan("airbnb").tiles.schema["fields"][0]["type"][1]
    assert [field["name"] for field in collapsed["fields"]] == [
        "n_sum",
        "n_sum_REPEATED_NAME_0",
    ]
    twice = plan("zipline")
    with pytest.raises(GroupByError, match="'n_sum' is aggregated 2 times.*one aggregation"):
        twice.checked(tiled=True)
    assert twice.checked(tiled=False)


def test_hops_of_one_name_are_numbered_in_zipline() -> None:
    """`batchIrSchema` numbers them."""
    hops = plan("zipline").batch_irs.schema["fields"][1]["type"][1]["items"]["items"]
    assert [field["name"] for field in hops["fields"]] == ["n_sum", "n_sum_1", "ts"]
