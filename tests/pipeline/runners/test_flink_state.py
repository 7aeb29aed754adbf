"""The cure of the job server's leak: four bytes in one class, and nothing else."""

import zipfile
from pathlib import Path

import pytest

from chronon_beam.pipeline.runners import flink_jar
from chronon_beam.pipeline.runners.flink_state import (
    CLASS,
    ResidualNames,
    check_savepoint,
    cured,
    residual_names,
    savepoint_names,
)

APPEND = b"\xb6\x00\x0e"
LEAKING = b"before" + b"\x2a" + APPEND + b"\x12\x0f" + APPEND + b"\x1b" + b"after"
CURED = b"before" + b"\0\0\0\0" + b"\x12\x0f" + APPEND + b"\x1b" + b"after"


def jar_of(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as jar:
        for name, content in entries.items():
            jar.writestr(name, content)
    return path


def test_the_bytes_that_append_the_id_become_no_ops() -> None:
    assert cured(LEAKING) == CURED


@pytest.mark.parametrize("other", [CURED, b"", LEAKING + LEAKING])
def test_another_class_is_not_touched(other: bytes) -> None:
    with pytest.raises(ValueError, match="where 1 is expected: the versions in flink_jar.lock"):
        cured(other)


@pytest.mark.parametrize(
    ("entries", "kind"),
    [
        ({CLASS: LEAKING}, ResidualNames.LEAKING),
        ({CLASS: CURED}, ResidualNames.SHARED),
        ({CLASS: b"another release"}, ResidualNames.BEAM),
        ({}, ResidualNames.BEAM),
    ],
)
def test_the_kind_of_a_jar_is_seen(
    tmp_path: Path, entries: dict[str, bytes], kind: ResidualNames
) -> None:
    assert residual_names(jar_of(tmp_path / "server.jar", entries)) is kind


def test_assembling_cures(tmp_path: Path) -> None:
    part = jar_of(tmp_path / "part.jar", {CLASS: LEAKING, "A.class": b"a"})
    flink_jar.assemble([part], tmp_path / "server.jar")
    with zipfile.ZipFile(tmp_path / "server.jar") as jar:
        assert jar.testzip() is None
        assert jar.read(CLASS) == CURED
        assert jar.read("A.class") == b"a"


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (b"..sdf_checkpoint::0..", ResidualNames.SHARED),
        (b"..sdf_checkpoint:17:0..", ResidualNames.LEAKING),
        (b"..another..", ResidualNames.BEAM),
    ],
)
def test_a_savepoint_is_taken_up_by_its_own_kind_of_job_server(
    tmp_path: Path, names: bytes, kind: ResidualNames
) -> None:
    savepoint = tmp_path / "savepoint-1"
    savepoint.mkdir()
    (savepoint / "_metadata").write_bytes(b"")
    (savepoint / "state").write_bytes(names)
    assert savepoint_names(str(savepoint)) is kind
    jar = str(jar_of(tmp_path / "server.jar", {CLASS: CURED}))
    check_savepoint(str(savepoint), jar, live=False)
    if kind is ResidualNames.SHARED:
        check_savepoint(savepoint.as_uri(), jar, live=True)
    else:
        with pytest.raises(ValueError, match=f"another kind .{kind.value}, this one is shared"):
            check_savepoint(str(savepoint), jar, live=True)


def test_a_savepoint_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="--savepoint_path=.*: there is no file in it"):
        savepoint_names(str(tmp_path))
