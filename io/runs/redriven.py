"""Which dead letters have been redriven into a dataset: a mark per letter, beside the tiles.

A mark names the run that redrove the letter, and counts only if that run has finished. So all
letters of a run count at one instant: when the ledger says that the run has finished.
"""

from collections.abc import Iterable, Sequence

from chronon_beam.api.records import GetRequest, PutRequest
from chronon_beam.io.kv_store import KVStore
from chronon_beam.io.runs.ledger import SIZE_MS, LedgerNotWritten

MARKS = "{}_REDRIVEN"
"""Name of the dataset that holds the marks of a dataset."""

_BATCH = 500


def redriven(store: KVStore, dataset: str, letters: Sequence[str], runs: Iterable[str]) -> set[str]:
    """The ids of those of the letters that one of the finished `runs` has redriven."""
    counting, found = frozenset(runs), set[str]()
    for at in range(0, len(letters), _BATCH):
        part = letters[at : at + _BATCH]
        asked = [GetRequest(each.encode(), MARKS.format(dataset), 0, 1, SIZE_MS) for each in part]
        for letter, values in zip(part, store.multi_get(asked), strict=True):
            if values and values[0].value_bytes.decode() in counting:
                found.add(letter)
    return found


def mark(store: KVStore, dataset: str, letters: Sequence[str], run: str) -> None:
    """Note that `run` has redriven the letters; raises LedgerNotWritten."""
    name = MARKS.format(dataset)
    store.create(name)
    for at in range(0, len(letters), _BATCH):
        puts = [
            PutRequest(each.encode(), run.encode(), name, 0, 0, SIZE_MS)
            for each in letters[at : at + _BATCH]
        ]
        for reason in store.multi_put(puts):
            if reason is not None:
                raise LedgerNotWritten(f"{name} cannot be written: {reason}")
