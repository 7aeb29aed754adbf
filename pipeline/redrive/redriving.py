"""Redrives dead letters: reads them, puts them through their job again, and reports their fates.

A redrive is a run over letters (`chronon_beam.io.runs`): it holds the dataset's lease, is noted in
its ledger, keeps before-images of tiles, and is taken back if it does not finish. Letters that it
has redriven are marked (`io.runs.redriven`), and the marks count from the instant when the ledger
says that the run has finished. So each letter counts once, wherever a redrive is cut short.

Where a live job may go on with its state, there are no before-images, since the job's own
corrections do not look at them. There letters are merged as late events: the note beside a tile
names the events in it (`io.repair`), and `open_tiles` decides which letters must wait.
"""

import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam

from chronon_beam.aggregator.repair_note import NOTES_DATASET
from chronon_beam.api.records import Form
from chronon_beam.io.dead_letters.file import FileDeadLetters
from chronon_beam.io.dead_letters.letter import Letter, Origin
from chronon_beam.io.dead_letters.sinks import DeadLetters, open_dead_letters
from chronon_beam.io.kv_store import KVStore
from chronon_beam.io.runs.before_images import Adding
from chronon_beam.io.runs.lease import require_free
from chronon_beam.io.runs.redriven import mark
from chronon_beam.io.settle import settle
from chronon_beam.io.write import failed_write
from chronon_beam.pipeline.existing import definition_of, entered, opened
from chronon_beam.pipeline.options import JobOptions
from chronon_beam.pipeline.prepare import Prepared, prepare, reached_store, streamed_group_by
from chronon_beam.pipeline.redrive.admission import Admission, admission, admitted, runs_of
from chronon_beam.pipeline.redrive.open_tiles import closed_ms, waiting
from chronon_beam.pipeline.redrive.page import StoreAgain
from chronon_beam.pipeline.redrive.replay import Replay, Replayed, position_of
from chronon_beam.pipeline.redrive.report import Fate, Report, Verdict
from chronon_beam.pipeline.redrive.unmergeable import unfit_letters, unmergeable
from chronon_beam.pipeline.run import JobFailed, carry_out, say


@dataclass(frozen=True)
class RedriveOptions:
    """The flags of a redrive.

    Attributes:
        job: the flags of the job; an `existing` of `merge` says that live jobs have ended for good.
        dead_letters: where the letters are.
        steps: the steps whose letters are redriven; empty for all steps.
        dry_run: whether nothing is written.
    """

    job: JobOptions
    dead_letters: str
    steps: frozenset[str] = frozenset()
    dry_run: bool = False


def redrive(options: RedriveOptions) -> Report:
    """Put letters through the job from the stage that they come from, each at most once.

    Raises:
        EntryRefused, DatasetInUse: the letters must not enter the dataset.
        JobFailed: the store has refused writes; then no letter counts as redriven.
        GroupByError, QueryError, UsageError: as `prepare`.
    """
    sink = open_dead_letters(options.dead_letters)
    group_by = streamed_group_by(options.job)
    with closing(reached_store(options.job.store)) as store:
        dataset, tiled = group_by.streaming_dataset, options.job.tiling is not None
        require_free(store, dataset)
        definition = definition_of(group_by, tiled, options.job.layout)
        ended = options.job.existing == "merge"
        entering = admission(dataset, runs_of(store, dataset), definition, ended)
        letters = list(sink.read())
        ours = [each for each in letters if each.origin.group_by in ("", group_by.name)]
        able, verdicts = admitted(ours, store, dataset, entering.counting, options.steps)
        report = Report(options.dry_run, verdicts, elsewhere=len(letters) - len(ours))
        if able:
            say(f"{group_by.name}: {len(able):,} letters; planning the query with Spark")
            prepared = prepare(options.job, group_by)
            change = entered(store, entering.entry, prepared.info, options.job.existing)
            prepared = prepared.over(change.info)
            report.verdicts += Redrive(prepared, store, sink, entering, options).verdicts(able)
    return report


