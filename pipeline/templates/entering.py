"""Enters the dataset of a job that a template launches: in the workers, as a launch has no Python.

`run` does the same in the launcher, before the job. A job that does not fit the data in the store
is refused; the types of the columns are noted for fetchers; and the run is noted in the ledger.
Here a worker does that when it opens the store, before anything is written. All workers do it, and
do it again after each restart. So the run has the id that the launch gives it: the first worker
enters, and all others find the run in the ledger. See `Launch.java` for the ids.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from apache_beam.options.value_provider import ValueProvider

from chronon_beam.api.group_by import GroupByError
from chronon_beam.fetcher.changes import change_of, save
from chronon_beam.fetcher.serving_info import ServingInfo
from chronon_beam.io.at_launch import at_launch
from chronon_beam.io.dead_letters.launched import launched_sink
from chronon_beam.io.kv_store import KVStore
from chronon_beam.io.runs.before_images import Adding
from chronon_beam.io.runs.entry import Arrival, Dataset, EntryRefused, enter
from chronon_beam.io.runs.lease import require_free
from chronon_beam.io.runs.ledger import Ledger, Run
from chronon_beam.io.runs.opening import open_run
from chronon_beam.io.units import Unit
from chronon_beam.pipeline.existing import former_runs_of, nothing_of

RUN = "chronon_run"
"""The pipeline option with the id of the launch's run."""

RESTORED = "chronon_restored"
"""The pipeline option that says that the launch starts from a savepoint; empty otherwise."""


@dataclass(frozen=True)
class EnterAtLaunch:
    """Enters the dataset of a job that is launched from a template; called with the store.

    Attributes:
        info: what the job writes.
        definition: fingerprints of the GroupBy's parts, see `Run.definition`.
        dead_letters: the URI of the launch's sink, which is refused if it cannot be written.
    """

    info: ServingInfo
    definition: Mapping[str, str]
    dead_letters: ValueProvider

    def __call__(self, store: KVStore) -> Adding | None:
        """What the writer of tiles must know of earlier runs.

        Raises:
            GroupByError, EntryRefused, DatasetInUse: the job must not write to the dataset.
            ValueError, OSError: dead letters cannot be written.
        """
        launched_sink(self.dead_letters.get())
        ledger = Ledger(store, self.info.plan.group_by.streaming_dataset)
        ledger.create()
        run = self._noted(ledger) or self._entered(store, ledger)
        return None if run.alone else Adding(run.id, run.replaces)

    def _entered(self, store: KVStore, ledger: Ledger) -> Run:
        name = self.info.plan.group_by.streaming_dataset
        require_free(store, name)
        dataset = Dataset(name, ledger.runs(), store.is_empty(name))
        try:
            entry = enter(self._arrival(), dataset, _goes_on)
        except EntryRefused:
            if other := self._noted(ledger):
                return other
            raise
        if other := self._noted(ledger):  # what it has written may be in `dataset`
            return other
        former = former_runs_of(entry, at_launch("existing").get() or None)
        if change_of(store, self.info, former).info.versions[:-1]:
            raise GroupByError(_CHANGED.format(self.info.plan.group_by.name))
        save(store, self.info, former)
        return open_run(store, name, entry, nothing_of(self.info))

    def _noted(self, ledger: Ledger) -> Run | None:
        """The run of this launch, if a worker has entered it, with the definition of this job."""
        launch = _launch(at_launch(RUN).get())
        same = (each for each in ledger.runs() if _launch(each.id) == launch)
        return next((each for each in same if each.definition == self.definition), None)

    def _arrival(self) -> Arrival:
        run = Run(at_launch(RUN).get(), self.info.plan.group_by.name, self.definition, live=True)
        existing, restored = at_launch("existing").get(), at_launch(RESTORED).get()
        return Arrival(run, existing or None, False, self.info.tiled, bool(restored))


def _launch(id_: str) -> str:
    """The part of a run's id that stays when a JobManager starts again; the rest is a time."""
    return id_.rpartition("-")[2]


_CHANGED = (
    "{0}: some tiles in the store have other columns than this template was built for, and a job "
    "of a template cannot take them over: go on with `chronon-beam run --savepoint_path`, or "
    "launch into another store"
)


def _goes_on(read: Unit, now: Unit) -> bool:
    """Whether a file has only grown: a source that never ends has no files."""
    return False
