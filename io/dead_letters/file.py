"""Dead letters in a local file: one JSON object per line."""

import fcntl
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import apache_beam as beam

from chronon_beam.api.records import Failure
from chronon_beam.io.dead_letters.json_line import from_line, to_line
from chronon_beam.io.dead_letters.letter import MOST_BYTES, Letter
from chronon_beam.io.dead_letters.local import LocalDeadLetters

_log = logging.getLogger(__name__)


class FileDeadLetters(LocalDeadLetters):
    """Adds letters to a local file, one JSON object per line, at the end of each bundle.

    Jobs add to the dead letters of earlier jobs, which stay in the file; `time` and `run` of a line
    tell them apart. The file is made when the pipeline is built. Workers on other machines write to
    a file of this path there.

    Raises:
        FileNotFoundError, IsADirectoryError: see `LocalDeadLetters`.
        ValueError: the file holds other things than dead letters.
    """

    def __init__(self, path: str, most_bytes: int = MOST_BYTES) -> None:
        super().__init__(path, most_bytes)
        if Path(path).is_file() and not _holds_dead_letters(path):
            raise ValueError(
                f"dead letters: {path} holds other things than dead letters, which are added "
                "to what a file holds: name another file"
            )

    def files(self) -> list[str]:
        """The one file."""
        return [self._path]

    def opener(self) -> Callable[[], "FileWriter"]:
        """See `DeadLetters.opener`."""
        return partial(FileWriter, self._path)

    def read(self) -> Iterator[Letter]:
        """The letter of each line that is whole; raises FileNotFoundError."""
        with open(self._path, "rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield from_line(line)
                except ValueError:
                    # A job was killed while it wrote the line. Its bundle was done again.
                    _log.warning("%s:%d is not a whole dead letter", self._path, number)

    def expand(self, failures: beam.PCollection[Failure]) -> beam.PCollection[None]:
        """An empty PCollection."""
        append_lines(self._path, [])
        return super().expand(failures)


class FileWriter:
    """Appends lines to the file at `path`."""

    def __init__(self, path: str) -> None:
        self._path = path

    def write(self, letters: Sequence[Letter]) -> None:
        """In one write."""
        append_lines(self._path, map(to_line, letters))

    def close(self) -> None:
        """Nothing is open."""


def _holds_dead_letters(path: str) -> bool:
    """Whether a file is empty, or begins with a dead letter."""
    with open(path, "rb") as file:
        first = file.readline()
    try:
        return not first or bool(from_line(first))
    except ValueError:
        return False


def append_lines(path: str, lines: Iterable[bytes]) -> None:
    """Append lines while no other writer does, so that lines of several writers never mix.

    The file is made if there is none. A last line without an end, which a full disk or a killed
    process has left, is ended first: else it would spoil the line behind it.

    Raises:
        OSError: the file cannot be written, or only a part of the lines; the error names the file.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # released when the file is closed
        ended = b"" if _ends_with_a_line(descriptor) else b"\n"
        data = memoryview(ended + b"".join(lines))
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(descriptor)


def _ends_with_a_line(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
