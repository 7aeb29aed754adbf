"""Which letters may enter a dataset, by its ledger; the events in the letters are not looked at.

A letter may enter only as long as its run counts. Where a run was replaced, its events were read
again, and the letter's event with them.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from chronon_beam.api.records import Form
from chronon_beam.io.dead_letters.letter import Letter
from chronon_beam.io.kv_store import KVStore
from chronon_beam.io.runs.entry import Entry, EntryRefused
from chronon_beam.io.runs.ledger import Ledger, Run, new_id
from chronon_beam.io.runs.redriven import redriven
from chronon_beam.pipeline.redrive.report import Fate, Verdict

CHANGES_TILES = ("keys", "aggregations", "dialect", "tiling")
"""The parts of a definition that letters must share with the tiles. The other parts may differ: it
is by them that a user mends what was wrong with events."""

_UNKNOWN = (
    "no run is noted for dataset {}, so it is not known which letters count already: is this the "
    "store of the job that the letters come from?"
)
_UNFINISHED = (
    "run {} into {} has not finished, and running it again replaces all that it wrote: do that "
    "first (with a higher --max_dead), then redrive the letters that it makes"
)
_OTHER = (
    "dataset {} was written with other {}, so letters cannot be added to its tiles: redrive with "
    "the GroupBy and flags of the job (selects, wheres and the schema may have been mended)"
)


@dataclass(frozen=True)
class Admission:
    """How letters enter a dataset.

    Attributes:
        entry: how the run that redrives them enters.
        live: whether a live job may go on with its state of the tiles.
        mixed: whether runs over files have written to a live job's dataset as well.
        counting: ids of the runs whose letters may enter.
    """

    entry: Entry
    live: bool
    mixed: bool
    counting: frozenset[str]


def admission(
    dataset: str, runs: Sequence[Run], definition: dict[str, str], ended: bool
) -> Admission:
    """How letters enter a dataset with these `runs`.

    Args:
        dataset: its name.
        runs: see `Ledger.runs`.
        definition: of the GroupBy that the letters are redriven with.
        ended: whether the user says that live jobs have ended for good.

    Raises:
        EntryRefused: they must not; the message has the way out.
    """
    standing = [run for run in runs if run.standing]
    unfinished = [run for run in runs if not run.standing]
    for run in unfinished:
        if not run.redrives:
            raise EntryRefused(_UNFINISHED.format(run.id, dataset))
    if not standing:
        raise EntryRefused(_UNKNOWN.format(dataset))
    known = standing[-1].definition
    others = [name for name in CHANGES_TILES if known.get(name) != definition.get(name)]
    if others:
        raise EntryRefused(_OTHER.format(dataset, ", ".join(others)))
    replaced = {run.id for run in unfinished}.union(*(run.replaces for run in unfinished))
    new = Run(new_id(), standing[-1].group_by, known, replaces=frozenset(replaced), redrives=True)
    live = any(run.live for run in standing) and not ended
    return Admission(
        Entry(new, takes_back=tuple(unfinished)),
        live,
        mixed=live and any(not run.live and not run.redrives for run in standing),
        counting=frozenset(run.id for run in standing).union(*(run.continued for run in standing)),
    )


def runs_of(store: KVStore, dataset: str) -> list[Run]:
    """The runs into a dataset, the earliest first."""
    return Ledger(store, dataset).runs()


def admitted(
    letters: Iterable[Letter],
    store: KVStore,
    dataset: str,
    counting: Collection[str],
    steps: Collection[str],
) -> tuple[list[Letter], list[Verdict]]:
    """The letters that may enter, each once; and verdicts for the others.

    Letters of steps other than `steps` are left out, unless `steps` is empty.
    """
    once = {each.id: each for each in letters if not steps or each.failure.step in steps}
    done = redriven(store, dataset, list(once), counting)
    able: list[Letter] = []
    verdicts: list[Verdict] = []
    for letter_id, letter in once.items():
        if letter_id in done:
            verdicts.append(Verdict(letter, Fate.BEFORE))
        elif why := why_not(letter, counting):
            verdicts.append(Verdict(letter, Fate.LASTING, why))
        else:
            able.append(letter)
    return able, verdicts


def why_not(letter: Letter, counting: Collection[str]) -> str:
    """Why a letter can never enter; empty if it can."""
    failure = letter.failure
    if failure.step == "Delete":
        return "the row is taken back where that is possible"
    if failure.form is Form.OTHER:
        return "nothing to put into a stage"
    if letter.cut:
        return "too large for a letter, which was cut"
    if not letter.origin.run:
        return "no run is noted in it"
    if letter.origin.run not in counting:
        return "its run was replaced by one that read its events again"
    return ""
