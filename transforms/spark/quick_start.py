"""Starts Spark's JVM quickly: from an archive of classes, and with Java's quick compiler alone.

A short command mostly waits for Java, which loads and checks 14,000 classes of Spark's jars, and
compiles code that will run a few times only. Java can instead map all classes into memory from one
file (class data sharing). `make_archive` makes this file once per Java and pyspark. Without such a
file, or if Java cannot use it, a JVM starts more slowly.
"""

import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from chronon_beam.transforms.spark.cache_directory import cache_directory
from chronon_beam.transforms.spark.java_runtime import java_home, java_version

FOLDER = "spark_classes"
"""The folder of the archives in the cache directory."""

_C1_ALONE = "-XX:TieredStopAtLevel=1"


@dataclass
class Start:
    """How the JVMs of this process are started; the program of the process sets it.

    Attributes:
        short: whether the JVM will work for seconds: then the compiler that makes the fastest code
            costs more than it saves.
        makes_archive: whether a missing archive is made in the background when this process ends.
            Commands set it; the workers of a cluster do not.
        class_list: where Java writes the names of the classes that it loads, for an archive.
    """

    short: bool = False
    makes_archive: bool = False
    class_list: Path | None = None


start = Start()


def start_flags(archive: Path | None) -> list[str]:
    """Java's flags, by the settings in `start`.

    Args:
        archive: the file to start from, which exists; None to start without a file.
    """
    flags = [_C1_ALONE] if start.short else []
    if start.class_list is not None:
        return [*flags, f"-XX:DumpLoadedClassList={start.class_list}"]
    if archive is not None:
        # Java checks the file's checksum, which takes 0.05 s, and does not use a damaged file.
        flags += [f"-XX:SharedArchiveFile={archive}", "-XX:+VerifySharedSpaces"]
    return flags


def archive_path(jars: Path) -> Path | None:
    """The path of the archive for this machine's Java and these jars, which may not exist yet.

    Args:
        jars: pyspark's folder of jars.

    Returns:
        None if there is no cache directory.
    """
    said = [(jar.name, *_size_and_time(jar)) for jar in sorted(jars.glob("*.jar"))]
    made_of = repr((java_version(), java_home(), str(jars), said))
    key = blake2b(made_of.encode(), digest_size=8).hexdigest()
    try:
        return cache_directory() / FOLDER / f"{key}.jsa"
    except (OSError, RuntimeError):  # a home that cannot be written to, or none
        return None


def find_archive(jars: Path) -> Path | None:
    """The archive to start from, if there is one; its time is set to now, as a mark of use."""
    path = archive_path(jars)
    try:
        if path is not None:
            os.utime(path)
            return path
    except OSError:
        pass
    return None


def failure_file(archive: Path) -> Path:
    """The file that says why the archive cannot be made; if it exists, no process tries again."""
    return archive.with_suffix(".failed")


def make_later(jars: Path) -> None:
    """Start a process of low priority that makes the archive, unless that has failed before."""
    archive = archive_path(jars)
    if archive is None or archive.exists() or failure_file(archive).exists():
        return
    with suppress(OSError):
        archive.parent.mkdir(exist_ok=True)
        subprocess.Popen(
            # -P: Python does not import from the current folder.
            [sys.executable, "-P", "-m", "chronon_beam.transforms.spark.make_archive"],
            cwd=archive.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def _size_and_time(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
