"""Redriven letters count once: what is stored is what a run without damage would have stored."""

import json
import random
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from day_in_parts import MODES, NOON_MS, Place, day
from killable import ENOUGH, Killable, Killed

from chronon_beam.api.counts import Metric
from chronon_beam.io.kv_store import open_store
from chronon_beam.io.runs.entry import EntryRefused
from chronon_beam.io.runs.lease import DatasetInUse, Lease
from chronon_beam.io.runs.ledger import Ledger, State
from chronon_beam.pipeline.max_dead import MaxDead
from chronon_beam.pipeline.redrive.redriving import RedriveOptions, redrive
from chronon_beam.pipeline.redrive.report import Fate
from chronon_beam.pipeline.run import JobFailed, run

HOUR_MS = 3_600_000
DATASET = "T_OWN_STREAMING"
SOUND = 8
DAMAGED = 4


class Damaged:
    """A store, after a run over events of which the amounts of some were written as texts."""

    def __init__(self, folder: Path, mode: str) -> None:
        self.place = Place(folder, f"sqlite:{folder}/f.db", MODES[mode], "t.own")
        self.letters = f"file:{folder}/dead.jsonl"
        chance = random.Random(mode)
        self.events = day(chance, SOUND + DAMAGED)
        damaged = [{**each, "d": str(each["d"])} for each in self.events[SOUND:]]
        mixed: list[dict[str, Any]] = self.events[:SOUND] + damaged
        chance.shuffle(mixed)
        self.place.write("all", mixed)
        assert self.run().counts[Metric.DEAD_DECODE] == DAMAGED

    def run(self, **options: Any) -> Any:
        flags = replace(self.place.options("all", self.place.store), dead_letters=self.letters)
        flags = replace(flags, max_dead=MaxDead(), **options)
        with patch("chronon_beam.io.runs.lease._SETTLED_S", 0):
            return run(flags, "DirectRunner", [])

    def mend(self) -> None:
        """Have the GroupBy take texts."""
        path = self.place.folder / "own.py"
        text = path.read_text().replace('"user", "d"', '"user", d="CAST(d AS DOUBLE)"')
        path.write_text(text)

    def redrive(
        self, ddl: str = "d STRING", cells: int = ENOUGH, *, dry_run: bool = False, **flags: Any
    ) -> dict[Fate, int] | None:
        """How many letters came to what; None if it was killed."""
        options = self.place.options("all", f"killable:{self.place.store}")
        source = f"file:{self.place.folder}/all.jsonl?schema=user STRING, {ddl}, t BIGINT"
        options = replace(options, source=source, **flags)
        Killable.cells_left = cells
        try:
            with patch("chronon_beam.io.runs.lease._SETTLED_S", 0):
                report = redrive(RedriveOptions(options, self.letters, dry_run=dry_run))
        except (Killed, JobFailed):
            return None
        finally:
            Killable.cells_left = ENOUGH
        fates = [each.fate for each in report.verdicts]
        return {fate: fates.count(fate) for fate in fates}

    def content(self) -> list[Any]:
        with closing(open_store(self.place.store)) as store:
            return list(store.scan(DATASET))

    def expected(self) -> list[Any]:
        """The features of a run over the same events without damage."""
        whole = Place(self.place.folder, self.place.store, self.place.mode, "t.whole")
        whole.write("whole", self.events)
        assert whole.run("whole") == len(self.events)
        found = whole.features()
        self.place.declare()
        self.mend()
        return found


