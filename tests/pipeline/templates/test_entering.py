"""Workers of a launch enter its dataset once, whoever is first and however often they restart."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import declarations
import pytest
from apache_beam.options.value_provider import RuntimeValueProvider

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import Aggregation, GroupByError, Operation
from chronon_beam.api.data_types import DOUBLE, LONG, STRING
from chronon_beam.api.records import PutRequest
from chronon_beam.fetcher.serving_info import ServingInfo, load
from chronon_beam.io.at_launch import at_launch
from chronon_beam.io.kv_store import KVStore, open_store
from chronon_beam.io.runs.before_images import Adding
from chronon_beam.io.runs.entry import EntryRefused
from chronon_beam.io.runs.ledger import Ledger
from chronon_beam.pipeline.existing import definition_of
from chronon_beam.pipeline.templates.entering import RESTORED, RUN, EnterAtLaunch

SIX_HOURS, A_DAY = declarations.windows("6h", "1d")
TYPES = {"user": STRING, "shop": STRING, "n": DOUBLE, "ts": LONG}


def entering(window: Any = SIX_HOURS) -> EnterAtLaunch:
    aggregations = [Aggregation("n", Operation.SUM, [window])]
    group_by = declarations.group_by(name="t.shop", keys=["user"], aggregations=aggregations)
    info = ServingInfo(Plan(group_by, TYPES), tiled=True)
    definition = definition_of(group_by, tiled=True, layout="tumbling")
    return EnterAtLaunch(info, definition, at_launch("dead_letters", "log:"))


ENTER = entering()
DATASET = ENTER.info.plan.group_by.streaming_dataset


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KVStore]:
    yield open_store(f"sqlite:{tmp_path / 'features.db'}")
    RuntimeValueProvider.set_runtime_options(None)


def launch(run: str, **options: str) -> None:
    """From now on, this process is a worker of that launch."""
    RuntimeValueProvider.set_runtime_options({RUN: run, **options})


def written(store: KVStore) -> None:
    """A tile of a job."""
    nothing = ENTER.info.plan.tiles.encode(ENTER.info.plan.aggregator.zero())
    assert store.multi_put([PutRequest(b"k", nothing, DATASET, 0, 0, 300_000)]) == [None]


def runs(store: KVStore) -> list[str]:
    return [run.id for run in Ledger(store, DATASET).runs()]


def test_first_worker_enters_and_all_others_find_that_it_has(store: KVStore) -> None:
    launch("1")
    assert ENTER(store) is None
    written(store)
    assert ENTER(store) is None
    assert runs(store) == ["1"]
    assert load(store, ENTER.info.plan.group_by).tiled


def test_launch_without_state_beside_tiles_is_refused_with_the_remedies(store: KVStore) -> None:
    launch("1")
    ENTER(store)
    written(store)
    launch("2")
    with pytest.raises(EntryRefused, match="--existing=merge"):
        ENTER(store)
    launch("2", existing="merge")
    assert ENTER(store) == Adding("2")
    assert ENTER(store) == Adding("2")


def test_launch_from_a_savepoint_goes_on(store: KVStore) -> None:
    launch("1")
    ENTER(store)
    written(store)
    launch("2", **{RESTORED: "file:///savepoints/1"})
    assert ENTER(store) is None
    assert runs(store) == ["2"]


def test_tiles_of_another_form_are_refused(store: KVStore) -> None:
    launch("1")
    ENTER(store)
    launch("2", existing="merge")
    with pytest.raises(GroupByError, match="tile_sizes_ms"):
        entering(A_DAY)(store)


def test_dead_letters_that_cannot_be_written_stop_the_launch(store: KVStore) -> None:
    launch("1", dead_letters="file:/not/there/dead.jsonl")
    with pytest.raises(FileNotFoundError, match="no folder /not/there"):
        ENTER(store)
    assert runs(store) == []


def test_job_manager_that_starts_again_is_the_same_run(store: KVStore) -> None:
    launch("20260501T100000.000000Z-ba9f4dad")
    ENTER(store)
    written(store)
    launch("20260501T110000.000000Z-ba9f4dad")
    assert ENTER(store) is None
    assert runs(store) == ["20260501T100000.000000Z-ba9f4dad"]


def test_same_job_with_another_definition_is_not_the_same_run(store: KVStore) -> None:
    launch("20260501T100000.000000Z-ba9f4dad")
    ENTER(store)
    written(store)
    launch("20260501T110000.000000Z-ba9f4dad")
    with pytest.raises(EntryRefused):
        replace(ENTER, definition={**ENTER.definition, "wheres": "others"})(store)
