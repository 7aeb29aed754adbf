"""A day of events in parts, over which the command runs one after the other."""

import itertools
import json
import random
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from killable import ENOUGH, Killable, Killed

from chronon_beam.api.load import load_group_by
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.fetcher.serving_info import load
from chronon_beam.io.kv_store import open_store
from chronon_beam.pipeline.options import JobOptions
from chronon_beam.pipeline.run import JobFailed, run
from chronon_beam.pipeline.verification.verify import Verified, VerifyOptions, verify
from chronon_beam.transforms.tiling.settings import Tiling
from chronon_beam.transforms.tiling.triggers import Trigger

DAY_MS = 86_400_000
NOON_MS = 1_700_000_000_000
GROUP_BY = """
from chronon_beam.api import *
windows = [Window(length, TimeUnit.HOURS) for length in {hours}]
own = GroupBy(
    name="{name}",
    sources=Source(
        EventSource(query=Query(select("user", "d"), wheres=[{where}], time_column="t"))
    ),
    keys=["user"],
    aggregations=[
        Aggregation("d", operation, windows)
        for operation in (Operation.COUNT, Operation.SUM, Operation.LAST, Operation.TOP_K(2))
    ],
)
"""


class Mode(NamedTuple):
    """How a job stores what it computes, and how many events a part of the day has."""

    tiling: Tiling | None
    layout: str = "tumbling"
    hours: tuple[int, ...] = (6, 24)
    per_part: int = 6
    tiles_per_event: int = 1


PARTS = 10
MODES = {
    "tiled": Mode(Tiling(shards=1)),
    "buffered": Mode(Tiling(Trigger(60_000), shards=1)),
    "sliding": Mode(Tiling(shards=1), "sliding", hours=(24,), per_part=2, tiles_per_event=25),
    "untiled": Mode(None),
}


class Place:
    """A folder with a GroupBy and its events; runs over some of them."""

    def __init__(self, folder: Path, store: str, mode: Mode, name: str) -> None:
        self.folder, self.store, self.mode, self.name = folder, store, mode, name
        self.declare()

    def declare(self, name: str | None = None, where: str = "") -> None:
        text = GROUP_BY.format(name=name or self.name, where=where, hours=self.mode.hours)
        (self.folder / "own.py").write_text(text)

    def write(self, name: str, events: list[dict[str, Any]], mode: str = "w") -> None:
        with (self.folder / f"{name}.jsonl").open(mode) as file:
            file.writelines(f"{json.dumps(each)}\n" for each in events)

    def options(self, files: str, store: str, existing: str | None = None) -> JobOptions:
        return JobOptions(
            group_by=str(self.folder / "own.py"),
            source=f"file:{self.folder}/{files}.jsonl?schema=user STRING, d DOUBLE, t BIGINT",
            store=store,
            layout=self.mode.layout,
            tiling=self.mode.tiling,
            existing=existing,
        )

    def run(self, files: str, cells: int = ENOUGH, existing: str | None = None) -> int:
        """How many events were read; -1 if the run was killed."""
        options = self.options(files, f"killable:{self.store}", existing)
        Killable.cells_left = cells
        try:
            with patch("chronon_beam.io.runs.lease._SETTLED_S", 0):  # nobody else comes here
                return run(options, "DirectRunner", []).counts.get("messages", 0)
        except (Killed, JobFailed):
            return -1
        finally:
            Killable.cells_left = ENOUGH

    def verified(self, files: str) -> Verified:
        """What `chronon-beam verify` finds, were the store made of these files."""
        options = self.options(files, self.store)
        return verify(
            VerifyOptions(options.group_by, options.source, options.store), "DirectRunner", []
        )

    def cells_amid(self, adds: bool, chance: random.Random) -> int:
        """A number of cells after which a run has written some of its tiles, or none of them."""
        tiles = self.mode.per_part * self.mode.tiles_per_event
        images = tiles if adds and self.mode.tiling else 0  # they are written first
        return images + chance.randrange(tiles - 2)

    def features(self) -> list[Any]:
        group_by = load_group_by(str(self.folder / "own.py"), None)
        with closing(open_store(self.store)) as store:
            fetcher = Fetcher.of(load(store, group_by), store)
            keys = [{"user": user} for user in "abc"]
            hours = range(0, 36, 5)
            return [fetcher.fetch(keys, NOON_MS + hour * DAY_MS // 24) for hour in hours]


def day(chance: random.Random, number: int) -> list[dict[str, Any]]:
    """Events of a day, each at a time of its own, out of order."""
    times = chance.sample(range(0, DAY_MS, 1000), number)
    return [
        {"user": chance.choice("abc"), "d": chance.randrange(99) / 8, "t": NOON_MS + at}
        for at in times
    ]


_numbers = itertools.count()


def check_that_parts_add_up(folder: Path, store: str, mode: Mode, chance: random.Random) -> None:
    """Runs over parts give the same features as one run; none of it in the order of time."""
    name = f"t.runs{next(_numbers)}"
    place, events = Place(folder, store, mode, name), day(chance, PARTS * mode.per_part)
    for number in range(PARTS):
        place.write(f"part{number}", events[number * mode.per_part :][: mode.per_part])
    grows = run_in_any_order(place, chance)
    more = day(chance, mode.per_part)
    place.write(grows, more, "a")
    assert place.run("part*") == len(more)  # it is read on from where it was
    assert place.verified("part*").sound
    whole = Place(folder, store, mode, f"{name}.whole")
    whole.write("whole", events + more)
    assert whole.run("whole") == len(events + more)
    expected = whole.features()
    place.declare()
    assert place.features() == expected


def run_in_any_order(place: Place, chance: random.Random) -> str:
    """Run each part to its end; one twice, and two are killed first. Names the one run twice."""
    per_part, order = place.mode.per_part, list(range(PARTS))
    chance.shuffle(order)
    first, again, later, *_ = (f"part{number}" for number in order)
    for part in (f"part{number}" for number in order):
        if part in (first, later):
            assert place.run(part, place.cells_amid(part == later, chance)) == -1
        if part != later:  # its unfinished run is taken back by the next one
            assert place.run(part) == per_part
    assert place.run(again) == 0
    assert place.run(later) == per_part
    return again
