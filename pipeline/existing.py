"""What a run does about what is in its dataset already.

The decision is made before Spark starts, by the flags and the GroupBy of the job and by the ledger
of earlier runs (`chronon_beam.io.runs`). The run is noted in the ledger before and after the job.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from chronon_beam.api.group_by import GroupBy
from chronon_beam.fetcher.changes import FormerRuns, Takeover, change_of, check_declared, save
from chronon_beam.fetcher.serving_info import ServingInfo
from chronon_beam.io.kv_store import KVStore
from chronon_beam.io.runs.before_images import Adding
from chronon_beam.io.runs.entry import MERGE, REPLACE, Arrival, Dataset, Entry, enter
from chronon_beam.io.runs.lease import DatasetInUse, Lease, require_free
from chronon_beam.io.runs.ledger import Ledger, Run, new_id
from chronon_beam.io.runs.opening import open_run
from chronon_beam.io.sources import Source
from chronon_beam.io.units import ChangedFile, unread
from chronon_beam.pipeline.options import JobOptions


def definition_of(group_by: GroupBy, tiled: bool, layout: str) -> dict[str, str]:
    """Fingerprints of a GroupBy's parts: jobs that differ in one must not share a dataset.

    The windows are left out: tiles of one size serve any window, and `check_declared` compares the
    sizes.
    """
    query = group_by.source.query
    parts = {
        "keys": group_by.keys,
        "selects": (query.selects, query.setups),
        "wheres": query.wheres,
        "time columns": (query.time_column, query.mutation_time_column, query.reversal_column),
        "aggregations": group_by.tile_parts,
        "dialect": group_by.dialect.name,
        "tiling": layout if tiled else "untiled",
    }
    return {
        name: blake2b(repr(part).encode(), digest_size=8).hexdigest()
        for name, part in parts.items()
    }


def continues(beam_flags: Sequence[str]) -> bool:
    """Whether these flags have the job start with the state of an earlier one."""
    return any(flag.split("=", 1)[0] == "--savepoint_path" for flag in beam_flags)


def entry_of(
    store: KVStore, group_by: GroupBy, source: Source, options: JobOptions, with_state: bool
) -> Entry:
    """How the run enters its dataset; nothing is written yet.

    Raises:
        EntryRefused, ChangedFile, GroupByError: the run must not write to the dataset.
        DatasetInUse: another run writes to the dataset.
    """
    name, tiled = group_by.streaming_dataset, options.tiling is not None
    require_free(store, name)
    units = source.units() if source.bounded else []
    run = Run(
        new_id(),
        group_by.name,
        definition_of(group_by, tiled, options.layout),
        live=not source.bounded,
        units=tuple(units or ()),
    )
    arrival = Arrival(run, options.existing, units is not None, tiled, with_state)
    found = Dataset(name, Ledger(store, name).runs(), store.is_empty(name))
    if with_state and options.existing not in (MERGE, REPLACE):
        # Checked before the ledger: this error names what differs, and a fingerprint does not.
        check_declared(store, group_by, tiled, options.layout, FormerRuns(state=True, query=True))
    entry = enter(arrival, found, source.goes_on)
    former = former_runs_of(entry, options.existing)
    if former.data and not entry.idle:
        check_declared(store, group_by, tiled, options.layout, former)
    return entry


def former_runs_of(entry: Entry, existing: str | None) -> FormerRuns:
    """What a run keeps of the runs before it; `existing` is what the user has chosen."""
    goes_on = entry.continues
    return FormerRuns(not entry.run.alone or goes_on, goes_on, goes_on and existing != MERGE)


def entered(store: KVStore, entry: Entry, info: ServingInfo, existing: str | None) -> Takeover:
    """What a run changes in the dataset that it enters, for a run that writes what `info` says.

    Raises:
        GroupByError: see `change_of`.
    """
    return change_of(store, info, former_runs_of(entry, existing))


def source_of(source: Source, entry: Entry) -> Source:
    """The source, narrowed to what the run has to read."""
    return source.of_units(entry.run.units) if entry.run.units else source


def adding_of(entry: Entry) -> Adding | None:
    """What the writer of tiles must know of earlier runs; None if the dataset has none."""
    return None if entry.run.alone else Adding(entry.run.id, entry.run.replaces)


@dataclass
class OpenRun:
    """A run that has begun.

    Attributes:
        complete: whether all of its input is in the dataset; set by the job when it has ended.
    """

    run: Run
    complete: bool = False


class PendingRun(NamedTuple):
    """A run that may enter its dataset, and has not begun.

    Attributes:
        entry: how the run enters.
        info: what fetchers must know of what it writes, with the versions of the dataset's tiles.
        source: what the run reads.
    """

    entry: Entry
    info: ServingInfo
    source: Source

    @property
    def dataset(self) -> str:
        """Where the run writes."""
        return self.info.plan.group_by.streaming_dataset

    def hold(self, store: KVStore) -> Lease:
        """Take the lease of the dataset; a dataset that is not there is made."""
        store.create(self.dataset)
        Ledger(store, self.dataset).create()
        return Lease(store, self.dataset, self.entry.run.id)

    def require_same_tiles(self, store: KVStore) -> None:
        """Raise DatasetInUse if another job has changed the tiles since this one was planned."""
        former = former_runs_of(self.entry, MERGE)
        if change_of(store, self.info, former).info.versions != self.info.versions:
            raise DatasetInUse(
                f"another job has changed the tiles of {self.dataset}: start this one again"
            )

    def begin(self, store: KVStore) -> OpenRun:
        """Note the run, and what it writes."""
        run = open_run(store, self.dataset, self.entry, nothing_of(self.info))
        if not run.redrives:  # letters may be redriven with selects that are mended
            save(store, self.info, former_runs_of(self.entry, MERGE))
        return OpenRun(run)

    def end(self, store: KVStore, begun: OpenRun) -> None:
        """Note the run as finished, if all of its input is in the dataset."""
        if begun.complete and not begun.run.live:
            _require_unchanged(begun.run, self.source)
            Ledger(store, self.dataset).finish(begun.run)


@contextmanager
def opened(store: KVStore, entry: Entry, info: ServingInfo, source: Source) -> Iterator[OpenRun]:
    """As `all_opened`, for one run; see `PendingRun` for the arguments."""
    with all_opened(store, [PendingRun(entry, info, source)]) as begun:
        yield begun[0]


@contextmanager
def all_opened(store: KVStore, runs: Sequence[PendingRun]) -> Iterator[list[OpenRun]]:
    """Begin runs; when the context ends, those that are `complete` are noted as finished.

    The leases of all datasets are taken before anything is written. If one of them cannot be had,
    the others are given back, and no run begins.

    Raises:
        DatasetInUse: another run writes to a dataset, or has changed its tiles.
        GroupByError: see `change_of`.
        RuntimeError: a file has changed while it was read.
    """
    with ExitStack() as leases:
        for each in runs:
            leases.enter_context(each.hold(store))
        for each in runs:
            each.require_same_tiles(store)
        begun = [each.begin(store) for each in runs]
        yield begun
        for each, run in zip(runs, begun, strict=True):
            each.end(store, run)


def nothing_of(info: ServingInfo) -> bytes:
    """The value that a tile gets when it is taken back: that of a tile without events.

    Rows are never taken back, so that they need none.
    """
    return info.plan.tiles.encode(info.plan.aggregator.zero()) if info.tiled else b""


def _require_unchanged(run: Run, source: Source) -> None:
    """Raise RuntimeError if files that were read are not what they were when the run began."""
    read = {unit.path: unit for unit in run.units}
    try:
        unread(source.units() or [] if read else [], read, source.goes_on)
    except FileNotFoundError:  # the files were read, and have been removed since
        return
    except ChangedFile as error:
        raise RuntimeError(f"a file has changed while it was read, run again: {error}") from None


def notes(entry: Entry) -> list[str]:
    """What the run does about earlier runs, in sentences for the user."""
    lines = []
    if entry.idle:
        lines.append(
            "nothing is new: earlier runs have read all of it (--existing=replace starts anew)"
        )
    grown = [unit.path for unit in entry.run.units if unit.start]
    if grown:
        lines.append(f"{_listed(grown)}: read on from where an earlier run stopped")
    taken_back = [unit.path for run in entry.takes_back for unit in run.units]
    if entry.takes_back:
        lines.append(
            f"an earlier run has not finished: what it wrote is taken back. Run again what it read"
            f"{': ' if taken_back else ''}{_listed(taken_back)}"
        )
    return lines


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(paths[:3]) + more
