"""The embedded KV store: one SQLite file, with one table per dataset.

With write-ahead logging, readers never wait for the writer and the writer never waits for readers.
Each batch is one transaction. Every thread of every process has its own connection, so that any
number of workers on one machine can write to one file; they take turns.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import lru_cache, partial
from pathlib import Path

from chronon_beam.api.plugins import refuse_unknown
from chronon_beam.api.records import MAX_MS, MIN_MS, GetRequest, PutRequest, StoredValue, TimedValue
from chronon_beam.io.kv_store import DatasetSize, KVStore, position_of
from chronon_beam.io.uri import local_path, parse_uri

_WAIT_S = 15.0
"""How long a writer waits for its turn."""

_CACHE_KIB = 16_384
"""The page cache of each connection."""

_CREATE = """
CREATE TABLE IF NOT EXISTS {table} (
    key BLOB NOT NULL, tile_size_ms INTEGER NOT NULL, start_ms INTEGER NOT NULL,
    position TEXT NOT NULL, ts_ms INTEGER NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (key, tile_size_ms, start_ms, position)
){form}"""
_BY_KEY = " WITHOUT ROWID"
# A read takes dozens of tiles of one key. In a table that is stored by key they are neighbours, and
# the read takes a quarter of the CPU. A write, whose tiles come in the order of time, takes an
# eighth more CPU and twice the log. Batch values are one per key, and may be long: their table is
# not stored by key.
_PUT = """
INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET ts_ms = excluded.ts_ms, value = excluded.value"""
_GET = """
SELECT value, start_ms FROM {table}
WHERE key = ? AND tile_size_ms = ? AND start_ms >= ? AND start_ms < ?
ORDER BY start_ms, position"""
_DROP = "DELETE FROM {table} WHERE start_ms < ?"
_DROP_TABLE = "DROP TABLE IF EXISTS {table}"
_SCAN = """
SELECT key, tile_size_ms, value, start_ms FROM {table}
ORDER BY key, tile_size_ms, start_ms, position"""

_HELD = """
SELECT COUNT(*), COUNT(DISTINCT key), MAX(start_ms) FROM {table}
WHERE start_ms >= ? AND start_ms < ?"""

_inherited: list[sqlite3.Connection] = []
"""Connections of the parent process: to close one after a fork would drop the parent's locks."""


