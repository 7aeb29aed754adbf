"""The SQLite store: its file, threads and processes; `test_kv_store` runs the contract."""

import os
import pickle
import sqlite3
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from chronon_beam.api.records import GetRequest, PutRequest, TimedValue
from chronon_beam.io.kv_store import DatasetSize
from chronon_beam.io.sqlite import SqliteStore, open_sqlite
from chronon_beam.io.write import Write, failed_write


def put(number: int, value: bytes = b"v", dataset: str = "D") -> PutRequest:
    return PutRequest(b"k%d" % number, value, dataset, 1, 0, 5)


def get(number: int) -> GetRequest:
    return GetRequest(b"k%d" % number, "D", 0, 9, 5)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "s.db")


def test_missing_file_says_how_to_make_one(path):
    store = SqliteStore(path)
    for read in (lambda: store.multi_get([get(1)]), lambda: list(store.scan("D"))):
        with pytest.raises(FileNotFoundError, match=f"no KV store at {path}: run a job"):
            read()
    assert not os.path.exists(path)


def test_missing_folder_and_folder_instead_of_file_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder .*no"):
        open_sqlite(f"sqlite:{tmp_path}/no/s.db")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        open_sqlite(f"sqlite:{tmp_path}")


def test_file_of_another_kind_is_named(tmp_path):
    (tmp_path / "a.txt").write_text("hello, this is no database " * 50)
    with pytest.raises(sqlite3.DatabaseError, match=r"a\.txt: file is not a database"):
        open_sqlite(f"sqlite:{tmp_path}/a.txt").create("D")


def fill_disk(monkeypatch: pytest.MonkeyPatch, pages: int) -> None:
    """Let files of stores that are opened from now on have so many pages of 4 KiB and no more."""
    connect = SqliteStore._connect

    def limited(store: SqliteStore) -> sqlite3.Connection:
        connection = connect(store)
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    monkeypatch.setattr(SqliteStore, "_connect", limited)


def test_what_a_full_disk_refuses_is_a_dead_letter_and_written_once_there_is_room(
    path, monkeypatch, tmp_path
):
    requests = [put(number, bytes([number]) * 3000) for number in range(100)]
    batched = [requests[at : at + 25] for at in range(0, 100, 25)]
    dead = tmp_path / "dead"
    with monkeypatch.context() as full:
        fill_disk(full, 40)
        with beam.Pipeline(runner=FnApiRunner()) as root:
            batches = root | beam.Create(batched, reshuffle=False)
            failures = (batches | Write(f"sqlite:{path}", "D")).failures
            lines = failures | beam.Map(lambda each: f"{each.reason}\t{each.payload.decode()}")
            _ = lines | beam.io.WriteToText(str(dead), shard_name_template="")
    letters = [line.split("\t") for line in dead.read_text().splitlines()]
    store = SqliteStore(path)
    there = {each.key_bytes for each in store.scan("D")}
    refused = [failed_write(payload.encode()) for _, payload in letters]
    assert 0 < len(there) < len(requests)
    assert {reason for reason, _ in letters} == {
        f"SQLite file {path}: database or disk is full: make room on it"
    }
    assert {each.key_bytes for each in requests} - there == {each.key_bytes for each in refused}
    assert store.multi_put(refused) == [None] * len(refused)
    values = {each.key_bytes: each.value.value_bytes for each in store.scan("D")}
    assert values == {each.key_bytes: each.value_bytes for each in requests}


def test_job_that_starts_on_a_full_disk_is_told_which(path, monkeypatch):
    fill_disk(monkeypatch, 1)
    with pytest.raises(sqlite3.OperationalError, match=f"{path}: database or disk is full"):
        SqliteStore(path).create("D")


def test_request_that_cannot_be_stored_fails_alone(path):
    store = SqliteStore(path)
    reasons = store.multi_put([put(1), put(2)._replace(ts_ms=2**70), put(3)])
    assert reasons[0] is reasons[2] is None
    assert "too large" in (reasons[1] or "")
    assert [each.key_bytes for each in store.scan("D")] == [b"k1", b"k3"]


def test_dataset_names_of_any_kind(path):
    store = SqliteStore(path)
    name = 'my "odd".name; DROP TABLE'
    store.multi_put([put(1, dataset=name)])
    assert len(list(store.scan(name))) == 1


OLD_FILE = """
CREATE TABLE "T_STREAMING" (
    key BLOB NOT NULL, tile_size_ms INTEGER NOT NULL, start_ms INTEGER NOT NULL,
    position TEXT NOT NULL, ts_ms INTEGER NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (key, tile_size_ms, start_ms, position)
);
INSERT INTO "T_STREAMING" VALUES
    (x'6b32', 5, 10, '', 10, x'02'), (x'6b31', 5, 5, '', 5, x'01'), (x'6b31', 5, 0, '', 0, x'00'),
    (x'6b31', 0, 7, 'b@2', 7, x'0b'), (x'6b31', 0, 7, 'a@1', 7, x'0a');
"""
"""What earlier versions made: tables of tiles with rowids, in the order of their first write."""


