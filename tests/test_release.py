"""What a release holds: a wheel that works alone, and a source archive that it is made from."""

import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest
from installed import Installed
from make_architecture import ROOMS, ROOT

NOT_RELEASED = (
    *(".git", ".venv", ".cache", ".*_cache", ".hypothesis", "__pycache__"),
    *("build", "dist", "*.egg-info", "spark-warehouse", "metastore_db", "derby.log"),
    *("*.db*", "dead_letters*.jsonl"),
)
"""What git ignores in a checkout that has been worked in, and git's own folder."""


def files_of(folder: Path) -> Iterator[Path]:
    """The files of a folder and those below it, without what Python has compiled."""
    return (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, so that nothing is written into the folder that other tests run from."""
    copy = tmp_path_factory.mktemp("checkout") / "chronon-beam"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_RELEASED))
    return copy


@pytest.fixture(scope="module")
def release(checkout: Path) -> Path:
    """The folder with the wheel, which is made from the source archive, and the archive."""
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", "dist"]
    subprocess.run(build, cwd=checkout, check=True, stdout=subprocess.DEVNULL)
    return checkout / "dist"


@pytest.fixture(scope="module")
def wheel(release: Path) -> Path:
    (found,) = release.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    shutil.copytree(ROOT / "examples" / "ice_cream", folder, dirs_exist_ok=True)
    return Installed(wheel, folder)


def test_wheel_holds_every_file_of_the_package(checkout: Path, wheel: Path) -> None:
    expected = {
        f"chronon_beam/{path.relative_to(checkout).as_posix()}"
        for room in (*ROOMS, "runner_configs")
        for path in files_of(checkout / room)
    }
    found = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert found == expected


def test_source_archive_holds_every_file_of_the_checkout(checkout: Path, release: Path) -> None:
    (archive,) = release.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        found = {name.partition("/")[2] for name in opened.getnames()}
    expected = {path.relative_to(checkout).as_posix() for path in files_of(checkout)}
    made_or_git = {path for path in expected if path.startswith(("dist/", "chronon_beam.egg-info"))}
    assert expected - made_or_git - {".gitignore"} <= found


def test_version_is_said_once(installed: Installed, wheel: Path, release: Path) -> None:
    _, version, *_ = wheel.stem.split("-")
    assert installed.run("chronon-beam", "--version") == f"chronon-beam {version}\n"
    assert [path.name for path in release.glob("*.tar.gz")] == [f"chronon_beam-{version}.tar.gz"]


def test_wheel_works_alone(installed: Installed) -> None:
    where = "import chronon_beam.io, chronon_beam; print(*chronon_beam.__path__, sep='\\n')"
    assert installed.run("python", "-c", where).startswith(str(installed.folder))
    job = ("--group_by", "group_by.py", "--store", "sqlite:features.db")
    installed.run("chronon-beam", "run", *job, "--source", "file:events.jsonl")
    found = installed.run(
        "chronon-beam", "fetch", *job, "--key", "customer_id=Alice", "--at=300000"
    )
    assert json.loads(found) == {"customer_id_count_6h": 2, "flavor_last_6h": "olive oil"}


def test_wheel_drafts_a_group_by_for_a_file(installed: Installed) -> None:
    installed.run("chronon-beam", "init", "events.jsonl")
    assert "GroupBy(" in (installed.folder / "events.py").read_text(encoding="utf-8")
