"""Letters in a SQLite file: whole, each once, and readable by people."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from letters import BAD, letter, letters, run

from chronon_beam.io.dead_letters.letter import Letter
from chronon_beam.io.dead_letters.sinks import open_dead_letters
from chronon_beam.io.dead_letters.sqlite import SqliteWriter


@given(st.lists(letters, max_size=5, unique_by=lambda each: (each.id, each.failure.step)))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, written: list[Letter]
) -> None:
    path = tmp_path_factory.mktemp("letters") / "dead.db"
    sink = open_dead_letters(f"sqlite:{path}")
    sink.reach()
    with closing(sink.opener()()) as writer:
        writer.write(written)
    assert list(sink.read()) == written


def test_a_job_adds_each_letter_once(tmp_path: Path) -> None:
    failures = [BAD._replace(position=i) for i in range(2500)]
    uri = f"sqlite:{tmp_path}/dead.db"
    for _ in range(2):  # as if all bundles were done again
        run(open_dead_letters(uri), failures)
    assert sorted(each.failure for each in open_dead_letters(uri).read()) == failures


def test_people_can_ask_for_causes(tmp_path: Path) -> None:
    headers = [("trace", b"7"), ("raw", b"\xff")]
    rows = [BAD, BAD._replace(position=4, key=b"ann", headers=headers, payload=b"\xff\0")]
    run(open_dead_letters(f"sqlite:{tmp_path}/dead.db"), rows)
    with closing(sqlite3.connect(tmp_path / "dead.db")) as file:
        asked = "SELECT step, error, count(*), min(reason) FROM dead_letters GROUP BY step, error"
        assert file.execute(asked).fetchall() == [("Decode", "DecodeError", 2, "not JSON")]
        asked = "SELECT group_by, run, source, position, key, payload, headers FROM dead_letters"
        first, second = file.execute(f"{asked} ORDER BY position").fetchall()
    assert first == ("t.g", "run-1", "a.jsonl", 3, None, "{bad", None)
    assert second[4:6] == ("ann", b"\xff\0")
    assert second[6] == '[{"name": "trace", "value": "7"}, {"name": "raw", "value_base64": "/w=="}]'


def test_several_writers_take_turns(tmp_path: Path) -> None:
    path = str(tmp_path / "dead.db")
    open_dead_letters(f"sqlite:{path}").reach()

    def work(thread: int) -> None:
        with closing(SqliteWriter(path)) as writer:
            for index in range(20):
                writer.write([letter(BAD._replace(position=thread * 100 + index))])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    assert len(list(open_dead_letters(f"sqlite:{path}").read())) == 80


def test_what_is_no_sqlite_file_is_refused_before_anything_runs(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are no letters, and long enough to be no empty file\n" * 20)
    with pytest.raises(ValueError, match=r"notes\.txt cannot be used"):
        open_dead_letters(f"sqlite:{path}").reach()
    with pytest.raises(FileNotFoundError, match="there is no file"):
        list(open_dead_letters(f"sqlite:{tmp_path}/none.db").read())
