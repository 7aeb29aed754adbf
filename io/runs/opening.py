"""Prepares a dataset for a run, and enters the run in the ledger; see `chronon_beam.io.runs`."""

from dataclasses import replace

from chronon_beam.aggregator.repair_note import NOTES_DATASET
from chronon_beam.io.kv_store import KVStore
from chronon_beam.io.runs.before_images import IMAGES, take_back
from chronon_beam.io.runs.entry import Entry
from chronon_beam.io.runs.ledger import Ledger, Run, State


def open_run(store: KVStore, dataset: str, entry: Entry, nothing: bytes) -> Run:
    """Empty the dataset, or take runs back, as `entry` says; and enter the run in the ledger.

    If the process dies in the middle, the next run finds in the ledger what is left to do.

    Args:
        store: where the dataset is.
        dataset: the name of the dataset.
        entry: how the run enters.
        nothing: the value of a tile without events.
    """
    ledger, run = Ledger(store, dataset), entry.run
    if run.state is State.CLEARING:
        ledger.put(run)
        for name in (dataset, IMAGES, NOTES_DATASET):
            store.drop(name.format(dataset))
        run = replace(run, state=State.STARTED)
    elif entry.takes_back:
        unwanted = {each.id for each in entry.takes_back}
        unwanted.update(*(each.replaces for each in entry.takes_back))
        take_back(store, dataset, unwanted, nothing)
    ledger.put(run)
    return run
