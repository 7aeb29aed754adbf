"""Dead letters in a SQLite file: one row each, in the table `dead_letters`."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any

from chronon_beam.api.records import Failure
from chronon_beam.io.dead_letters.json_line import (
    as_text,
    headers_of,
    headers_record,
    moment,
    ms_of,
    rest_of,
    with_rest,
)
from chronon_beam.io.dead_letters.letter import Letter
from chronon_beam.io.dead_letters.local import LocalDeadLetters

_WAIT_S = 15.0
"""How long a writer waits for its turn."""

_CREATE = """
CREATE TABLE IF NOT EXISTS dead_letters (
    time TEXT NOT NULL, group_by TEXT NOT NULL, step TEXT NOT NULL, error TEXT NOT NULL,
    reason TEXT NOT NULL, source TEXT NOT NULL, position INTEGER NOT NULL, event_time_ms INTEGER,
    key, payload NOT NULL, headers TEXT, rest TEXT NOT NULL, run TEXT NOT NULL, id TEXT NOT NULL,
    UNIQUE (id, run, step)
)"""
_PUT = f"INSERT OR IGNORE INTO dead_letters VALUES ({', '.join('?' * 14)})"
_READ = """
SELECT step, reason, payload, source, position, key, headers, event_time_ms, error, time, rest
FROM dead_letters ORDER BY rowid"""


class SqliteDeadLetters(LocalDeadLetters):
    """Adds letters to the table `dead_letters` of a file, in one transaction per batch.

    A letter that comes again, because a bundle was done again, is not added again. Key and payload
    are TEXT where they are UTF-8, else BLOB.

    Raises:
        FileNotFoundError, IsADirectoryError: see `LocalDeadLetters`.
    """

    def files(self) -> list[str]:
        """The file, and those that SQLite keeps beside it."""
        return [f"{self._path}{end}" for end in ("", "-wal", "-shm", "-journal")]

    def reach(self) -> None:
        """Make the table; raises ValueError if the file is not of SQLite."""
        try:
            SqliteWriter(self._path).close()
        except sqlite3.DatabaseError as error:
            raise ValueError(f"dead letters: {self._path} cannot be used: {error}") from None

    def opener(self) -> Callable[[], "SqliteWriter"]:
        """See `DeadLetters.opener`."""
        return partial(SqliteWriter, self._path)

    def read(self) -> Iterator[Letter]:
        """In the order in which they were written; raises FileNotFoundError if there is no file."""
        if not os.path.isfile(self._path):
            raise FileNotFoundError(f"dead letters: there is no file {self._path}")
        with closing(_connect(self._path)) as connection:
            yield from map(_letter, connection.execute(_READ))


class SqliteWriter:
    """Writes to the file at `path`; several may write at one time, and take turns."""

    def __init__(self, path: str) -> None:
        self._connection = _connect(path)
        self._connection.execute(_CREATE)

    def write(self, letters: Sequence[Letter]) -> None:
        """In one transaction."""
        with self._connection:
            self._connection.executemany(_PUT, map(_row, letters))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _connect(path: str) -> sqlite3.Connection:
    # Beam may tear a writer down in another thread than it was used in.
    return sqlite3.connect(path, timeout=_WAIT_S, check_same_thread=False)


def _row(letter: Letter) -> tuple[Any, ...]:
    failure = letter.failure
    return (
        moment(letter.failed_ms),
        letter.origin.group_by,
        failure.step,
        letter.error,
        _as_utf8(failure.reason),
        _as_utf8(failure.source),
        failure.position,
        failure.event_time_ms,
        None if failure.key is None else _as_text_or_blob(failure.key),
        _as_text_or_blob(failure.payload),
        as_text(headers_record(failure)) if failure.headers else None,
        json.dumps(rest_of(letter)),
        letter.origin.run,
        letter.id,
    )


def _letter(row: tuple[Any, ...]) -> Letter:
    step, reason, payload, source, position, key, headers, event_time_ms, error, time, rest = row
    failure = Failure(
        step,
        reason,
        _raw(payload),
        source,
        position,
        key=None if key is None else _raw(key),
        headers=headers_of(json.loads(headers)) if headers else (),
        event_time_ms=event_time_ms,
    )
    return with_rest(failure, error, ms_of(time), json.loads(rest))


def _as_utf8(text: str) -> str:
    """Text that SQLite takes: of an odd file name, a lone surrogate is written as an escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def _as_text_or_blob(value: bytes) -> str | bytes:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return value
    return value if "\0" in text else text  # the shell of SQLite shows a text up to its first zero


def _raw(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
