"""`chronon-beam demo` as a user runs it: features come and change, and Ctrl-C leaves nothing."""

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from processes import eventually_none, processes_with
from waiting import eventually

WITHIN_S = 600.0
COMMAND = [sys.executable, "-m", "chronon_beam.pipeline", "demo", "--rate=200"]
COUNTS = re.compile(r"orders [\d,]+  stored [\d,]+  dead (\d+)  lag [\d,]+  fresh in \d+ ms")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for temporary files, with so short a name that Spark's sockets may be in it."""
    path = Path(tempfile.mkdtemp(prefix="demo-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def printed_command(text: str, name: str) -> list[str]:
    """The words of a command that the demo has printed."""
    begin = text.index(f"chronon_beam.pipeline {name} ")
    line = text.rfind("\n", 0, begin) + 1
    return shlex.split(text[line:].replace("\\\n", " ").split("\n")[0])


def fetched(command: list[str]) -> dict[str, object]:
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def dead_letters(printed: str) -> int:
    """How many there are by the last line of counts."""
    return int(COUNTS.findall(printed)[-1])


@dataclass
class Demo:
    """A demo, and what it has printed."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def printed(self) -> str:
        assert self.process.poll() is None, self.out.read_text() + self.err.read_text()
        return self.out.read_text()


@pytest.fixture
def demo(folder: Path, tmp_path: Path) -> Iterator[Demo]:
    out, err = tmp_path / "out", tmp_path / "err"
    process = subprocess.Popen(
        ["env", f"TMPDIR={folder}", *COMMAND],
        stdout=out.open("wb"),
        stderr=err.open("wb"),
        start_new_session=True,
        # A shell that runs tests in the background makes its children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    yield Demo(process, out, err)
    process.kill()


def test_features_change_and_nothing_stays(demo: Demo, folder: Path) -> None:
    assert eventually(lambda: bool(COUNTS.search(demo.printed())), WITHIN_S)
    fetch = printed_command(demo.printed(), "fetch")
    first = fetched(fetch)
    assert first["flavor_count_1h"] > 0
    assert eventually(lambda: fetched(fetch)["flavor_count_1h"] > first["flavor_count_1h"])
    assert eventually(lambda: dead_letters(demo.printed()) > 0)
    status = subprocess.run(
        printed_command(demo.printed(), "jobs"), capture_output=True, check=True
    )
    assert b"RUNNING" in status.stdout
    assert len(processes_with(str(folder))) >= 6, "guards, Kafka, the job, Flink, Spark"
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(WITHIN_S) == 130
    assert eventually_none(str(folder))
    assert list(folder.iterdir()) == []
    assert demo.err.read_text().endswith("chronon-beam: stopped\n")
