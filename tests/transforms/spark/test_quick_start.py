"""The archive of Spark's classes: made once, used where it fits, and never a reason to fail."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import eventually

from chronon_beam.transforms.spark import launch, make_archive, quick_start
from chronon_beam.transforms.spark.java_runtime import java_home
from chronon_beam.transforms.spark.quick_start import (
    Start,
    archive_path,
    failure_file,
    find_archive,
    start_flags,
)

MAKE = [sys.executable, "-P", "-m", "chronon_beam.transforms.spark.make_archive"]
OF_FEW_CLASSES = """
import subprocess, sys
from pathlib import Path
from chronon_beam.transforms.spark import launch, make_archive
from chronon_beam.transforms.spark.java_runtime import java_home
from chronon_beam.transforms.spark.quick_start import start_flags

def start_java():
    java = [Path(java_home(), "bin", "java"), *launch.MEMORY, *launch.CLASS_PATH]
    subprocess.run([*java, *start_flags(None), "--version"], capture_output=True, check=True)

make_archive._use_spark = start_java
sys.exit(make_archive.main())
"""
"""Makes an archive without Spark's classes, which takes a twentieth of the time."""
UPPER = """
import pyarrow as pa
from chronon_beam.transforms.spark import quick_start
from chronon_beam.transforms.spark.compiled_query import SqlQuery, compile_query
quick_start.start.short = True
query = SqlQuery((("x", "upper(s)"),), (), (), pa.schema([("s", pa.string())]), ("x",))
batch = pa.RecordBatch.from_pydict({"s": ["a"]})
print(compile_query(query).evaluate(batch).rows.to_pydict())
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHRONON_BEAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / quick_start.FOLDER


@pytest.fixture
def archive(cache: Path) -> Path:
    path = archive_path(launch.JARS)
    assert path is not None
    assert path.parent == cache
    cache.mkdir(parents=True)
    return path


def java(archive: Path, *flags: str) -> "subprocess.CompletedProcess[bytes]":
    """Start Java from an archive, and no Spark in it."""
    found = [*launch.MEMORY, *launch.CLASS_PATH, *start_flags(archive), *flags, "--version"]
    return subprocess.run([Path(java_home(), "bin", "java"), *found], capture_output=True)


def can_start_from(archive: Path) -> bool:
    return java(archive, "-Xshare:on").returncode == 0


def starts_without(archive: Path) -> bool:
    """Whether Java leaves the archive alone, and says nothing of it."""
    ran = java(archive)
    return not can_start_from(archive) and (ran.returncode, ran.stderr) == (0, b"")


def run(program: str) -> tuple[str, str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    return done.stdout, done.stderr


def test_two_processes_make_one_archive_and_a_damaged_one_is_left_alone(archive: Path) -> None:
    (archive.parent / "left.part").write_text("an earlier process was killed")
    both = [subprocess.Popen([sys.executable, "-c", OF_FEW_CLASSES]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert sorted(path.name for path in archive.parent.iterdir()) == [archive.name, "lock"]
    assert can_start_from(archive)

    damaged = archive.with_name("damaged.jsa")
    data = bytearray(archive.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4096] = bytes(4096)
    damaged.write_bytes(data)
    assert starts_without(damaged)


def test_spark_starts_from_the_archive_that_every_command_uses() -> None:
    """It is made at most once per machine, by this test or by the command that was first."""
    archive = archive_path(launch.JARS)
    assert archive is not None
    assert eventually(lambda: archive_is_made(archive), 1800)
    assert can_start_from(archive)
    assert run(UPPER) == ("{'x': ['A']}\n", "")


def archive_is_made(archive: Path) -> bool:
    """Whether it is there now; it is made unless another process is making it."""
    if not archive.exists():
        assert subprocess.run(MAKE, check=False).returncode == 0
    assert not failure_file(archive).exists(), failure_file(archive).read_text()
    return archive.exists()


def test_what_is_no_archive_is_left_alone(archive: Path) -> None:
    archive.write_text("no archive")
    assert starts_without(archive)


def test_archive_that_a_jvm_dies_of_is_removed(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def demanding(found: Path | None) -> list[str]:
        return ["-Xshare:on", f"-XX:SharedArchiveFile={found}"] if found else []

    archive.write_text("no archive")
    monkeypatch.setattr(launch, "start_flags", demanding)
    jvm = launch.launch({}, launch.private_directory())
    try:
        assert jvm.process.poll() is None
        assert not archive.exists()
    finally:
        jvm.end()


def test_without_a_place_to_keep_it_spark_starts_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHRONON_BEAM_CACHE", "/dev/null/cache")
    monkeypatch.setattr(quick_start, "start", Start())
    assert archive_path(launch.JARS) is None
    assert make_archive.main() == 1
    monkeypatch.setattr(subprocess, "Popen", pytest.fail)
    quick_start.make_later(launch.JARS)
    assert find_archive(launch.JARS) is None
    assert start_flags(None) == []


def test_each_java_and_each_pyspark_has_its_own(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jars = tmp_path / "jars"
    jars.mkdir()
    found = [archive_path(jars)]
    (jars / "spark-core.jar").write_text("4.2")
    found.append(archive_path(jars))
    os.utime(jars / "spark-core.jar", (1, 1))
    found.append(archive_path(jars))
    assert archive_path(jars) == found[-1]
    monkeypatch.setattr(quick_start, "java_version", lambda: "another build")
    found.append(archive_path(jars))
    assert len(set(found)) == len(found)


def test_failure_is_noted_and_not_repeated(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("this Java cannot")

    monkeypatch.setattr(make_archive, "_write", fails)
    assert make_archive.main() == 1
    assert failure_file(archive).read_text() == "this Java cannot\n"
    monkeypatch.setattr(subprocess, "Popen", pytest.fail)
    quick_start.make_later(launch.JARS)
    assert make_archive.main() == 0


def test_archives_that_nobody_uses_are_removed(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used, unused = archive.with_name("used.jsa"), archive.with_name("unused.jsa")
    for path in (used, unused):
        path.touch()
    os.utime(unused, (1, 1))
    monkeypatch.setattr(make_archive, "_write", lambda path, _: path.touch())
    assert make_archive.main() == 0
    names = {path.name for path in archive.parent.iterdir()}
    assert names == {archive.name, used.name, "lock"}


@pytest.mark.parametrize("short", [True, False])
def test_short_commands_use_the_quick_compiler_alone(
    short: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quick_start, "start", Start(short=short))
    assert ("-XX:TieredStopAtLevel=1" in start_flags(None)) is short
