"""What the writer notes for the reader, and when the two do not go together."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import declarations
import pytest

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import (
    Aggregation,
    GroupByError,
    Operation,
    TimeUnit,
    Window,
)
from chronon_beam.api.data_types import DOUBLE, INT, LONG, STRING, list_of
from chronon_beam.fetcher.changes import save
from chronon_beam.fetcher.serving_info import DATASET, ServingInfo, load
from chronon_beam.io.kv_store import KVStore, open_store

SIX_HOURS, A_DAY = declarations.windows("6h", "1d")
TYPES = {"user": STRING, "shop": STRING, "n": DOUBLE, "tags": list_of(STRING), "ts": LONG}


def group_by(**changes: Any) -> Any:
    declared: dict[str, Any] = {
        "name": "t.serving",
        "keys": ["user"],
        "aggregations": [Aggregation("n", Operation.SUM, [SIX_HOURS])],
    }
    return declarations.group_by(**{**declared, **changes})


def info(tiled: bool = True, layout: str = "tumbling", **changes: Any) -> ServingInfo:
    types = {**TYPES, **changes.pop("types", {})}
    return ServingInfo(Plan(group_by(**changes), types, layout), tiled)


@pytest.fixture
def store(tmp_path: Path) -> KVStore:
    return open_store(f"sqlite:{tmp_path / 'features.db'}")


OTHER_COLUMN = [Aggregation("n", Operation.MAX, [SIX_HOURS])]
OTHER_TILE = [Aggregation("n", Operation.SUM, [A_DAY])]


@pytest.mark.parametrize(
    ("tiled", "layout"), [(True, "tumbling"), (True, "sliding"), (False, "tumbling")]
)
def test_what_is_saved_is_loaded(store: KVStore, tiled: bool, layout: str) -> None:
    save(store, info(tiled, layout))
    found = load(store, group_by())
    assert (found.tiled, found.plan.layout, found.plan.types) == (tiled, layout, TYPES)
    assert found.plan.tiles.schema == info().plan.tiles.schema


def test_nested_types_are_loaded(store: KVStore) -> None:
    last = [Aggregation("tags", Operation.LAST, [SIX_HOURS])]
    save(store, info(aggregations=last))
    assert load(store, group_by(aggregations=last)).plan.types["tags"] == list_of(STRING)


def test_saving_again_replaces(store: KVStore) -> None:
    save(store, info())
    save(store, info())
    assert len(list(store.scan(DATASET))) == 1


def test_group_bys_share_a_store(store: KVStore) -> None:
    save(store, info())
    save(store, info(tiled=False, name="t.other"))
    assert load(store, group_by()).tiled
    assert not load(store, group_by(name="t.other")).tiled


def test_nothing_saved_says_how_to_go_on(store: KVStore) -> None:
    save(store, info())
    with pytest.raises(GroupByError, match=r"nothing of GroupBy 't\.x': run the job first, with"):
        load(store, group_by(name="t.x"))


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        (info(tiled=False), "tiling tiled, this job would write untiled"),
        (info(layout="sliding"), "layout tumbling, this job would write sliding"),
        (info(dialect="zipline"), "dialect airbnb, this job would write zipline"),
        (info(types={"n": LONG}), "aggregation n_sum.. of double, .* n_sum.. of long"),
        (info(keys=["shop"]), "keys user string, this job would write shop string"),
        (info(types={"user": INT}), "keys user string, this job would write user int"),
        (info(aggregations=OTHER_TILE), r"tile_sizes_ms \[300000\], this job would write \[36"),
    ],
)
def test_job_that_would_write_another_form_is_refused(
    store: KVStore, changed: ServingInfo, field: str
) -> None:
    save(store, info())
    with pytest.raises(
        GroupByError, match=f"holds data with {field}.*rename the GroupBy, use another store"
    ):
        save(store, changed)
    assert load(store, group_by()).tiled


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            group_by(aggregations=OTHER_COLUMN),
            "with other aggregations, without n_max: give the GroupBy as it",
        ),
        (group_by(keys=["shop"]), "with other keys"),
        (group_by(aggregations=OTHER_TILE), "in tiles of other sizes, for other windows"),
        (group_by(aggregations=[Aggregation("m", windows=[A_DAY])]), "without column 'm'"),
        (group_by(dialect="zipline"), "in dialect airbnb: add --dialect=airbnb"),
    ],
)
def test_reader_with_another_group_by_is_refused(
    store: KVStore, changed: Any, message: str
) -> None:
    save(store, info())
    with pytest.raises(GroupByError, match=f"t.serving: its data was written {message}"):
        load(store, changed)


def test_windows_over_the_same_tiles_may_change(store: KVStore) -> None:
    save(store, info())
    three = [Aggregation("n", Operation.SUM, [Window(3, TimeUnit.HOURS)])]
    save(store, info(aggregations=three))
    features = load(store, group_by(aggregations=three)).plan.group_by.features
    assert [feature.name for feature in features] == ["n_sum_3h"]


def test_store_that_cannot_be_written_is_an_error(store: KVStore) -> None:
    class ReadOnly(type(open_store("null:"))):
        def multi_put(self, requests: list[Any]) -> list[str | None]:
            return ["disk full"] * len(requests)

    with pytest.raises(GroupByError, match="t.serving: the store cannot be written: disk full"):
        save(ReadOnly(), info())


def test_order_of_keys_matters_to_the_reader(store: KVStore) -> None:
    save(store, info(keys=["user", "shop"]))
    turned = replace(group_by(keys=["user", "shop"]), keys=("shop", "user"))
    with pytest.raises(GroupByError, match="with other keys"):
        load(store, turned)
