"""How Spark's JVM starts quickly: from an archive of classes, and with the quick compiler alone.

What a short command waits for is mostly Java: it loads and checks 14,000 classes of Spark's jars,
and compiles code that will run a few times only. Java can instead map all classes into memory from
one file (class data sharing). `make_archive` makes this file once per Java and pyspark. A JVM
starts all the same where there is no such file, or Java cannot use it, only later.
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
"""Where archives are, in the cache directory."""

_C1_ALONE = "-XX:TieredStopAtLevel=1"


@dataclass
class Start:
    """What the program of this process wants of the JVMs that are started in it.

    Attributes:
        short: whether the JVM will work for seconds: then the compiler that makes the fastest code
            costs more than it saves.
        makes_archive: whether an archive that is missing is made, in the background, when this
            process ends. Commands want that; the workers of a cluster do not.
        class_list: where Java writes the names of the classes that it loads, for an archive.
    """

    short: bool = False
    makes_archive: bool = False
    class_list: Path | None = None


start = Start()


def start_flags(archive: Path | None) -> list[str]:
    """Java's flags, for the `start` that is wanted.

    Args:
        archive: the file to start from, which is there; None to start without.
    """
    flags = [_C1_ALONE] if start.short else []
    if start.class_list is not None:
        return [*flags, f"-XX:DumpLoadedClassList={start.class_list}"]
    if archive is not None:
        # The checksum makes Java leave a damaged file alone, for a twentieth of a second.
        flags += [f"-XX:SharedArchiveFile={archive}", "-XX:+VerifySharedSpaces"]
    return flags


def archive_path(jars: Path) -> Path | None:
    """Where the archive for this machine's Java and these jars is, or is to be.

    Args:
        jars: pyspark's folder of jars.

    Returns:
        None if there is no place to keep it.
    """
    said = [(jar.name, *_size_and_time(jar)) for jar in sorted(jars.glob("*.jar"))]
    made_of = repr((java_version(), java_home(), str(jars), said))
    key = blake2b(made_of.encode(), digest_size=8).hexdigest()
    try:
        return cache_directory() / FOLDER / f"{key}.jsa"
    except (OSError, RuntimeError):  # a home that cannot be written to, or none
        return None


def found_archive(jars: Path) -> Path | None:
    """The archive to start from, if there is one; it is marked as in use."""
    path = archive_path(jars)
    try:
        if path is not None:
            os.utime(path)
            return path
    except OSError:
        pass
    return None


def given_up(archive: Path) -> Path:
    """The file that says why there cannot be this archive, so that nobody tries again."""
    return archive.with_suffix(".failed")


def make_later(jars: Path) -> None:
    """Start a process of low priority that makes the archive, unless that has failed before."""
    archive = archive_path(jars)
    if archive is None or archive.exists() or given_up(archive).exists():
        return
    with suppress(OSError):
        archive.parent.mkdir(exist_ok=True)
        subprocess.Popen(
            # -P: what lies in the folder is not to be imported.
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
