"""What the demo refuses, what it says when a part fails, and what it leaves then."""

import io
import socket
from pathlib import Path

import pytest
from waiting import eventually

from chronon_beam.pipeline.cli import main
from chronon_beam.pipeline.demo import folder as folders
from chronon_beam.pipeline.demo.folder import DemoFailed, DemoFolder, opened_folder
from chronon_beam.pipeline.demo.job_process import JobProcess
from chronon_beam.pipeline.demo.screen import Screen


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(path))
    return path


def test_port_of_another_program(capsys: pytest.CaptureFixture[str], temporary: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["demo", f"--port={port}"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"chronon-beam: --port={port}: Address already in use")
    assert "leave --port out" in err
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("flag", ["--rate=0", "--rate=fast", "--seconds=-1", "--port=x"])
def test_numbers_that_are_none(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["demo", flag])
    assert stopped.value.code == 2
    assert flag.partition("=")[0] in capsys.readouterr().err


def test_folder_that_is_there_is_not_touched(
    tmp_path: Path, temporary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").touch()
    assert main(["demo", f"--keep={tmp_path}"]) == 2
    assert "there already" in capsys.readouterr().err
    assert {each.name for each in tmp_path.iterdir()} == {"mine", temporary.name}
    assert not list(temporary.iterdir())


def test_disk_without_room(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(folders, "_FOLDER_MIB", 1 << 40)
    assert main(["demo"]) == 1
    assert "are needed: make room, or choose another place with TMPDIR" in capsys.readouterr().err
    assert not list(temporary.iterdir())


def test_folder_goes_with_the_demo(temporary: Path) -> None:
    with opened_folder(None) as folder:
        assert folder.group_by.is_file()
        folder.job_log.write_text("fine")
    assert not list(temporary.iterdir())


def test_folder_stays_if_the_user_wants_it(tmp_path: Path, temporary: Path) -> None:
    with opened_folder(str(tmp_path / "kept")) as folder:
        folder.job_log.write_text("fine")
    assert folder.job_log.read_text() == "fine"
    assert not list(temporary.iterdir())


def test_logs_stay_if_the_job_has_ended(temporary: Path) -> None:
    with pytest.raises(DemoFailed, match="exit code 2; it said last: .*'no-command'") as failed:
        run_to_its_end(["no-command"])
    (kept,) = temporary.iterdir()
    log = kept / "job.log"
    assert str(failed.value).endswith(f". The logs are kept: {log}")
    assert "invalid choice" in log.read_text()
    assert not (kept / "tmp").exists()


def run_to_its_end(arguments: list[str]) -> None:
    with opened_folder(None) as folder, JobProcess(arguments, folder) as job:
        assert eventually(lambda: has_ended(job))
        job.check()


def has_ended(job: JobProcess) -> bool:
    try:
        return job.check() is not None
    except DemoFailed:
        return True


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_that_stay_are_above_live_ones() -> None:
    terminal = Terminal()
    with Screen(terminal) as screen:
        assert screen.is_due
        screen.show(["counts 1", "features 1"])
        assert not screen.is_due
        screen.say("stays")
        screen.show(["counts 2", "features 2"])
    printed = terminal.getvalue()
    assert "stays\n" in printed
    assert printed.index("counts 1") < printed.index("stays") < printed.index("counts 2")
    assert "\r" in printed
    assert printed.endswith("counts 2\nfeatures 2\n")


def test_lines_are_plain_where_there_is_no_terminal() -> None:
    to = io.StringIO()
    with Screen(to) as screen:
        screen.say("stays")
        screen.show([])
        screen.show(["counts 1", "features 1"])
    assert to.getvalue() == "stays\ncounts 1\nfeatures 1\n"


def test_folder_has_a_group_by_that_loads(tmp_path: Path) -> None:
    from chronon_beam.api.load import load_group_by

    (tmp_path / "demo").mkdir()
    folder = DemoFolder(tmp_path / "demo", tmp_path / "demo" / "tmp")
    group_by = load_group_by(str(folder.group_by))
    assert group_by.name == "shop.orders.by_customer"
    assert group_by.keys == ("customer_id",)