@pytest.mark.parametrize("mode", ["tiled", "sliding", "untiled"])
def test_letters_count_once_wherever_a_redrive_is_killed(tmp_path: Path, mode: str) -> None:
    damaged = Damaged(tmp_path, mode)
    before = damaged.content()
    assert damaged.redrive("d DOUBLE") == {Fate.REMAINING: DAMAGED}  # nothing is mended yet
    damaged.mend()
    assert damaged.redrive(dry_run=True) == {Fate.REDRIVEN: DAMAGED}
    assert damaged.content() == before
    per_event = damaged.place.mode.tiles_per_event
    for cells in (1, DAMAGED * per_event + 1, DAMAGED * per_event * 2 + 1):
        assert mode == "untiled" or damaged.redrive(cells=cells) is None
    assert damaged.redrive() == {Fate.REDRIVEN: DAMAGED}
    after = damaged.content()
    assert damaged.redrive() == {Fate.BEFORE: DAMAGED}
    assert damaged.content() == after
    assert damaged.place.features() == damaged.expected()


def test_letters_of_runs_that_were_replaced_were_read_again(tmp_path: Path) -> None:
    damaged = Damaged(tmp_path, "tiled")
    assert damaged.run(existing="replace").counts[Metric.DEAD_DECODE] == DAMAGED
    damaged.mend()
    assert damaged.redrive() == {Fate.REDRIVEN: DAMAGED}  # the same letters fell in both runs
    assert damaged.place.features() == damaged.expected()
    lines = (tmp_path / "dead.jsonl").read_text().splitlines()
    assert len(lines) == 2 * DAMAGED


def test_what_must_not_enter_is_refused(tmp_path: Path) -> None:
    damaged = Damaged(tmp_path, "tiled")
    with closing(open_store(damaged.place.store)) as store:
        with Lease(store, DATASET, "another"), pytest.raises(DatasetInUse):
            damaged.redrive()
        ledger = Ledger(store, DATASET)
        (first,) = ledger.runs()
        with pytest.raises(EntryRefused, match="written with other tiling"):
            damaged.redrive(tiling=None)
        ledger.put(replace(first, state=State.STARTED))
        with pytest.raises(EntryRefused, match="has not finished"):
            damaged.redrive()
        store.drop(f"{DATASET}_RUNS")
        with pytest.raises(EntryRefused, match="no run is noted"):
            damaged.redrive()


def test_tiles_that_a_live_job_may_have_open_wait(tmp_path: Path) -> None:
    damaged = Damaged(tmp_path, "tiled")
    damaged.mend()
    with closing(open_store(damaged.place.store)) as store:
        ledger = Ledger(store, DATASET)
        (run_before,) = ledger.runs()
        ledger.put(replace(run_before, live=True, state=State.STARTED))
        ends = [each.value.ts_ms + each.tile_size_ms for each in store.scan(DATASET)]
    times = [each["t"] for each in damaged.events[SOUND:]]
    waits = sum(each - each % 300_000 + 300_000 + HOUR_MS > max(ends) for each in times)
    for cells in (1, 3, 5):  # a note, and then a tile, for each letter
        assert damaged.redrive(cells=cells) is None
    found = damaged.redrive()
    assert found is not None
    assert found.get(Fate.REMAINING, 0) == waits
    assert found[Fate.REDRIVEN] == DAMAGED - waits
    after = damaged.content()
    damaged.redrive()
    assert damaged.content() == after
    damaged.redrive(existing="merge")  # the live job has ended for good
    assert damaged.place.features() == damaged.expected()


def test_letters_hold_what_a_report_needs(tmp_path: Path) -> None:
    damaged = Damaged(tmp_path, "tiled")
    for line in (tmp_path / "dead.jsonl").read_text().splitlines():
        letter = json.loads(line)
        assert (letter["step"], letter["group_by"]) == ("Decode", "t.own")
        assert json.loads(letter["payload"])["t"] >= NOON_MS
    options = damaged.place.options("all", damaged.place.store)
    report = redrive(RedriveOptions(options, damaged.letters, dry_run=True))
    first, last = report.lines()
    assert first.startswith(f"remaining: {DAMAGED} of Decode: column 'd': expected DOUBLE")
    assert last == f"{DAMAGED} letters: {DAMAGED} remaining"
    steps = frozenset({"Write"})
    none = redrive(RedriveOptions(options, damaged.letters, steps))
    assert list(none.lines()) == ["0 letters"]
