"""What would become of the data in a store if a job went on with it: `plan` says it beforehand."""

from collections.abc import Sequence
from contextlib import closing

from msgspec import Struct

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.group_by import GroupBy, GroupByError
from chronon_beam.fetcher.changes import FormerRuns, change_of
from chronon_beam.fetcher.serving_info import ServingInfo, stored_info
from chronon_beam.io.kv_store import KVStore, open_store
from chronon_beam.io.runs.entry import MERGE, REPLACE
from chronon_beam.pipeline.options import JobOptions


class KeptData(Struct, frozen=True):
    """What would become of the data of a GroupBy that is in a store.

    Attributes:
        stays: whether the job finds data of the GroupBy.
        notes: which features are new, and which are no longer computed, one sentence each.
        refused: why the job cannot go on with the data; None if it can.
    """

    stays: bool
    notes: list[str]
    refused: str | None = None

    def lines(self) -> Sequence[str]:
        """For people, one sentence per line."""
        if self.refused is not None:
            return [f"refused: {self.refused}"]
        if not self.stays:
            return ["none of its data stays there: all features begin anew"]
        return self.notes or ["its features are those of the job before it"]


def takeover(options: JobOptions, plan: Plan, with_state: bool) -> KeptData:
    """What `run` would say, or refuse, about the columns of the data in the store; writes nothing.

    Which events earlier jobs have read is not looked at, nor whether one of them still runs.

    Args:
        options: the flags of the job.
        plan: its GroupBy with the types of its columns.
        with_state: whether the job starts from a savepoint.
    """
    tiled, existing = options.tiling is not None, options.existing
    shards = options.tiling.shards if options.tiling is not None else None
    former = FormerRuns(existing != REPLACE, with_state, with_state and existing != MERGE)
    with closing(open_store(options.store)) as store:
        kept = former.data and _holds(store, plan.group_by)
        try:
            info = ServingInfo(plan.checked(tiled), tiled, shards=shards)
            return KeptData(kept, change_of(store, info, former).notes())
        except GroupByError as error:
            return KeptData(kept, [], str(error))


def _holds(store: KVStore, group_by: GroupBy) -> bool:
    try:
        return stored_info(store, group_by) is not None
    except FileNotFoundError:
        return False
