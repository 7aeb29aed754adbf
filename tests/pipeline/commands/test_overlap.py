"""Nothing is destroyed: an output that is an input is refused, however the two are written."""

import os
from pathlib import Path

import pytest
from command_line import ICE_CREAM, Ran, run

from chronon_beam.api.records import Failure
from chronon_beam.io.dead_letters.json_line import to_line
from chronon_beam.io.dead_letters.letter import Origin, letter_of
from chronon_beam.io.sources import open_source

LINE = b'{"customer_id": "Ann", "created": 1000}\n'
COMMANDS = [("run",), ("upload", "--ds=2023-11-14")]
BESIDE = [
    ("file:events/a.jsonl", "{here}/events/a.jsonl"),
    ("file:events/a.jsonl", "events/../events/./a.jsonl"),
    ("file:events/a.jsonl", "link.jsonl"),
    ("file:events/a.jsonl", "hard.jsonl"),
    ("file:link.jsonl", "events/a.jsonl"),
    ("file:linked/a.jsonl", "events/a.jsonl"),
    ("file:events/*.jsonl", "linked/b.jsonl"),
    ("file:{here}/events/*.jsonl", "events/new.jsonl"),
    ("file:ev*/?ew.jsonl", "events/new.jsonl"),
    ("file:linked/*.jsonl", "events/new.jsonl"),
    ("file:events/*.jsonl", "events/dangling.jsonl"),
    ("file:**.jsonl?format=jsonl", "events/deep/new.jsonl"),
    ("file:events", "events/deep/new.txt"),
    ("file:linked/", "events/a.jsonl"),
    ("file:events", "outside.jsonl"),
]
"""Sources, and outputs that are a part of them."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "events" / "deep").mkdir(parents=True)
    for name in ("a", "b"):
        (tmp_path / "events" / f"{name}.jsonl").write_bytes(LINE)
    (tmp_path / "outside.jsonl").write_bytes(b"")
    (tmp_path / "linked").symlink_to("events")
    (tmp_path / "link.jsonl").symlink_to("events/a.jsonl")
    os.link(tmp_path / "events/a.jsonl", tmp_path / "hard.jsonl")
    (tmp_path / "events/dangling.jsonl").symlink_to(tmp_path / "nowhere.jsonl")
    (tmp_path / "events/in.jsonl").symlink_to(tmp_path / "outside.jsonl")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def content(here: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in here.rglob("*") if path.is_file()}


def assert_refused(ran: Ran, here: Path, before: dict[str, bytes], *named: str) -> None:
    assert (ran.code, ran.out) == (2, "")
    assert content(here) == before
    for text in (*named, "write to a file elsewhere"):
        assert text in ran.err


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("source", "output"), BESIDE)
def test_store_that_is_a_part_of_the_source(
    capsys: pytest.CaptureFixture[str],
    here: Path,
    source: str,
    output: str,
    command: tuple[str, ...],
) -> None:
    source, output = source.format(here=here), output.format(here=here)
    before = content(here)
    ran = run(capsys, (*command, ICE_CREAM, f"--source={source}", f"--store=sqlite:{output}"))
    assert_refused(ran, here, before, f"--store=sqlite:{output}", f"--source={source}")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("source", "output"), BESIDE)
def test_dead_letters_that_are_a_part_of_the_source(
    capsys: pytest.CaptureFixture[str],
    here: Path,
    source: str,
    output: str,
    command: tuple[str, ...],
) -> None:
    source, output = source.format(here=here), f"--dead_letters=file:{output.format(here=here)}"
    for path in (here / "events").glob("[ab].jsonl"):  # to be read again
        failure = Failure("Decode", "not JSON", b"{", "a.jsonl", 1)
        path.write_bytes(to_line(letter_of(failure, Origin(), 0)))
    before = content(here)
    ran = run(capsys, (*command, ICE_CREAM, f"--source={source}", "--store=null:", output))
    assert_refused(ran, here, before, output, f"--source={source}")


@pytest.mark.parametrize(
    ("store", "dead_letters"),
    [
        ("f.db", "f.db"),
        ("f.db", "f.db-wal"),
        ("f.db", "{here}/linked/../f.db"),
        ("own.py", "dead.jsonl"),
        ("f.db", "own.py"),
    ],
)
def test_store_dead_letters_and_group_by_are_three_files(
    capsys: pytest.CaptureFixture[str], here: Path, store: str, dead_letters: str
) -> None:
    group_by = here / "own.py"
    group_by.write_bytes(Path(ICE_CREAM.partition("=")[2]).read_bytes())
    before = content(here)
    flags = (f"--store=sqlite:{store}", f"--dead_letters=file:{dead_letters.format(here=here)}")
    source = "--source=file:events/a.jsonl"
    ran = run(capsys, ("run", f"--group_by={group_by}", source, *flags))
    assert (ran.code, ran.out) == (2, "")
    assert content(here) == before
    assert "write to a file elsewhere" in ran.err or "name another file" in ran.err


@pytest.mark.parametrize(("source", "output"), BESIDE)
def test_trace_looks_into_no_store_that_is_a_part_of_the_source(
    capsys: pytest.CaptureFixture[str], here: Path, source: str, output: str
) -> None:
    source, output = source.format(here=here), output.format(here=here)
    before = content(here)
    ran = run(capsys, ("trace", ICE_CREAM, f"--source={source}", f"--store=sqlite:{output}"))
    assert_refused(ran, here, before, f"--source={source}")


def test_trace_does_not_print_into_its_own_source(
    capfd: pytest.CaptureFixture[str], here: Path
) -> None:
    kept = os.dup(1)
    try:
        with open(here / "events/b.jsonl", "ab") as file:
            os.dup2(file.fileno(), 1)
            ran = run(capfd, ("trace", ICE_CREAM, "--source=file:events/*.jsonl"))
    finally:
        os.dup2(kept, 1)
        os.close(kept)
    assert ran.code == 2
    assert "standard output: " in ran.err
    assert (here / "events/b.jsonl").read_bytes() == LINE


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("file:events", "events/_dead.jsonl"),
        ("file:events/*.jsonl", "events/.dead.jsonl"),
        ("file:events/*.jsonl", "events/dead.txt"),
        ("file:events/*.jsonl", "events/deep/dead.jsonl"),
        ("file:events/a.jsonl", "events/dead.jsonl"),
        ("file:events", "events2.jsonl"),
    ],
)
def test_what_the_source_does_not_take_is_let_pass(here: Path, source: str, output: str) -> None:
    assert open_source(source).takes([output, f"{here}/{output}"]) == []
