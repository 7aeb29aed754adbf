"""The cure of the job server's leak: four bytes in one class, and nothing else."""

import zipfile
from pathlib import Path

import pytest

from chronon_beam.pipeline.runners import flink_jar
from chronon_beam.pipeline.runners.flink_state import (
    CLASS,
    ResidualNames,
    cured,
    residual_names,
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
