"""The jar of Beam's Flink job server: found, downloaded, or assembled from other jars.

Beam publishes a jar with each release, but not every package registry has it. Then the job server
for Flink 1.19 can be assembled from the jars of `flink_jar.lock`, by Python alone. Such a jar also
holds Flink's JobManager and TaskManager.

`python -m chronon_beam.pipeline.runners.flink_jar` finds or makes the jar and prints its path;
`... flink_jar --lock FILE` rewrites the lock file from a file with one coordinate per line.
"""

import hashlib
import os
import re
import struct
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from apache_beam.options.pipeline_options import FlinkRunnerOptions
from apache_beam.utils.subprocess_server import JavaJarServer
from apache_beam.version import __version__ as beam_version

from chronon_beam.pipeline.runners import flink_state, maven
from chronon_beam.transforms.spark.cache_directory import cache_directory

ASSEMBLED_VERSION = "1.19"
"""The Flink version of the lock file."""

JAR_VARIABLE = "CHRONON_BEAM_FLINK_JAR"
LOCK = Path(__file__).with_name("flink_jar.lock")
MAIN_CLASS = "org.apache.beam.runners.flink.FlinkJobServerDriver"

_LAYOUT = 2
"""To be raised when `assemble` changes, so that cached jars are made anew."""

_PROBE_TIMEOUT_S = 4.0
_LENGTHS_OFFSET = 26
"""Where a local zip header holds the lengths of the name and the extra field after it."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
_MANIFEST_NAME = "META-INF/MANIFEST.MF"
_MANIFEST = "Manifest-Version: 1.0\r\nMain-Class: {}\r\nMulti-Release: true\r\n\r\n"
_DROPPED = re.compile(
    r"META-INF/(MANIFEST\.MF|INDEX\.LIST|[^/]*\.(SF|DSA|RSA|EC))|(.*/)?module-info\.class"
)
_JOINED = re.compile(r"META-INF/services/[^/]+|reference\.conf")
_COMMENT = """\
The job server of Beam's Flink 1.19 runner: beam-runners-flink-1.19:2.70.0,
flink-statebackend-rocksdb:1.19.0, slf4j-simple, and all they need.
Rewrite it with: python -m chronon_beam.pipeline.runners.flink_jar --lock FILE"""


class NoJobServerJar(RuntimeError):
    """There is no job server jar; the message lists what was tried, and what to do."""


def job_server_jar(
    explicit: str | None, flink_version: str = ASSEMBLED_VERSION, say: maven.Say = maven.to_stderr
) -> tuple[str, str]:
    """Find, download or assemble the job server jar: (its path or URL, where it comes from).

    Args:
        explicit: the user's own jar; None looks at $CHRONON_BEAM_FLINK_JAR.
        flink_version: for example `1.19`.
        say: takes lines for the user: what was tried, and why it failed or what was found.

    Raises:
        NoJobServerJar: if there is none.
        FetchError: if one of the parts cannot be had.
    """
    named = explicit or os.environ.get(JAR_VARIABLE)
    if named:
        return _explicit(named, "--flink_job_server_jar" if explicit else f"${JAR_VARIABLE}")
    refused = []
    for way in (_assembled_before, _cached_by_beam, _published, _assembled_now):
        path, how = way(flink_version, say)
        if path:
            say(f"Flink job server: {how}: {path}")
            return path, how
        say(f"Flink job server: {how}")
        refused.append(how)
    raise NoJobServerJar(
        f"no job server jar for Flink {flink_version}: {'; '.join(refused)}. Take "
        f"--flink_version={ASSEMBLED_VERSION}, or download {_beam_url(flink_version)} and pass "
        "its path as --flink_job_server_jar."
    )


def assemble(jars: Sequence[Path], target: Path) -> None:
    """Merge jars into one that `java -jar` starts; the same jars give the same bytes.

    The first jar with a name wins, but service lists and Typesafe config defaults are joined.
    Signatures are dropped, as they sign another jar. The class that leaks state is cured (see
    `flink_state`).
    """
    joined: dict[str, list[bytes]] = {}
    with _new_jar(target, MAIN_CLASS) as merged:
        for jar in jars:
            _merge(jar, merged, joined)
        for name, contents in sorted(joined.items()):
            merged.writestr(zipfile.ZipInfo(name, _EPOCH), b"\n".join(contents) + b"\n")


def extend(jar: Path, target: Path, main_class: str, entries: Mapping[str, bytes]) -> None:
    """Write a jar with all that `jar` has, another main class, and more entries."""
    with _new_jar(target, main_class) as extended, zipfile.ZipFile(jar) as archive:
        for entry in archive.infolist():
            if entry.filename != _MANIFEST_NAME and entry.filename not in entries:
                _copy(archive, entry, extended)
        for name, content in entries.items():
            named = zipfile.ZipInfo(name, _EPOCH)
            named.compress_type = zipfile.ZIP_DEFLATED
            extended.writestr(named, content)


@contextmanager
def _new_jar(target: Path, main_class: str) -> Iterator[zipfile.ZipFile]:
    """A jar that is at `target` once it is whole; it begins with its manifest."""
    partial = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        with zipfile.ZipFile(partial, "w") as jar:
            jar.writestr(zipfile.ZipInfo(_MANIFEST_NAME, _EPOCH), _MANIFEST.format(main_class))
            yield jar
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _merge(jar: Path, merged: zipfile.ZipFile, joined: dict[str, list[bytes]]) -> None:
    with zipfile.ZipFile(jar) as archive:
        for entry in archive.infolist():
            name = entry.filename
            if entry.is_dir() or _DROPPED.fullmatch(name):
                continue
            if _JOINED.fullmatch(name):
                joined.setdefault(name, []).append(archive.read(name))
            elif name in merged.NameToInfo:
                continue
            elif name == flink_state.CLASS:
                cured = flink_state.cured(archive.read(name))
                merged.writestr(zipfile.ZipInfo(name, _EPOCH), cured)
            else:
                _copy(archive, entry, merged)


def _copy(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, merged: zipfile.ZipFile) -> None:
    """Copy the compressed bytes as they are: 70,000 entries in 2 s; inflating them takes 10."""
    source, sink = archive.fp, merged.fp
    assert source
    assert sink
    source.seek(entry.header_offset + _LENGTHS_OFFSET)
    source.seek(sum(struct.unpack("<HH", source.read(4))), os.SEEK_CUR)
    copy = zipfile.ZipInfo(entry.filename, _EPOCH)
    copy.compress_type, copy.CRC = entry.compress_type, entry.CRC
    copy.compress_size, copy.file_size = entry.compress_size, entry.file_size
    copy.header_offset = merged.start_dir
    sink.seek(merged.start_dir)
    sink.write(copy.FileHeader())
    sink.write(source.read(entry.compress_size))
    merged.start_dir = sink.tell()
    merged.filelist.append(copy)
    merged.NameToInfo[copy.filename] = copy


def _explicit(named: str, origin: str) -> tuple[str, str]:
    """The user's own choice is never replaced by another."""
    if "://" in named or Path(named).is_file():
        return named, f"given by {origin}"
    raise NoJobServerJar(f"{origin} is {named}, which is not a file: correct it, or leave it out.")


