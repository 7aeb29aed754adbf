"""docs/extending.md: its examples are typed into a copy of this repository, and its commands run.

The laws of the tests that it names hold for the new operation and the new store.
"""

import os
import shutil
import subprocess
import sys
from itertools import chain, takewhile
from pathlib import Path
from subprocess import PIPE

from make_architecture import ROOMS
from pages import Block, blocks

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "extending.md"

DONE = "a command has succeeded\n"
COMMANDS = f"""
import shlex, sys
from chronon_beam.pipeline.cli import main
for line in sys.stdin:
    if code := main(shlex.split(line)[1:]):
        sys.exit(code)
    print({DONE!r}, end="", flush=True)
"""
"""A program that runs the commands of its lines of input, and ends when one fails."""


def copied(copy: Path) -> dict[str, str]:
    """Copy the repository; gives an environment in which `chronon_beam` is the copy."""
    for folder in (*ROOMS, "runner_configs", "tests", "docs", "examples"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    package = copy / "build" / "chronon_beam"
    package.mkdir(parents=True)
    for room in (*ROOMS, "runner_configs"):
        (package / room).symlink_to(copy / room)
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(package.parent), *sys.path])}


def type_in(block: Block, copy: Path) -> None:
    """Save a block: as a new file, at the end of one, or below the line that `after` is in."""
    name = block.named("file")
    assert name is not None, block.where
    path, after = copy / name, block.named("after")
    known = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    at = len(known)
    if after is not None:
        at = next(index for index, line in enumerate(known, start=1) if after in line)
    path.write_text("".join([*known[:at], block.text, *known[at:]]), encoding="utf-8")


def run(command: str, copy: Path, environment: dict[str, str]) -> None:
    """Run a command in the copy; without site packages' hooks, which would find the original."""
    done = subprocess.run(
        command.replace("python ", f"{sys.executable} -S ", 1),
        shell=True,
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


class Commands:
    """Runs commands of `chronon-beam` in the copy, in one process, where Spark starts once."""

    def __init__(self, copy: Path, environment: dict[str, str]) -> None:
        program = [sys.executable, "-S", "-c", COMMANDS]
        self._process = subprocess.Popen(
            program, cwd=copy, env=environment, stdin=PIPE, stdout=PIPE, text=True
        )

    def __enter__(self) -> "Commands":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.communicate()

    def run(self, command: str) -> str:
        """What a command prints, which must succeed."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        lines = [*takewhile(lambda line: line != DONE, self._process.stdout)]
        assert self._process.poll() is None, f"{command}\n{''.join(lines)}"
        return "".join(lines)


def test_what_the_page_adds_works(tmp_path: Path) -> None:
    environment = copied(tmp_path)
    page_blocks = [*blocks(PAGE)]
    for block in page_blocks:
        if block.language == "python":
            type_in(block, tmp_path)
    lines = [block.text.splitlines() for block in page_blocks if block.language == "sh"]
    said = {}
    with Commands(tmp_path, environment) as ours:
        for command in chain.from_iterable(lines):
            if command.startswith("chronon-beam "):
                said[command] = ours.run(command)
            else:
                run(command, tmp_path, environment)
    page = (tmp_path / "docs" / "operations.md").read_text(encoding="utf-8")
    assert "| SPREAD (airbnb) | the largest value less the smallest |" in page
    fetched = next(out for command, out in said.items() if command.startswith("chronon-beam fetch"))
    assert '"customer_id_count_6h": 34' in fetched


def test_files_touched_are_as_few_as_promised() -> None:
    """Three for an operation with its test; two for a serde with its test, and for places."""
    touched: dict[str, set[str]] = {}
    section = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line[3:]
        for word in line.split():
            if line.startswith("```python") and word.startswith("file="):
                touched.setdefault(section, set()).add(word)
    tests = {section: {f for f in found if "=tests/" in f} for section, found in touched.items()}
    assert len(touched["An operation"]) == 3
    assert len(touched["A serde"]) == 2
    assert len(touched["A source"]) == 2
    assert len(touched["A store"] - tests["A store"]) == 2
    assert len(touched["A place for dead letters"]) == 2
