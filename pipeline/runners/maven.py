"""Jars from a Maven repository, pinned by a lock file.

Each line of the lock file is `group:artifact:version[:classifier][@extension] sha256`, as Gradle
writes coordinates; the extension is there for files that are not jars.

The jars come through Beam's own fetcher, so whatever makes Beam find its jars (a proxy, a mirror)
makes these found too.
"""

import hashlib
import logging
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import TimeoutError as NotYet
from multiprocessing.pool import ThreadPool
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from apache_beam.utils.subprocess_server import JavaJarServer

ATTEMPTS = 3
"""How often a jar is fetched before the fetch has failed, since transfers break."""

_THREADS = 8
_PROGRESS_INTERVAL_S = 2.0
_LINE = re.compile(
    r"(?P<coordinate>[^\s:]+:[^\s:]+:[^\s:]+(?::[^\s:]+)?)\s+(?P<sha256>[0-9a-f]{64})"
)


Say = Callable[[str], None]
"""Takes a line of progress."""


class FetchError(RuntimeError):
    """A jar cannot be had, or is not the one that the lock file names."""


class Jar(NamedTuple):
    """One file of a Maven repository, mostly a jar; `sha256` is None until it is known."""

    group: str
    artifact: str
    version: str
    classifier: str | None = None
    sha256: str | None = None
    extension: str = "jar"

    @property
    def coordinate(self) -> str:
        """`group:artifact:version[:classifier][@extension]`."""
        named = ":".join(filter(None, self[:4]))
        return named if self.extension == "jar" else f"{named}@{self.extension}"

    @property
    def url(self) -> str:
        """Where Maven Central has it."""
        jar = JavaJarServer.path_to_maven_jar(
            self.artifact,
            self.group,
            self.version,
            repository=JavaJarServer.MAVEN_CENTRAL_REPOSITORY,
            classifier=self.classifier,
        )
        return f"{jar.removesuffix('jar')}{self.extension}"


def parse_coordinate(coordinate: str) -> Jar:
    """A jar without checksum.

    >>> parse_coordinate("args4j:args4j:2.33").artifact
    'args4j'
    >>> parse_coordinate("io.apicurio:apicurio-registry-app:2.6.13.Final:all@tar.gz").extension
    'tar.gz'

    Raises:
        ValueError: if it is not `group:artifact:version[:classifier][@extension]`.
    """
    named, _, extension = coordinate.partition("@")
    parts = named.split(":")
    if len(parts) not in (3, 4) or not all(parts):
        raise ValueError(f"{coordinate!r} is not group:artifact:version[:classifier][@extension]")
    return Jar(*parts)._replace(extension=extension or "jar")


def read_lock(path: Path) -> list[Jar]:
    """The jars of a lock file, in its order; `#` starts a comment.

    Raises:
        ValueError: naming the file and the line that does not parse.
    """
    jars = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        found = _LINE.fullmatch(text)
        if found is None:
            raise ValueError(
                f"{path}:{number}: {text!r} is not "
                "`group:artifact:version[:classifier][@extension] sha256`"
            )
        jars.append(parse_coordinate(found["coordinate"])._replace(sha256=found["sha256"]))
    return jars


def write_lock(path: Path, jars: Iterable[Jar], comment: str) -> None:
    """Write a lock file, sorted by coordinate so that a new version shows as one changed line."""
    lines = [f"# {line}" for line in comment.splitlines()]
    lines += sorted(f"{jar.coordinate} {jar.sha256}" for jar in jars)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def fetch(jars: Sequence[Jar], directory: Path, say: Say | None = None) -> list[Path]:
    """Bring the jars into `directory`, in their order; those already there are only checked.

    Args:
        jars: what to fetch.
        directory: where they are kept.
        say: takes a line of progress every two seconds; stderr if None.

    Raises:
        FetchError: naming the jar that is missing or not what the lock file says.
    """
    directory.mkdir(parents=True, exist_ok=True)
    say = say or to_stderr
    paths: list[Path] = []
    # Threads of this pool are daemons: a Ctrl-C does not wait for downloads.
    with _quiet_beam(), ThreadPool(_THREADS) as threads:
        found = threads.imap(lambda jar: fetch_one(jar, directory), jars)
        said = time.monotonic()
        while len(paths) < len(jars):
            with suppress(NotYet):
                paths.append(found.next(timeout=_PROGRESS_INTERVAL_S))
            if time.monotonic() - said > _PROGRESS_INTERVAL_S:
                said = time.monotonic()
                say(f"  {len(paths)} of {len(jars)} jars, {_mebibytes(paths):,.0f} MB")
    return paths


def download(url: str, directory: Path, say: Say) -> str:
    """Bring one file without checksum into `directory`; gives its path.

    Args:
        url: the file.
        directory: where it is kept.
        say: takes a line of progress every two seconds.

    Raises:
        OSError, RuntimeError: whatever urllib and Beam's fetcher raise.
    """
    partial = directory / f"{url.rpartition('/')[2]}.tmp"
    with _quiet_beam(), ThreadPool(1) as thread:
        done = thread.apply_async(JavaJarServer.local_jar, (url, str(directory)))
        while True:
            with suppress(NotYet):
                return done.get(timeout=_PROGRESS_INTERVAL_S)
            say(f"  {_mebibytes([partial]):,.0f} MB")


def fetch_one(jar: Jar, directory: Path) -> Path:
    """Bring one jar into `directory`; a file cut short or damaged is fetched again.

    Raises:
        FetchError: if the repository does not give it, or gives another file.
    """
    found = ""
    for _ in range(ATTEMPTS):
        path = _download(jar, directory)
        found = sha256_of(path)
        if jar.sha256 in (None, found):
            return path
        path.unlink(missing_ok=True)
    raise FetchError(
        f"{jar.coordinate} has the checksum {found}, the lock file says {jar.sha256}: {jar.url} "
        "is not the jar that was tested. Look for a proxy or mirror that alters it."
    )


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _mebibytes(paths: Iterable[Path]) -> float:
    return sum(path.stat().st_size for path in paths if path.is_file()) / (1 << 20)


def to_stderr(line: str) -> None:
    """Print a line of progress where it cannot mix with results."""
    print(line, file=sys.stderr, flush=True)


def _download(jar: Jar, directory: Path) -> Path:
    """The jar's path in `directory`; raises FetchError if it is not there and cannot be fetched."""
    path = directory / jar.url.rpartition("/")[2]
    error: Exception | None = None
    for _ in range(ATTEMPTS):
        try:
            return path if path.exists() else _downloaded(jar.url, path)
        except (OSError, RuntimeError) as failed:
            error = failed
    raise FetchError(
        f"{jar.coordinate} cannot be fetched from {jar.url}: {error}. Check the network, or put "
        f"the file into {directory} yourself."
    )


def _downloaded(url: str, path: Path) -> Path:
    """Download with Beam's fetcher, which raises whatever urllib and sockets raise.

    Each process downloads into a folder of its own, because Beam's fetcher has one name for an
    unfinished file: two processes would write to the same file.
    """
    with TemporaryDirectory(dir=path.parent, prefix=".fetching-") as own:
        found = Path(JavaJarServer.local_jar(url, cache_dir=own))
        # A file of this machine is used where it is.
        return found.replace(path) if found.parent == Path(own) else found


@contextmanager
def _quiet_beam() -> Iterator[None]:
    """Without Beam's six-line warning for every jar that it fetches."""
    logger = logging.getLogger("apache_beam.utils.subprocess_server")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
