"""Derivations at fetch: renames by the fetcher itself, expressions by Spark."""

from collections.abc import Sequence
from typing import Any

import pytest
from declarations import group_by

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import (
    Aggregation,
    Derivation,
    GroupBy,
    GroupByError,
    Operation,
)
from chronon_beam.api.data_types import DOUBLE, LONG, STRING, map_of, struct_of
from chronon_beam.api.records import PutRequest
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.io.kv_store import MemoryStore
from chronon_beam.pipeline.derive import spark_derivations

PLACE = struct_of("PlaceStruct", (("city", STRING), ("zip", LONG)))
TYPES = {"user": STRING, "n": LONG, "s": STRING, "m": map_of(DOUBLE), "place": PLACE}
AT_MS = 86_400_000 + 5
ROWS: list[list[Any]] = [
    [4, "x", {"a": 1.0, "b": 0.5}, {"city": "Oslo", "zip": 150}],
    [3, "y", {"a": 2.0}, {"city": "Rome", "zip": None}],
]


def derived_group_by(derivations: Sequence[Any]) -> GroupBy:
    return group_by(
        "t.derived",
        ["user"],
        [
            Aggregation("n", Operation.SUM),
            Aggregation("s", Operation.LAST_K(2)),
            Aggregation("n", Operation.SUM, buckets=["s"]),
            Aggregation("m", Operation.SUM),
            Aggregation("place", Operation.LAST),
        ],
        derivations=derivations,
    )


def fetched(*derivations: Any, spark: bool = True) -> list[dict[str, Any]]:
    group_by = derived_group_by(derivations)
    plan = Plan(group_by, TYPES)
    MemoryStore.forget("derive")
    store, key = MemoryStore("derive"), plan.keys.encode(["ann"])
    dataset = group_by.streaming_dataset
    store.multi_put(
        [
            PutRequest(key, plan.rows.encode(row), dataset, ts, ts, 0, str(ts))
            for ts, row in enumerate(ROWS)
        ]
    )
    derive = spark_derivations(plan) if spark else None
    fetcher = Fetcher(plan, store, tiled=False, derive=derive)
    return fetcher.fetch([{"user": "ann"}, {"user": "nobody"}], AT_MS)


def test_renames_need_no_spark() -> None:
    renames = [Derivation("total", "n_sum"), Derivation("who", "user"), Derivation("day", "ds")]
    assert fetched(*renames, spark=False) == [
        {"total": 7, "who": "ann", "day": "1970-01-02"},
        {"total": None, "who": "nobody", "day": "1970-01-02"},
    ]


EXPRESSIONS = {
    "*": "*",
    "half": "n_sum / 2",
    "newest": "s_last2[0]",
    "known": "coalesce(n_sum, -1) > 0 AND user = 'ann'",
    "keys": "map_keys(m_sum)",
    "upper": "transform_values(n_sum_by_s, (k, v) -> v * 10)",
    "city": "upper(place_last.city)",
    "hour": "hour(timestamp_millis(ts))",
}


def test_expressions_are_sparks_over_all_types_of_features() -> None:
    ann, nobody = fetched(*(Derivation(name, text) for name, text in EXPRESSIONS.items()))
    assert ann == {
        "n_sum": 7,
        "s_last2": ["y", "x"],
        "n_sum_by_s": {"x": 4, "y": 3},
        "m_sum": {"a": 3.0, "b": 0.5},
        "place_last": {"city": "Rome", "zip": None},
        "half": 3.5,
        "newest": "y",
        "known": True,
        "keys": ["a", "b"],
        "upper": {"x": 40, "y": 30},
        "city": "ROME",
        "hour": 0,
    }
    assert set(nobody) == set(ann)
    assert {name: value for name, value in nobody.items() if value is not None} == {
        "known": False, "hour": 0,
    }  # fmt: skip


def test_where_spark_fails_the_renames_are_left_and_the_reason() -> None:
    ann, nobody = fetched(Derivation("total", "n_sum"), Derivation("bad", "raise_error(user)"))
    assert ann["total"] == 7
    assert "bad" not in ann
    assert "ann" in ann["derivation_fetch_exception"]
    assert "nobody" in nobody["derivation_fetch_exception"]


def test_what_spark_refuses_is_reported_when_the_job_is_built() -> None:
    with pytest.raises(GroupByError, match=r"t\.derived: derivations: .*n_summ"):
        fetched(Derivation("x", "n_summ + 1"))
    with pytest.raises(GroupByError, match="its derivations are Spark expressions: give"):
        fetched(Derivation("x", "n_sum + 1"), spark=False)
