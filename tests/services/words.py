"""Runs jobs that go wrong, each on every runner, and marks on stderr where each begins.

`python words.py FOLDER CASE=MASTER,MASTER...`, where a master is `direct`, or one of Flink. It is a
process of its own, so that all that a user sees is seen: what is logged and what is printed, by the
launcher and by workers in it. Its stores are found as those of an installed package are.
"""

import json
import os
import sys
from pathlib import Path

from chronon_beam.api.records import PutRequest
from chronon_beam.io.kv_store import NullStore
from chronon_beam.io.uri import parse_uri
from chronon_beam.pipeline.cli import main

GROUP_BY = """
from chronon_beam.api import *
own = GroupBy(
    name="t.words", keys=["user"],
    sources=Source(EventSource(query=Query(select("user", price="PRICE"), time_column="t"))),
    aggregations=[Aggregation("price", Operation.SUM, [
        Window(1, TimeUnit.HOURS), Window(6, TimeUnit.HOURS)])])
"""
SCHEMA = "user STRING, price DOUBLE, t BIGINT"
ANN = json.dumps({"user": "Ann", "price": 2.5, "t": 1000})
STORES = """[chronon_beam.stores]
refusing = words:Refusing.from_uri
breaking = words:Breaking.from_uri
"""


class Refusing(NullStore):
    """Takes what is noted of the job, and no tile."""

    @classmethod
    def from_uri(cls, _: str) -> "Refusing":
        return cls()

    def multi_put(self, requests: list[PutRequest]) -> list[str | None]:
        tiles = "T_WORDS_STREAMING"
        return ["no room" if each.dataset == tiles else None for each in requests]


class Breaking(NullStore):
    """Can be prepared by the launcher, and by no worker."""

    def __init__(self, opened: str) -> None:
        super().__init__()
        self._opened = opened

    @classmethod
    def from_uri(cls, uri: str) -> "Breaking":
        return cls(parse_uri(uri).location)

    def create(self, dataset: str) -> None:
        # Imported late: what a command logs is set up before Beam is imported, as for users.
        from live import pass_one

        if dataset == "T_WORDS_STREAMING" and pass_one(self._opened) > 1:
            raise ConnectionError("the store does not answer")


def install(folder: Path) -> None:
    """Let stores be found in `folder`, once it is on PYTHONPATH."""
    package = folder / "words-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: words\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(STORES)


def command_lines(folder: Path) -> dict[str, list[str]]:
    """What each case is run with, but for its runner."""
    for name, price in (("sound", "price"), ("misspelt", "prcie * 2")):
        (folder / f"{name}.py").write_text(GROUP_BY.replace("PRICE", price))
    (folder / "sound.jsonl").write_text(f"{ANN}\n")
    (folder / "damaged.jsonl").write_text(f"{ANN}\n{{not json\n{ANN}\n")
    sound = [f"--group_by={folder}/sound.py", f"--source=file:{folder}/sound.jsonl?schema={SCHEMA}"]
    damaged = f"--source=file:{folder}/damaged.jsonl?schema={SCHEMA}"
    return {
        "bad_expression": [f"--group_by={folder}/misspelt.py", sound[1], "--store=null:"],
        "missing_file": [sound[0], f"--source=file:{folder}/no.jsonl", "--store=null:"],
        "dead_letters": [sound[0], damaged, "--store=refusing:"],
        "sliding_tiles": [*sound, "--store=null:", "--layout=sliding"],
        "breaking_store": [*sound, f"--store=breaking:{folder}/opened"],
    }


def run_all(folder: Path, cases: list[str]) -> None:
    lines = command_lines(folder)
    for case in cases:
        name, _, masters = case.partition("=")
        for master in masters.split(","):
            (folder / "opened").unlink(missing_ok=True)
            flink = ["--runner=FlinkRunner", f"--flink_master={master}", "--parallelism=1"]
            print(f"==== {name} {master}", file=sys.stderr, flush=True)
            code = main(["run", *lines[name], *(flink if master != "direct" else [])])
            print(f"exit {code}", file=sys.stderr, flush=True)
            # Loaded by now; before the first command it would bring Beam in too early.
            from chronon_beam.io.dead_letters import log

            log._limit = log.RateLimit()


if __name__ == "__main__":
    run_all(Path(sys.argv[1]), sys.argv[2:])
    sys.stderr.flush()
    # Nothing that ends after the last case is any of its business.
    os._exit(0)
