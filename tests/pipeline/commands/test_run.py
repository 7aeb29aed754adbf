"""`chronon-beam run`."""

import json
import re
import shlex
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from command_line import ALICE, ANN, EVENTS, ICE_CREAM, Cli, Flag

from chronon_beam.pipeline.command import next_steps


@pytest.mark.parametrize(
    ("flags", "written"),
    [
        ([], "5 tiles, 0 late events, 5 writes"),
        (["--tiling=untiled"], "0 tiles, 0 late events, 3 writes"),
        (["--layout=sliding"], "365 tiles, 0 late events, 365 writes"),
        (["--trigger=buffered:9000ms"], "2 tiles, 0 late events, 2 writes"),
    ],
)
def test_example_runs_and_its_features_are_fetched(
    chronon_beam: Cli, store: str, flags: list[str], written: str
) -> None:
    ran = chronon_beam("run", ICE_CREAM, EVENTS, store, *flags)
    assert written in ran.err
    assert (ran.code, ran.out) == (0, "")
    assert "3 events in " in ran.err
    assert "3 rows, 0 events filtered out, 0 dead letters" in ran.err
    assert "chronon-beam fetch --group_by" in ran.err
    fetched = chronon_beam("fetch", ICE_CREAM, store, "--key=customer_id=Alice", "--at=300000")
    assert (fetched.code, fetched.objects) == (0, [ALICE])


def test_second_run_into_the_same_store_changes_nothing(chronon_beam: Cli, store: str) -> None:
    for _ in range(2):
        assert chronon_beam("run", ICE_CREAM, EVENTS, store).code == 0
    fetched = chronon_beam("fetch", ICE_CREAM, store, "--key", "customer_id=Alice", "--at", "2000")
    assert fetched.objects == [ALICE]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--store=null:", "--streming"], "unknown flag --streming: did you mean --streaming?"),
        (["--stroe=x"], "the following arguments are required: --store: --stroe: did you mean"),
        (["--store=sqlite:/no/such/folder/f.db"], "there is no folder /no/such/folder"),
        (["--store=sqlit:f.db"], "no store is registered for 'sqlit"),
        (["--store=f.db"], "'f.db' has no scheme: write for example sqlite:f.db"),
        (["--store=null:", "--source=e.jsonl"], "write for example file:e.jsonl"),
        (["--store=null:", "--dead_letters=d.jsonl"], "write for example file:d.jsonl"),
        (["--store=null:", "--source=file:/no/such.jsonl"], "/no/such.jsonl"),
        (["--store=null:", "--trigger=never"], "--trigger: "),
        (["--store=null:", "--tiling=half"], "argument --tiling: invalid choice: 'half'"),
        (["--store=null:", "--group_by=/no/such.py"], "no file /no/such.py"),
        (["--store=null:", "--dead_letters=fiel:x"], "no dead-letter sink is registered for 'fiel"),
    ],
)
def test_wrong_use_of_run_says_what_to_do(
    chronon_beam: Cli, flags: list[str], message: str
) -> None:
    ran = chronon_beam("run", ICE_CREAM, EVENTS, *flags)
    assert message in ran.err
    assert ran.out == ""
    assert ran.code in (1, 2)
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("store", ["sqlit:f.db", "f.db", "sqlite:/no/such/folder/f.db"])
def test_wrong_store_is_reported_before_spark_plans(
    chronon_beam: Cli, declared: Flag, events: Flag, store: str
) -> None:
    # Spark would refuse the select; it is never asked.
    ran = chronon_beam(
        "run", declared(selects="'user', price='prcie'"), events(ANN), f"--store={store}"
    )
    assert ran.code in (1, 2)
    assert "cannot be resolved" not in ran.err
    assert store.removeprefix("sqlite:") in ran.err


@pytest.mark.parametrize("command", [["run"], ["upload", "--ds=2023-11-14"]])
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--runner=FlinkRuner"], "Beam has no such runner: did you mean FlinkRunner?"),
        (["--runner=Spork"], "Beam has no such runner"),
        (["--runner=PrismRunner"], "no prism on this machine"),
    ],
)
def test_wrong_runner_is_reported_before_spark_plans(
    chronon_beam: Cli,
    declared: Flag,
    events: Flag,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    flags: list[str],
    message: str,
) -> None:
    for name in ("PATH", "HOME", "GOBIN"):
        monkeypatch.setenv(name, "/nowhere")
    group_by = declared(selects="'user', price='prcie'")
    ran = chronon_beam(*command, group_by, events(ANN), "--store=null:", *flags)
    assert ran.code == 2
    assert message in ran.err
    assert "cannot be resolved" not in ran.err