def _assembled_path() -> Path:
    """The place of the jar; its name changes with the lock file, so no stale jar is taken."""
    tag = hashlib.sha256(LOCK.read_bytes() + bytes([_LAYOUT])).hexdigest()[:12]
    return cache_directory() / f"flink-{ASSEMBLED_VERSION}-job-server-{tag}.jar"


def _assembled_before(flink_version: str, _say: maven.Say) -> tuple[str, str]:
    path = _assembled_path()
    if flink_version == ASSEMBLED_VERSION and path.is_file():
        return str(path), "assembled earlier"
    return "", "none assembled yet"


def _beam_url(flink_version: str) -> str:
    return JavaJarServer.path_to_beam_jar(f":runners:flink:{flink_version}:job-server:shadowJar")


def _cached_by_beam(flink_version: str, _say: maven.Say) -> tuple[str, str]:
    path = Path(JavaJarServer.JAR_CACHE, _beam_url(flink_version).rsplit("/", 1)[-1])
    if path.is_file():
        return str(path), "in Beam's jar cache"
    return "", "none in Beam's jar cache"


def _published(flink_version: str, say: maven.Say) -> tuple[str, str]:
    """Beam's own jar, if it can be downloaded.

    A HEAD request finds out whether it can: Beam's fetcher would take long for that.
    """
    if flink_version not in FlinkRunnerOptions.PUBLISHED_FLINK_VERSIONS:
        return "", f"Beam {beam_version} publishes none for Flink {flink_version}"
    url = _beam_url(flink_version)
    try:
        urllib.request.urlopen(
            urllib.request.Request(url, method="HEAD"), timeout=_PROBE_TIMEOUT_S
        ).close()
        say(f"Flink job server: downloading {url}")
        path = maven.download(url, Path(JavaJarServer.JAR_CACHE), say)
        return path, "published by Beam, downloaded"
    except (OSError, RuntimeError, ValueError) as error:
        return "", f"{url} cannot be downloaded ({error})"


def _assembled_now(flink_version: str, say: maven.Say) -> tuple[str, str]:
    if flink_version != ASSEMBLED_VERSION:
        return "", f"only Flink {ASSEMBLED_VERSION} can be assembled"
    locked, began = maven.read_lock(LOCK), time.monotonic()
    say(f"Flink job server: assembling it from {len(locked)} jars (200 MB, once)")
    jars = maven.fetch(locked, cache_directory() / "jars", say)
    fetched = time.monotonic()
    say(f"  fetched in {fetched - began:.0f} s, merging")
    target = _assembled_path()
    assemble(jars, target)
    return str(target), f"assembled in {time.monotonic() - began:.0f} s"


def lock(coordinates: Path) -> None:
    """Rewrite the lock file from a file with one coordinate per line, by fetching every jar."""
    lines = [line.split()[:1] for line in coordinates.read_text(encoding="utf-8").splitlines()]
    jars = [maven.parse_coordinate(line[0]) for line in lines if line and line[0][0] != "#"]
    paths = maven.fetch(jars, cache_directory() / "jars")
    sums = [maven.sha256_of(path) for path in paths]
    maven.write_lock(
        LOCK, [jar._replace(sha256=sha) for jar, sha in zip(jars, sums, strict=True)], _COMMENT
    )


def main(argv: Sequence[str]) -> None:
    """See the module."""
    if argv[:1] == ["--lock"]:
        lock(Path(argv[1]))
    else:
        print(job_server_jar(None, argv[0] if argv else ASSEMBLED_VERSION)[0])


if __name__ == "__main__":
    main(sys.argv[1:])
