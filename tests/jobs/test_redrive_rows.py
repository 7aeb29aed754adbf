"""Letters of rows, which Tile and Convert have refused, count once when they are redriven."""

import random
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from day_in_parts import DAY_MS, MODES, NOON_MS, Place, day
from promised import Promised

from chronon_beam.api.counts import dead
from chronon_beam.io.kv_store import open_store
from chronon_beam.pipeline.max_dead import MaxDead
from chronon_beam.pipeline.redrive.redriving import RedriveOptions, redrive
from chronon_beam.pipeline.redrive.report import Fate
from chronon_beam.pipeline.run import run
from chronon_beam.transforms import convert
from chronon_beam.transforms.tiling.settings import Late, Tiling

EVENTS = 8
FALLEN = 3


class Fallen:
    """A store, after a run of which rows have become letters."""

    def __init__(self, folder: Path, mode: str) -> None:
        self.place = Place(folder, f"sqlite:{folder}/f.db", MODES[mode], "t.rows")
        self.letters = f"file:{folder}/dead.jsonl"
        self.events: list[dict[str, Any]] = day(random.Random(mode), EVENTS)
        self.kind = "DOUBLE"

    def run(self, scheme: str, **options: Any) -> dict[str, int]:
        """The counts of a run over all events."""
        self.place.write("all", self.events)
        flags = replace(self._options(scheme), dead_letters=self.letters, max_dead=MaxDead())
        return run(replace(flags, **options), "DirectRunner", []).counts

    def redrive(self, scheme: str) -> dict[Fate, int]:
        """How many letters came to what."""
        report = redrive(RedriveOptions(self._options(scheme), self.letters))
        fates = [each.fate for each in report.verdicts]
        return {fate: fates.count(fate) for fate in fates}

    def content(self) -> list[Any]:
        with closing(open_store(self.place.store)) as store:
            return list(store.scan("T_ROWS_STREAMING"))

    def expected(self) -> list[Any]:
        """The features of a run in which no row fell."""
        whole = Place(self.place.folder, self.place.store, self.place.mode, "t.whole")
        whole.write("whole", self.events)
        assert whole.run("whole") == len(self.events)
        found = whole.features()
        self.place.declare()
        return found

    def check(self, scheme: str, letters: int) -> None:
        """Letters count once: a second redrive changes nothing."""
        expected = self.expected()
        assert self.place.features() != expected
        assert self.redrive(scheme) == {Fate.REDRIVEN: letters}
        after = self.content()
        assert self.place.features() == expected
        assert self.redrive(scheme) == {Fate.BEFORE: letters}
        assert self.content() == after

    def _options(self, scheme: str) -> Any:
        options = self.place.options("all", self.place.store)
        location = (options.source or "").partition(":")[2].replace("DOUBLE", self.kind)
        return replace(options, source=f"{scheme}:{location}")


@pytest.fixture(autouse=True)
def alone() -> Any:
    """Nobody else comes to the dataset."""
    with patch("chronon_beam.io.runs.lease._SETTLED_S", 0):
        yield


@pytest.mark.parametrize("mode", ["tiled", "sliding"])
def test_late_rows_are_tiled_after_all(tmp_path: Path, mode: str) -> None:
    fallen = Fallen(tmp_path, mode)
    newest = {**fallen.events[0], "t": max(each["t"] for each in fallen.events) + 3 * DAY_MS}
    fallen.events.sort(key=lambda each: each["t"])
    fallen.events.insert(EVENTS - FALLEN, newest)  # those after it are late
    assert fallen.place.mode.tiling is not None
    late = replace(fallen.place.mode.tiling, late=Late.DEAD_LETTER)
    assert fallen.run(Promised.SCHEME, tiling=late)[dead("Tile")] == FALLEN
    fallen.check(Promised.SCHEME, FALLEN)


def refusing(number: int) -> Callable[..., Any]:
    """`convert._records` of a release that cannot encode the last rows of a batch."""
    records = convert._records

    def refuse(rows: Any, codec: Any) -> Any:
        encoded, reasons = records(rows, codec)
        unfit = range(rows.batch.num_rows - number, rows.batch.num_rows)
        return encoded, {**reasons, **dict.fromkeys(unfit, "not encoded")}

    return refuse


def test_rows_that_a_release_could_not_convert_are_converted_by_the_next_one(
    tmp_path: Path,
) -> None:
    fallen = Fallen(tmp_path, "untiled")
    with patch.object(convert, "_records", refusing(FALLEN)):
        assert fallen.run("file")[dead("Convert")] == FALLEN
    fallen.check("file", FALLEN)


def test_a_row_that_does_not_fit_its_stored_tile_holds_back_no_other(tmp_path: Path) -> None:
    fallen = Fallen(tmp_path, "tiled")
    declared, listed = tmp_path / "own.py", "windows, element_wise=True)"
    text = declared.read_text().replace("windows)", listed).replace("(Operation.COUNT, ", "(")
    declared.write_text(text.replace(", Operation.LAST, Operation.TOP_K(2))", ",)"))
    fallen.kind = "ARRAY<DOUBLE>"
    events = [("a", [1.0, 2.0], 0), ("b", [1.0], 0), ("c", [0.0], DAY_MS)]
    late = [("a", [1.0, 2.0, 3.0], 1), ("b", [5.0], 1)]
    fallen.events = [{"user": u, "d": d, "t": NOON_MS + ms} for u, d, ms in events + late]
    tiling = Tiling(late=Late.DEAD_LETTER, shards=1)
    assert fallen.run(Promised.SCHEME, tiling=tiling)[dead("Tile")] == len(late)
    assert fallen.redrive(Promised.SCHEME) == {Fate.REMAINING: 1, Fate.REDRIVEN: 1}
    after = fallen.content()
    of_a, of_b, _ = fallen.place.features()[1]
    assert (of_a["d_sum_6h"], of_b["d_sum_6h"]) == ([1.0, 2.0], [6.0])
    assert fallen.redrive(Promised.SCHEME) == {Fate.REMAINING: 1, Fate.BEFORE: 1}
    assert fallen.content() == after