class SqliteStore(KVStore):
    """Keeps its datasets in the file at `path`, which the first write makes.

    Args:
        path: the file; its folder must exist.

    Raises:
        FileNotFoundError: the folder does not exist.
        IsADirectoryError: the path is a folder.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._local = threading.local()
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._open: list[sqlite3.Connection] = []
        folder = Path(path).resolve().parent
        if not folder.is_dir():
            raise FileNotFoundError(f"sqlite:{path}: there is no folder {folder}: make it first")
        if Path(path).is_dir():
            raise IsADirectoryError(f"sqlite:{path} is a folder: name a file in it")

    def reach(self) -> None:
        """Raise PermissionError if the file, or the folder to make it in, is read-only."""
        place = self._path if Path(self._path).exists() else Path(self._path).resolve().parent
        if not os.access(place, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            raise PermissionError(f"sqlite:{self._path}: {place} cannot be written by this user")

    def files(self) -> list[str]:
        """The file, and those that SQLite keeps beside it."""
        return [f"{self._path}{end}" for end in ("", "-wal", "-shm", "-journal")]

    def create(self, dataset: str) -> None:
        """Make the dataset's table, and the file, if there is none.

        Raises:
            sqlite3.Error: it cannot be made; the message names the file.
        """
        connection = self._connection()
        try:
            connection.execute(_create(dataset))
        except sqlite3.Error as error:
            raise type(error)(self._explained(error)) from error

    def multi_put(self, requests: list[PutRequest]) -> list[str | None]:
        """One transaction; if it fails, each request by itself, to find the one it failed for."""
        connection = self._connection()
        try:
            self._put(connection, requests)
        except sqlite3.OperationalError as error:
            return [self._explained(error)] * len(requests)
        except (sqlite3.Error, OverflowError, TypeError) as error:
            if len(requests) == 1:
                return [str(error)]
            return [reason for each in requests for reason in self.multi_put([each])]
        return [None] * len(requests)

    def _put(self, connection: sqlite3.Connection, requests: list[PutRequest]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            for dataset, rows in _newest(requests).items():
                connection.execute(_create(dataset))
                connection.executemany(_PUT.format(table=_table(dataset)), rows)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        """Point in time reads by the primary key; raises FileNotFoundError if there is no file."""
        connection = self._existing()
        if len(requests) == 1:
            return [_get(connection, requests[0])]
        connection.execute("BEGIN")  # one snapshot and one lock for all requests
        try:
            return [_get(connection, each) for each in requests]
        finally:
            connection.execute("COMMIT")

    def scan(self, dataset: str) -> Iterator[StoredValue]:
        """One snapshot by key, tile size and time; raises FileNotFoundError if there is no file."""
        connection = self._existing()
        with suppress(_NoTable), closing(_select(connection, _SCAN, dataset, ())) as found:
            for key, size_ms, value, start_ms in found:
                yield StoredValue(key, size_ms, TimedValue(value, start_ms))

    def held(self, dataset: str, start_ms: int = MIN_MS, end_ms: int = MAX_MS) -> DatasetSize:
        """All are counted, by the index; raises FileNotFoundError if there is no file."""
        connection = self._existing()
        with (
            suppress(_NoTable),
            closing(_select(connection, _HELD, dataset, (start_ms, end_ms))) as found,
        ):
            return DatasetSize(*found.fetchone(), exact=True)
        return DatasetSize(0, 0, None, exact=True)

    def drop_before(self, dataset: str, before_ms: int) -> None:
        """One transaction; the file keeps its size, and later writes fill it."""
        self._connection().execute(_DROP.format(table=_table(dataset)), (before_ms,))

    def drop(self, dataset: str) -> None:
        """Drop the dataset's table; the file keeps its size, and later writes fill it."""
        if Path(self._path).is_file():
            self._connection().execute(_DROP_TABLE.format(table=_table(dataset)))

    def close(self) -> None:
        """Close the connections of all threads of this process."""
        self._leave_parents_connections()
        with self._lock:
            while self._open:
                self._open.pop().close()
            self._local = threading.local()

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return SqliteStore, (self._path,)

    def _existing(self) -> sqlite3.Connection:
        if not os.path.isfile(self._path):
            raise FileNotFoundError(
                f"there is no KV store at {self._path}: run a job with --store=sqlite:{self._path} "
                "first, or correct the path"
            )
        return self._connection()

    def _connection(self) -> sqlite3.Connection:
        self._leave_parents_connections()
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
            with self._lock:
                self._open.append(connection)
        return connection

    def _leave_parents_connections(self) -> None:
        if self._pid != os.getpid():
            _inherited.extend(self._open)
            self._open = []
            self._local = threading.local()
            self._lock = threading.Lock()  # another thread may have held it at the fork
            self._pid = os.getpid()

    def _connect(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                self._path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False
            )
            _use_write_ahead_log(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        except sqlite3.Error as error:
            raise type(error)(self._explained(error)) from error
        return connection

    def _explained(self, error: sqlite3.Error) -> str:
        """The error with the file it is about, and with what to do about a full disk."""
        is_full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        return f"SQLite file {self._path}: {error}{': make room on it' if is_full else ''}"


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch the log on; repeated here, because SQLite does not wait if two connections do it."""
    deadline_s = time.monotonic() + _WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline_s:
                raise
            time.sleep(0.02)


def _create(dataset: str) -> str:
    form = _BY_KEY if dataset.endswith("_STREAMING") else ""
    return _CREATE.format(table=_table(dataset), form=form)


class _NoTable(LookupError):
    """The dataset has never been written to."""


def _get(connection: sqlite3.Connection, request: GetRequest) -> list[TimedValue]:
    asked = (request.key_bytes, request.tile_size_ms, request.start_ms, request.end_ms)
    try:
        found = _select(connection, _GET, request.dataset, asked).fetchall()
    except _NoTable:
        return []
    return list(map(_timed_value, found))


_timed_value = partial(tuple.__new__, TimedValue)
"""As `TimedValue._make`, without its check of the length: a read makes dozens."""


def _select(
    connection: sqlite3.Connection, query: str, dataset: str, asked: tuple[bytes | int, ...]
) -> sqlite3.Cursor:
    try:
        return connection.execute(_of_dataset(query, dataset), asked)
    except sqlite3.OperationalError as error:
        if str(error).startswith("no such table"):
            raise _NoTable(dataset) from None
        raise


@lru_cache(maxsize=1024)
def _of_dataset(query: str, dataset: str) -> str:
    return query.format(table=_table(dataset))


def _table(dataset: str) -> str:
    escaped = dataset.replace('"', '""')
    return f'"{escaped}"'


def _newest(requests: list[PutRequest]) -> dict[str, list[tuple[bytes, int, int, str, int, bytes]]]:
    """The rows to write by dataset; of several writes of one tile only the last one."""
    slots: dict[str, dict[tuple[bytes, int, int, str], tuple[int, bytes]]] = {}
    for each in requests:
        slot = (each.key_bytes, each.tile_size_ms, each.tile_start_ms, position_of(each))
        slots.setdefault(each.dataset, {})[slot] = (each.ts_ms, each.value_bytes)
    return {
        dataset: [(*slot, *value) for slot, value in values.items()]
        for dataset, values in slots.items()
    }


def open_sqlite(uri: str) -> SqliteStore:
    """For `sqlite:PATH`.

    Raises:
        ValueError: a parameter, or no path.
        FileNotFoundError: the folder of the path does not exist.
    """
    parsed = parse_uri(uri)
    refuse_unknown(parsed.parameters, (), "sqlite:")
    return SqliteStore(local_path(parsed.location, uri))
