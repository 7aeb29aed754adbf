"""Several GroupBys in one job are, to the byte, what each of them is in a job of its own."""

import json
import random
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chronon_beam.api.counts import Kind, Metric, kind_of
from chronon_beam.api.group_by import GroupByError
from chronon_beam.api.load import load_group_by
from chronon_beam.api.records import StoredValue
from chronon_beam.io.kv_store import open_store
from chronon_beam.io.runs.lease import DatasetInUse, Lease, require_free
from chronon_beam.io.runs.ledger import Ledger
from chronon_beam.pipeline.max_dead import MaxDead
from chronon_beam.pipeline.options import JobOptions, UsageError
from chronon_beam.pipeline.run import Done, JobFailed, run_together
from chronon_beam.transforms.tiling.settings import Tiling

DDL = "user STRING, price DOUBLE, amount INT, bought BIGINT, paid BIGINT, ok BOOLEAN"
DECLARED = """
from chronon_beam.api import *

def own(name, column, operation, time, wheres=()):
    query = Query(select("user", column), wheres=[*wheres], time_column=time)
    return GroupBy(
        name=name, keys=["user"], sources=Source(EventSource(query=query)),
        aggregations=[Aggregation(column, operation, [Window(6, TimeUnit.HOURS)])],
    )

bought = own("t.bought", "price", Operation.SUM, "bought")
paid = own("t.paid", "amount", Operation.LAST_K(3), "paid", ["ok"])
again = own("t.again", "price", Operation.UNIQUE_COUNT, "paid")
same_dataset = own("t_paid", "amount", Operation.SUM, "paid")
"""
NAMES = ("bought", "paid", "again")
BEGIN_MS = 1_700_000_000_000


def drawn(chance: random.Random, number: int) -> list[bytes]:
    """Purchases; any column of any of them may be damaged, which is the same to nobody else."""
    lines = []
    for _ in range(number):
        event: dict[str, Any] = {
            "user": chance.choice("abc"),
            "price": chance.randrange(100) / 4,
            "amount": chance.randrange(9),
            "bought": BEGIN_MS + chance.randrange(3_600_000),
            "paid": BEGIN_MS + chance.randrange(72_000_000),
            "ok": chance.random() < 0.8,
        }
        if chance.random() < 0.3:
            event[chance.choice(list(event))] = {"damaged": True}
        lines.append(json.dumps(event).encode() if chance.random() < 0.95 else b"{")
    return lines