def test_file_whose_tiles_have_rowids_is_read_and_written_as_any_other(path):
    with closing(sqlite3.connect(path)) as earlier:
        earlier.executescript(OLD_FILE)
    store = SqliteStore(path)
    tiles = GetRequest(b"k1", "T_STREAMING", 0, 9, 5)
    rows = tiles._replace(tile_size_ms=0)
    assert store.multi_get([tiles, rows]) == [
        [TimedValue(b"\0", 0), TimedValue(b"\1", 5)],
        [TimedValue(b"\x0a", 7), TimedValue(b"\x0b", 7)],
    ]
    store.create("T_STREAMING")
    again = PutRequest(b"k1", b"again", "T_STREAMING", 6, 5, 5)
    assert store.multi_put([again, again._replace(tile_start_ms=8)]) == [None, None]
    assert store.multi_get([tiles])[0][1:] == [TimedValue(b"again", 5), TimedValue(b"again", 8)]
    assert [(key, size, at) for key, size, (_, at) in store.scan("T_STREAMING")] == [
        *((b"k1", 0, 7), (b"k1", 0, 7), (b"k1", 5, 0), (b"k1", 5, 5), (b"k1", 5, 8)),
        (b"k2", 5, 10),
    ]
    assert store.held("T_STREAMING") == DatasetSize(6, 2, 10, exact=True)
    store.drop_before("T_STREAMING", 8)
    assert [each.value.ts_ms for each in store.scan("T_STREAMING")] == [8, 10]
    store.drop("T_STREAMING")
    assert store.multi_put([again]) == [None]
    assert store.multi_get([tiles]) == [[TimedValue(b"again", 5)]]
    store.close()


def test_reader_sees_the_last_commit_while_a_writer_is_busy(path):
    store, writer = SqliteStore(path), sqlite3.connect(path, isolation_level=None)
    store.multi_put([put(1, b"old")])
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE D SET value = 'new'")
    assert store.multi_get([get(1)]) == [[TimedValue(b"old", 0)]]
    assert len(list(store.scan("D"))) == 1
    writer.execute("COMMIT")
    writer.close()


def test_scan_left_halfway_does_not_hinder_writing(path):
    store = SqliteStore(path)
    store.multi_put([put(i) for i in range(10)])
    scan = store.scan("D")
    next(scan)
    assert store.multi_put([put(1, b"new")]) == [None]
    assert store.multi_get([get(1)]) == [[TimedValue(b"new", 0)]]


def test_threads_write_and_read_one_store(path):
    store = SqliteStore(path)

    def work(thread: int) -> None:
        for batch in range(10):
            numbers = [thread * 1000 + batch * 10 + i for i in range(10)]
            assert store.multi_put([put(number) for number in numbers]) == [None] * 10
            assert all(store.multi_get([get(number) for number in numbers]))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    assert len(list(store.scan("D"))) == 400
    store.close()
    assert not os.path.exists(path + "-wal")


WRITER = """
import sys
from chronon_beam.api.records import PutRequest
from chronon_beam.io.sqlite import SqliteStore
path, worker = sys.argv[1], int(sys.argv[2])
store = SqliteStore(path)
store.create("D")
for batch in range(10):
    puts = [PutRequest(b"%d-%d-%d" % (worker, batch, i), b"v", "D", 1, 0, 5) for i in range(20)]
    assert store.multi_put(puts) == [None] * 20
store.close()
"""


def test_processes_that_start_together_write_one_file(path):
    workers = [
        subprocess.Popen([sys.executable, "-c", WRITER, path, str(worker)]) for worker in range(3)
    ]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    assert len(list(SqliteStore(path).scan("D"))) == 600


def test_store_works_on_both_sides_of_a_fork(path):
    store = SqliteStore(path)
    store.multi_put([put(1)])
    child = os.fork()
    if child == 0:
        # No assert here: a failing child must not run the rest of pytest.
        os._exit(0 if store.multi_put([put(2)]) == [None] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.multi_put([put(3)]) == [None]
    assert len(list(store.scan("D"))) == 3


def test_store_pickles_as_its_path(path):
    store = SqliteStore(path)
    store.multi_put([put(1)])
    assert len(list(pickle.loads(pickle.dumps(store)).scan("D"))) == 1


def test_read_only_file_or_folder_is_told_by_reach() -> None:
    with tempfile.TemporaryDirectory() as folder:  # not below pytest's, which only we may enter
        Path(folder).chmod(0o755)
        (Path(folder) / "old.db").touch(0o644)
        user = os.geteuid()
        os.seteuid(user or 65_534)  # root may write everywhere
        try:
            Path(folder).chmod(0o555) if user else None
            with pytest.raises(PermissionError, match="new.db: .* cannot be written by this user"):
                SqliteStore(f"{folder}/new.db").reach()
            (Path(folder) / "old.db").chmod(0o444) if user else None
            with pytest.raises(PermissionError, match="old.db cannot be written"):
                SqliteStore(f"{folder}/old.db").reach()
        finally:
            os.seteuid(user)
            Path(folder).chmod(0o755)
        SqliteStore(f"{folder}/new.db").reach()
