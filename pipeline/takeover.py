"""What becomes of the data in a store if a job goes on with it, for `plan`: nothing is written."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.group_by import GroupBy, GroupByError
from chronon_beam.fetcher.changes import Stays, change_of
from chronon_beam.fetcher.serving_info import ServingInfo, stored_info
from chronon_beam.io.kv_store import KVStore, open_store
from chronon_beam.io.runs.entry import MERGE, REPLACE
from chronon_beam.pipeline.options import JobOptions


def takeover(options: JobOptions, plan: Plan, with_state: bool) -> dict[str, Any]:
    """What `run` would say, or refuse, about the columns of the data that stays in the store.

    Which events earlier jobs have read is not looked at, nor whether one of them still runs.

    Args:
        options: the flags of the job.
        plan: its GroupBy with the types of its columns.
        with_state: whether the job starts from a savepoint.

    Returns:
        `stays`: whether the job finds data of the GroupBy. `notes`: what is new, and what is
        gone. `refused`: why the job cannot go on with the data; None if it can.
    """
    tiled, existing = options.tiling is not None, options.existing
    shards = options.tiling.shards if options.tiling is not None else None
    stays = Stays(existing != REPLACE, with_state, with_state and existing != MERGE)
    with closing(open_store(options.store)) as store:
        found = {"stays": stays.data and _holds(store, plan.group_by), "notes": [], "refused": None}
        try:
            info = ServingInfo(plan.checked(tiled), tiled, shards=shards)
            return {**found, "notes": change_of(store, info, stays).notes()}
        except GroupByError as error:
            return {**found, "refused": str(error)}


def _holds(store: KVStore, group_by: GroupBy) -> bool:
    try:
        return stored_info(store, group_by) is not None
    except FileNotFoundError:
        return False


def takeover_lines(found: Mapping[str, Any]) -> Sequence[str]:
    """What `takeover` has found, one sentence per line."""
    if found["refused"] is not None:
        return [f"refused: {found['refused']}"]
    if not found["stays"]:
        return ["none of its data stays there: all features begin anew"]
    return found["notes"] or ["its features are those of the job before it"]
