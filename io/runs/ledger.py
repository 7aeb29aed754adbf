"""The ledger of a dataset: which runs have written to it; each run is one value in the store."""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum

from chronon_beam.api.records import PutRequest
from chronon_beam.io.kv_store import KVStore
from chronon_beam.io.units import Unit

LEDGER = "{}_RUNS"
"""Name of the ledger of a dataset."""

SIZE_MS = 1
"""The tile size under which the store keeps values of a ledger; their time is 0."""


class State(Enum):
    """How far a run has come."""

    CLEARING = "clearing"  # what is in the dataset is dropped before the run begins
    STARTED = "started"
    FINISHED = "finished"


@dataclass(frozen=True)
class Run:
    """One run into a dataset.

    Attributes:
        id: begins with the time at which the run was started, so that runs sort by it.
        group_by: name of the GroupBy.
        definition: fingerprints of what the tiles depend on, by name, for example `wheres`.
        state: how far the run has come.
        live: whether the run never ends by itself; then `units` is empty.
        units: what the run reads.
        alone: whether the dataset held nothing, so that tiles are written without images.
        replaces: ids of earlier runs that this run takes the place of. The ledger no longer lists
            them.
        continued: ids of those of them whose state the run goes on with: what they read counts.
        redrives: whether the run reads dead letters.
    """

    id: str
    group_by: str
    definition: Mapping[str, str]
    state: State = State.STARTED
    live: bool = False
    units: tuple[Unit, ...] = ()
    alone: bool = False
    replaces: frozenset[str] = field(default=frozenset())
    continued: frozenset[str] = field(default=frozenset())
    redrives: bool = False

    @property
    def standing(self) -> bool:
        """Whether what the run has written stays: it has finished, or is a live job."""
        return self.state is State.FINISHED or (self.live and self.state is State.STARTED)

    def to_bytes(self) -> bytes:
        """As JSON."""
        found = {**asdict(self), "state": self.state.value}
        found |= {"replaces": sorted(self.replaces), "continued": sorted(self.continued)}
        return json.dumps({**found, "units": [list(unit) for unit in self.units]}).encode()

    @staticmethod
    def from_bytes(value: bytes) -> "Run":
        """The run that `to_bytes` made."""
        found = json.loads(value)
        units = tuple(Unit(*each) for each in found.pop("units"))
        state, replaces = State(found.pop("state")), frozenset(found.pop("replaces"))
        continued = frozenset(found.pop("continued", ()))
        return Run(**found, state=state, units=units, replaces=replaces, continued=continued)


def new_id() -> str:
    """An id that no other run has; it begins with the time, in microseconds."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{uuid.uuid4().hex[:8]}"


class LedgerNotWritten(RuntimeError):
    """The store has refused a value of the ledger, so the run must not write to the dataset."""


class Ledger:
    """The runs into one dataset, as they are in the store."""

    def __init__(self, store: KVStore, dataset: str) -> None:
        self._store = store
        self._name = LEDGER.format(dataset)

    def create(self) -> None:
        """Make the dataset of the ledger, unless it exists."""
        self._store.create(self._name)

    def runs(self) -> list[Run]:
        """All runs, the earliest first; without those that a later one replaces."""
        runs = sorted(self._all(), key=lambda run: run.id)
        replaced = {each for run in runs for each in run.replaces}
        return [run for run in runs if run.id not in replaced]

    def _all(self) -> Iterator[Run]:
        with suppress(FileNotFoundError):  # a store that is one file, before it was written to
            for stored in self._store.scan(self._name):
                if stored.key_bytes != LEASE_KEY:
                    yield Run.from_bytes(stored.value.value_bytes)

    def put(self, run: Run) -> None:
        """Write a run's value, in place of its former one; raises LedgerNotWritten."""
        put(self._store, self._name, run.id.encode(), run.to_bytes())

    def finish(self, run: Run) -> None:
        """Write that all of a run's units are in the dataset; raises LedgerNotWritten."""
        self.put(replace(run, state=State.FINISHED))


LEASE_KEY = b"lease"


def put(store: KVStore, ledger: str, key: bytes, value: bytes) -> None:
    """Write one value of a ledger; raises LedgerNotWritten."""
    (reason,) = store.multi_put([PutRequest(key, value, ledger, 0, 0, SIZE_MS)])
    if reason is not None:
        raise LedgerNotWritten(f"{ledger} cannot be written: {reason}")
