"""The `chronon-beam` command: what holds for every command."""

import os
import subprocess
import sys
from importlib.metadata import version
from typing import Any

import pytest
from command_line import EVENTS, ICE_CREAM, Cli

from chronon_beam.pipeline.cli import commands_by_name
from chronon_beam.pipeline.command import CommandGroup


def test_no_command_and_a_wrong_one_are_wrong_use(chronon_beam: Cli) -> None:
    assert chronon_beam().code == 2
    ran = chronon_beam("fecth")
    assert ran.code == 2
    assert "fetch" in ran.err


@pytest.mark.parametrize("command", commands_by_name())
def test_help_shows_an_example(chronon_beam: Cli, command: str) -> None:
    ran = chronon_beam(command, "--help")
    assert ran.code == 0
    assert f"example:\n  chronon-beam {command} " in ran.out
    if "--group_by" in ran.out:
        assert "examples/" in ran.out
    assert all(len(line) <= 100 for line in ran.out.splitlines() if "usage" not in line)


GROUPS = [
    (group, name)
    for group, command in commands_by_name().items()
    if isinstance(command, CommandGroup)
    for name in command.commands
]


@pytest.mark.parametrize(("group", "name"), GROUPS)
def test_help_of_a_command_in_a_group_shows_an_example(
    chronon_beam: Cli, group: str, name: str
) -> None:
    ran = chronon_beam(group, name, "--help")
    assert (ran.code, f"example:\n  chronon-beam {group} {name} " in ran.out) == (0, True)
    ran = chronon_beam(group, name, "--hepl")
    assert (ran.code, "--hepl: did you mean --help?" in ran.err) == (2, True)


def test_group_without_a_command_is_wrong_use(chronon_beam: Cli) -> None:
    ran = chronon_beam("jobs")
    assert (ran.code, "the following arguments are required: COMMAND" in ran.err) == (2, True)


@pytest.mark.parametrize("command", ["fetch", "trace"])
def test_flags_of_beam_are_refused_where_no_job_takes_them(chronon_beam: Cli, command: str) -> None:
    needed = ["--store=null:", "--key=customer_id=Alice"] if command == "fetch" else [EVENTS]
    ran = chronon_beam(command, ICE_CREAM, *needed, "--streaming")
    assert (ran.code, ran.out) == (2, "")
    assert "unknown argument '--streaming'" in ran.err


def test_version_is_that_of_the_package(chronon_beam: Cli) -> None:
    ran = chronon_beam("--version")
    assert (ran.code, ran.out, ran.err) == (0, f"chronon-beam {version('chronon-beam')}\n", "")


def test_package_is_the_command() -> None:
    command = [sys.executable, "-m", "chronon_beam.pipeline"]
    ran = subprocess.run([*command, "fecth"], capture_output=True, text=True)
    assert ran.returncode == 2
    assert ran.stderr.startswith("usage: chronon-beam ")


NO_STORE = ["fetch", ICE_CREAM, "--store=memory:none", "--key=customer_id=Alice"]


@pytest.mark.parametrize(
    ("argv", "not_needed"),
    [
        (["run", "--help"], {"apache_beam", "pyspark", "pyarrow", "numpy", "fastavro"}),
        (NO_STORE, {"apache_beam", "pyspark"}),
        (["jobs", "list", "--flink_master=127.0.0.1:1"], {"apache_beam", "pyspark", "pyarrow"}),
    ],
)
def test_command_starts_without_modules_that_it_does_not_need(
    argv: list[str], not_needed: set[str]
) -> None:
    program = (
        "import sys\n"
        "from chronon_beam.pipeline.cli import main\n"
        f"try:\n    main({argv})\nexcept SystemExit:\n    pass\n"
        "print(*sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    imported = {name.partition(".")[0] for name in ran.stdout.splitlines()[-1].split()}
    assert "chronon_beam" in imported
    assert not imported & not_needed


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("chronon-beam f", {"fetch"}),
        ("chronon-beam fetch --st", {"--store", "--status"}),
        ("chronon-beam run --layout ", {"tumbling", "sliding"}),
    ],
)
def test_shell_completes_commands_flags_and_choices(typed: str, offered: set[str]) -> None:
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": "/dev/stdout",
        "COMP_LINE": typed,
        "COMP_POINT": str(len(typed)),
    }
    command = [sys.executable, "-m", "chronon_beam.pipeline"]
    ran = subprocess.run(command, env=os.environ | asked, capture_output=True, text=True)
    assert {word.strip() for word in ran.stdout.split("\v") if word.strip()} >= offered


def test_interrupted_command_has_failed(chronon_beam: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("chronon_beam.pipeline.describe.describe", interrupted)
    ran = chronon_beam("plan", ICE_CREAM)
    assert (ran.code, ran.err) == (130, "chronon-beam: stopped\n")