class Shop:
    """A folder with the declarations and a file of purchases."""

    def __init__(self, folder: Path, lines: list[bytes]) -> None:
        self.folder = folder
        (folder / "own.py").write_text(DECLARED)
        self.write("events", lines)

    def write(self, name: str, lines: list[bytes]) -> None:
        (self.folder / f"{name}.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))

    def options(self, name: str, into: str, tiled: bool = True) -> JobOptions:
        return JobOptions(
            group_by=f"{self.folder}/own.py:{name}",
            source=f"file:{self.folder}/events*.jsonl?schema={DDL}",
            store=f"sqlite:{self.folder}/{into}.db",
            dead_letters=f"file:{self.folder}/{into}.dead.jsonl",
            tiling=Tiling(shards=1) if tiled else None,
            max_dead=MaxDead(number=10_000, percent=None),
        )

    def run(self, names: tuple[str, ...], into: str, tiled: bool = True) -> list[Done]:
        return run_together([self.options(name, into, tiled) for name in names], "DirectRunner", [])

    def stored(self, name: str, into: str) -> list[StoredValue]:
        """What the store has of a GroupBy, byte by byte."""
        dataset = load_group_by(f"{self.folder}/own.py:{name}").streaming_dataset
        with closing(open_store(f"sqlite:{self.folder}/{into}.db")) as store:
            return sorted(store.scan(dataset))

    def letters(self, name: str, into: str) -> list[dict[str, Any]]:
        """The dead letters of a GroupBy, without what tells one run from another."""
        lines = (self.folder / f"{into}.dead.jsonl").read_text().splitlines()
        found = [each for each in map(json.loads, lines) if each["group_by"] == f"t.{name}"]
        for each in found:
            del each["time"], each["run"]
        return sorted(found, key=lambda each: (each["position"], each["reason"]))

    def runs(self, name: str, into: str) -> int:
        """How many runs of a GroupBy have finished."""
        dataset = load_group_by(f"{self.folder}/own.py:{name}").streaming_dataset
        with closing(open_store(f"sqlite:{self.folder}/{into}.db")) as store:
            return sum(each.standing for each in Ledger(store, dataset).runs())


def counted(done: Done) -> dict[str, int]:
    """Counters and extremes; how long something took, and how soon, differs each time."""
    kinds = (Kind.COUNTER, Kind.LEAST, Kind.GREATEST)
    return {name: number for name, number in done.counts.items() if kind_of(name) in kinds}


@pytest.fixture
def shop(tmp_path: Path, chance: random.Random) -> Shop:
    return Shop(tmp_path, drawn(chance, 300))


@pytest.mark.parametrize("tiled", [True, False], ids=["tiled", "untiled"])
def test_values_letters_and_counts_are_those_of_separate_jobs(shop: Shop, tiled: bool) -> None:
    together = dict(zip(NAMES, shop.run(NAMES, "together", tiled), strict=True))
    for name in NAMES:
        (alone,) = shop.run((name,), name, tiled)
        assert shop.stored(name, "together") == shop.stored(name, name)
        assert shop.letters(name, "together") == shop.letters(name, name) != []
        assert counted(together[name]) == counted(alone)
        assert alone.counts[Metric.MESSAGES] == 300
        assert shop.runs(name, "together") == 1
    assert len({together[name].counts[Metric.ROWS] for name in NAMES}) > 1


def test_each_group_by_reads_what_is_new_to_it(shop: Shop, chance: random.Random) -> None:
    """The one goes on after the file that it has read; the others have read none."""
    shop.run(("bought",), "together")
    shop.write("events_more", drawn(chance, 50))
    first, *others = shop.run(NAMES, "together")
    assert first.counts[Metric.MESSAGES] == 50
    assert [each.counts[Metric.MESSAGES] for each in others] == [350, 350]
    shop.run(("bought",), "alone")
    assert shop.stored("bought", "together") == shop.stored("bought", "alone")
    assert [each.counts for each in shop.run(NAMES, "together")] == [{}, {}, {}]


def test_one_that_has_lost_too_much_fails_and_the_others_are_finished(shop: Shop) -> None:
    strict = replace(shop.options("paid", "together"), max_dead=MaxDead(number=0, percent=None))
    with pytest.raises(JobFailed, match=r"^t\.paid: .* events are dead letters"):
        run_together([shop.options("bought", "together"), strict], "DirectRunner", [])
    assert (shop.runs("bought", "together"), shop.runs("paid", "together")) == (1, 0)


def test_where_one_cannot_enter_nothing_is_written_and_the_others_are_let_go(shop: Shop) -> None:
    options = [shop.options(name, "together") for name in ("bought", "paid")]
    with closing(open_store(options[0].store)) as store:
        for name in ("T_PAID_STREAMING", "T_BOUGHT_STREAMING"):
            Ledger(store, name).create()
        with (
            Lease(store, "T_PAID_STREAMING", "another"),
            pytest.raises(DatasetInUse, match="T_PAID_STREAMING is being written"),
        ):
            run_together(options, "DirectRunner", [])
        require_free(store, "T_BOUGHT_STREAMING")
        assert Ledger(store, "T_BOUGHT_STREAMING").runs() == []


def test_what_cannot_be_in_one_job_is_refused(shop: Shop) -> None:
    with pytest.raises(GroupByError, match=r"t\.paid and t_paid write to one dataset, T_PAID_"):
        shop.run(("paid", "same_dataset"), "together")
    live = replace(
        shop.options("bought", "together"), source=f"kafka://localhost:1/orders?schema={DDL}"
    )
    with pytest.raises(UsageError, match=r"of t\.paid ends, and that of t\.bought does not"):
        run_together([live, shop.options("paid", "together")], "DirectRunner", [])