class Redrive:
    """One redrive of letters that may enter."""

    def __init__(
        self,
        prepared: Prepared,
        store: KVStore,
        sink: DeadLetters,
        entering: Admission,
        options: RedriveOptions,
    ) -> None:
        self._prepared, self._store, self._sink = prepared, store, sink
        self._entering, self._options = entering, options
        self._plan = prepared.info.plan

    def verdicts(self, letters: Sequence[Letter]) -> list[Verdict]:
        """Redrive them, or say what would become of them."""
        requests = [each for each in letters if each.failure.form is Form.REQUEST]
        others = [each for each in letters if each.failure.form is not Form.REQUEST]
        with closing(Replay(self._prepared.job, self._prepared.source)) as replay:
            replayed, verdicts = replay.replayed(others)
        waits = self._waiting(replayed)
        waiting_ids = {each.letter.id for each in waits}
        ready = [each.without(waiting_ids) for each in replayed]
        if self._options.dry_run:
            rows = {letter.id: letter for each in ready for letter in each.letters}
            would = [Verdict(each, Fate.REDRIVEN) for each in (*rows.values(), *requests)]
            return verdicts + waits + would
        idle = all(each.fate is Fate.REMAINING for each in verdicts)
        if idle and not requests and not any(each.letters for each in ready):
            return verdicts + waits
        return waits + self._done(ready, requests, verdicts)

    def _waiting(self, replayed: Sequence[Replayed]) -> list[Verdict]:
        tiling = self._prepared.job.tiling
        if tiling is None or not self._entering.live or not replayed:
            return []
        closed = {} if self._entering.mixed else closed_ms(self._store, self._plan)
        return waiting(replayed, self._plan, closed, tiling.lateness_ms)

    def _done(
        self, ready: list[Replayed], requests: list[Letter], verdicts: list[Verdict]
    ) -> list[Verdict]:
        """Store what is ready, and mark what then counts as redriven."""
        info, entry = self._prepared.info, self._entering.entry
        dataset = info.plan.group_by.streaming_dataset
        with opened(self._store, entry, info, self._prepared.source) as begun:
            found = verdicts + self._settled(requests)
            found += self._stored([each for each in ready if each.letters], begun.run.id)
            counted = [
                each.letter.id for each in found if each.fate in (Fate.REDRIVEN, Fate.FILTERED)
            ]
            mark(self._store, dataset, counted, begun.run.id)
            begun.complete = True
        return found

    def _settled(self, letters: list[Letter]) -> list[Verdict]:
        """Write letters that are requests, which the store had not taken."""
        if not letters:
            return []
        self._store.create(NOTES_DATASET.format(self._plan.group_by.streaming_dataset))
        writes = [failed_write(each.failure.payload) for each in letters]
        reasons = settle(self._store, self._plan, writes)
        return list(map(_verdict, letters, reasons))

    def _stored(self, ready: list[Replayed], run: str) -> list[Verdict]:
        """Store rows.

        A letter remains if one of its rows is refused at the stage that the letter came from, or
        does not fit the tile that is stored: then the others are stored again without it.
        """
        letters = {letter.id: letter for each in ready for letter in each.letters}
        if not letters:
            return []
        again = self._run(ready, run)
        if unfit := unfit_letters(again, ready, self._plan):
            remain = [_verdict(letters[name], why) for name, why in unfit.items()]
            return remain + self._stored(_without(ready, {*unfit}), run)
        return self._after(again, letters)

    def _after(self, again: list[Letter], letters: dict[str, Letter]) -> list[Verdict]:
        """The verdicts after the run that has stored rows; `again` are its own dead letters."""
        by_place = {(each.failure.source, position_of(each)): each for each in letters.values()}
        remaining: dict[str, str] = {}
        fallen: list[Letter] = []
        for each in again:
            came = by_place.get((each.failure.source, each.failure.position))
            if came is not None and came.failure.form is Form.ROW:
                remaining[came.id] = each.failure.reason
            else:
                fallen.append(each)
        if fallen:
            with closing(self._sink.opener()()) as writer:
                writer.write(fallen)
        return [_verdict(letter, remaining.get(name)) for name, letter in letters.items()]

    def _run(self, ready: list[Replayed], run: str) -> list[Letter]:
        """Run the stages that store; gives the dead letters of these stages.

        Raises:
            JobFailed: the store has refused writes, which it may take another time.
        """
        late = self._entering.live and self._prepared.job.tiled
        adding = None if late else Adding(run)
        job = replace(self._prepared.job, adding=adding)
        with tempfile.TemporaryDirectory() as folder:
            fallen = FileDeadLetters(str(Path(folder) / "fallen.jsonl"), self._sink.most_bytes)
            fallen.origin = Origin(self._plan.group_by.name, run)
            build = partial(_build, page=StoreAgain(job, ready, late, fallen))
            carry_out(build, [(self._plan.group_by.name,)], "DirectRunner", [])
            letters = list(fallen.read())
        requests = [each for each in letters if each.failure.form is Form.REQUEST]
        if lost := [each for each in requests if not unmergeable(each)]:
            raise JobFailed(
                f"{len(lost):,} writes failed: {lost[0].failure.reason}. No letter counts as "
                "redriven: mend that and redrive again"
            )
        return letters


def _build(root: beam.Pipeline, page: StoreAgain) -> Any:
    return root | page.job.plan.group_by.name >> page


def _without(ready: Sequence[Replayed], letters: set[str]) -> list[Replayed]:
    fit = [each.without(letters) for each in ready]
    return [each for each in fit if each.letters]


def _verdict(letter: Letter, reason: str | None) -> Verdict:
    if reason is None:
        return Verdict(letter, Fate.REDRIVEN)
    return Verdict(letter, Fate.REMAINING, reason)