def test_other_aggregations_in_the_store_are_reported_before_spark_plans(
    chronon_beam: Cli, store: str, declared: Flag, events: Flag
) -> None:
    assert chronon_beam("run", declared(), events(ANN), store).code == 0
    maximum = "Aggregation('price', Operation.MAX, [Window(6, TimeUnit.HOURS)])"
    changed = declared(maximum, selects="'user', price='prcie'")
    ran = chronon_beam("run", changed, events(ANN), store)
    assert (ran.code, "was written with other selects, aggregations" in ran.err) == (2, True)
    ran = chronon_beam("run", changed, events(ANN), store, "--existing=replace")
    assert "cannot be resolved" in ran.err


def test_whatever_starts_spark_says_so_and_how_long_it_took(tmp_path: Path) -> None:
    argv = ["plan", ICE_CREAM, EVENTS]
    command = [sys.executable, "-m", "chronon_beam.pipeline", *argv]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0
    starting, up = [line for line in ran.stderr.splitlines() if "Spark" in line]
    assert starting.startswith("starting Spark")
    assert re.fullmatch(r"Spark is up after \d+\.\d s", up)


@pytest.mark.parametrize("command", [["run"], ["upload", "--ds=2023-11-14"]])
def test_store_that_is_down_is_reported_before_spark_plans(
    chronon_beam: Cli,
    declared: Flag,
    events: Flag,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
) -> None:
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", "localhost:1")
    group_by = declared(selects="'user', price='prcie'")
    store = "--store=bigtable://shop/features?read_wait=300ms"
    ran = chronon_beam(*command, group_by, events(ANN), store)
    assert ran.code == 1
    assert "cannot be resolved" not in ran.err
    assert "look whether the emulator at localhost:1 is up" in ran.err.splitlines()[-1]


def test_changed_aggregations_are_refused_with_the_remedy(
    chronon_beam: Cli, store: str, declared: Flag, events: Flag
) -> None:
    assert chronon_beam("run", declared(), events(ANN), store).code == 0
    changed = declared("Aggregation('price', Operation.MAX, [Window(6, TimeUnit.HOURS)])")
    ran = chronon_beam("run", changed, events(ANN), store)
    assert ran.code == 2
    assert "T_OWN_STREAMING was written with other aggregations, " in ran.err
    assert "--existing=replace empties it and starts anew; another name or store" in ran.err
    ran = chronon_beam("fetch", changed, store, "--key=user=Ann", "--at=2000")
    assert ran.code == 2
    assert "written with other aggregations" in ran.err
    fetched = chronon_beam("fetch", declared(), store, "--key=user=Ann", "--at=2000")
    assert fetched.objects == [{"price_sum_6h": 2.5}]


def test_bad_events_go_to_the_dead_letters_and_the_others_on(
    chronon_beam: Cli,
    store: str,
    tmp_path: Path,
    declared: Flag,
    events: Flag,
) -> None:
    dead = tmp_path / "dead.jsonl"
    group_by = declared(more=", wheres=['price > 0']")
    source = events(
        ANN,
        "{not json",
        {**ANN, "price": "a lot"},
        {**ANN, "t": None},
        {**ANN, "price": -1.0},
        ANN,
    )
    ran = chronon_beam("run", group_by, source, store, f"--dead_letters=file:{dead}")
    assert ran.code == 0
    assert "2 rows, 1 events filtered out, 3 dead letters" in ran.err
    letters = [json.loads(line) for line in dead.read_text(encoding="utf-8").splitlines()]
    assert sorted(letter["position"] for letter in letters) == [2, 3, 4]
    by_position = {letter["position"]: letter for letter in letters}
    assert by_position[2]["step"] == "Decode"
    assert "the time column is null" in by_position[4]["reason"]
    fetched = chronon_beam("fetch", group_by, store, "--key=user=Ann", "--at=2000")
    assert fetched.objects == [{"price_sum_6h": 5.0}]


def test_job_that_breaks_has_failed_without_a_traceback(
    chronon_beam: Cli, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(pipeline: beam.Pipeline, *_: Any) -> None:
        _ = pipeline | beam.Create([0]) | beam.Map(lambda zero: 1 // zero)

    monkeypatch.setattr("chronon_beam.pipeline.parts.build", broken)
    ran = chronon_beam("run", ICE_CREAM, EVENTS, store)
    assert (ran.code, ran.out) == (1, "")
    assert "chronon-beam: the job failed: ZeroDivisionError: " in ran.err
    assert "Traceback" not in ran.err.rpartition("chronon-beam: ")[2]


def test_next_command_can_be_pasted_into_a_shell() -> None:
    store = "bigtable://shop/features?max_age=none&wait=1m"
    given = Namespace(group_by="my group.py", store=store)
    words = shlex.split(next_steps(given, ["user"]).splitlines()[0])
    assert words[-6:] == ["--group_by", "my group.py", "--store", store, "--key", "user=..."]
    assert f"'{store}'" in next_steps(given, ["user"])
