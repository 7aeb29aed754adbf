"""Exit code 1 after losses: input not read, requests not written, too many dead letters."""

import gzip
import json
from collections.abc import Iterable
from errno import ENOSPC
from pathlib import Path
from typing import Any

import fastavro
import pytest
from command_line import ANN, Cli, Flag

from chronon_beam.io.sqlite import SqliteStore

SCHEMA = "schema=user STRING, price DOUBLE, t BIGINT"
AVRO = {
    "type": "record",
    "name": "Event",
    "fields": [
        {"name": "user", "type": "string"},
        {"name": "price", "type": "double"},
        {"name": "t", "type": "long"},
    ],
}
HINT = "Look at a value"
DAY_MS = 86_400_000
BOB = {**ANN, "user": "Bob"}


def truncated_gz(folder: Path, events: list[dict[str, Any]]) -> str:
    """Bob's many events in a file that ends too early, beside a whole one of `events`."""
    folder.mkdir()
    (folder / "a.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in events))
    lines = "".join(f"{json.dumps({**BOB, 'price': n * 1.37})}\n" for n in range(20_000))
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(lines.encode())[:-4000])
    return f"--source=file:{folder}?{SCHEMA}"


def damaged_avro(folder: Path, events: list[dict[str, Any]]) -> str:
    folder.mkdir()
    for name, written in (("a", events), ("b", [BOB] * 5000)):
        with open(folder / f"{name}.avro", "wb") as file:
            fastavro.writer(file, AVRO, written, codec="deflate", sync_interval=1000)
    data = (folder / "b.avro").read_bytes()
    (folder / "b.avro").write_bytes(data[:-5])  # within the last block
    return f"--source=file:{folder}"


@pytest.mark.parametrize(
    ("write", "name"), [(truncated_gz, "b.jsonl.gz"), (damaged_avro, "b.avro")]
)
def test_input_that_is_not_read_to_its_end_fails_the_run(
    chronon_beam: Cli, store: str, declared: Flag, tmp_path: Path, write: Any, name: str
) -> None:
    source = write(tmp_path / "events", [ANN])
    ran = chronon_beam("run", declared(), source, store)
    last = ran.err.splitlines()[-1]
    assert (ran.code, HINT in ran.err) == (1, False)
    assert f"{tmp_path}/events/{name} is damaged after " in last
    assert "--allow_unread" in last
    fetched = chronon_beam("fetch", declared(), store, "--key=user=Ann", "--at=2000")
    assert fetched.objects == [{"price_sum_6h": 2.5}]
    fetched = chronon_beam("fetch", declared(), store, "--key=user=Bob", "--at=2000")
    assert fetched.objects[0]["price_sum_6h"] > 0
    ran = chronon_beam("run", declared(), source, "--store=null:", "--allow_unread")
    assert (ran.code, HINT in ran.err) == (0, True)
    assert "of input that could not be read" in ran.err


@pytest.mark.parametrize("write", [truncated_gz, damaged_avro])
def test_upload_of_damaged_input_leaves_readers_with_the_batch_they_have(
    chronon_beam: Cli, store: str, declared: Flag, events: Flag, tmp_path: Path, write: Any
) -> None:
    group_by = declared("Aggregation('price', Operation.SUM, [Window(6, TimeUnit.DAYS)])")
    old, new = {**ANN, "price": 7.0}, {**ANN, "price": 9.0, "t": DAY_MS + 1000}
    assert chronon_beam("upload", group_by, events(old), store, "--ds=1970-01-01").code == 0

    def price() -> float:
        at = f"--at={DAY_MS * 2}"
        return chronon_beam("fetch", group_by, store, "--key=user=Ann", at).objects[0][
            "price_sum_6d"
        ]

    source = write(tmp_path / "events", [old, new])
    ran = chronon_beam("upload", group_by, source, store, "--ds=1970-01-02")
    assert (ran.code, HINT in ran.err, price()) == (1, False, 7.0)
    assert "Readers stay with the batch they have" in ran.err.splitlines()[-1]
    ran = chronon_beam("upload", group_by, source, store, "--ds=1970-01-02", "--allow_unread")
    assert (ran.code, price()) == (0, 16.0)


@pytest.mark.parametrize(
    "command", [["run"], ["run", "--tiling=untiled"], ["upload", "--ds=1970-01-01"]]
)
def test_store_that_takes_nothing_fails_the_job(
    chronon_beam: Cli,
    store: str,
    declared: Flag,
    events: Flag,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
) -> None:
    put = SqliteStore.multi_put

    def full(self: SqliteStore, requests: list[Any]) -> list[str | None]:
        if any("METADATA" in each.dataset or "_RUNS" in each.dataset for each in requests):
            return put(self, requests)
        return ["database or disk is full"] * len(requests)

    monkeypatch.setattr(SqliteStore, "multi_put", full)
    group_by = declared("Aggregation('price', Operation.SUM, [Window(6, TimeUnit.DAYS)])")
    ran = chronon_beam(*command, group_by, events(ANN), store)
    assert (ran.code, HINT in ran.err) == (1, False)
    assert "requests could not be written" in ran.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("good", "bad", "flags", "code", "hint"),
    [
        (2, 2, [], 0, True),
        (0, 3, [], 0, False),
        (49, 51, [], 1, False),
        (2, 2, ["--max_dead=1"], 1, False),
        (2, 2, ["--max_dead=50%"], 0, True),
        (49, 51, ["--max_dead=51"], 0, True),
        (2, 1, ["--max_dead=some"], 2, False),
    ],
)
def test_too_many_dead_letters_fail_the_job(
    chronon_beam: Cli,
    declared: Flag,
    events: Flag,
    good: int,
    bad: int,
    flags: list[str],
    code: int,
    hint: bool,
) -> None:
    source = events(*[ANN] * good, *["{bad"] * bad)
    ran = chronon_beam("run", declared(), source, "--store=null:", *flags)
    assert (ran.code, HINT in ran.err) == (code, hint)
    assert "--max_dead" in ran.err


@pytest.mark.parametrize("command", [["run"], ["run", "--tiling=untiled"]])
def test_job_whose_dead_letters_cannot_be_written_stops_at_once(
    chronon_beam: Cli,
    store: str,
    declared: Flag,
    events: Flag,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
) -> None:
    put = SqliteStore.multi_put
    tried: list[Any] = []

    def full(self: SqliteStore, requests: list[Any]) -> list[str | None]:
        if any("METADATA" in each.dataset or "_RUNS" in each.dataset for each in requests):
            return put(self, requests)
        tried.extend(requests)
        return ["database or disk is full"] * len(requests)

    def refused(_: str, lines: Iterable[bytes]) -> None:
        if any(lines):
            raise OSError(ENOSPC, "No space left on device")

    source = events(*({**ANN, "user": f"u{n}"} for n in range(25_000)))
    monkeypatch.setattr(SqliteStore, "multi_put", full)
    monkeypatch.setattr("chronon_beam.io.dead_letters.file.append_lines", refused)
    letters = f"--dead_letters=file:{tmp_path / 'dead.jsonl'}"
    ran = chronon_beam(*command, declared(), source, store, letters)
    assert (ran.code, HINT in ran.err) == (1, False)
    assert "No space left on device" in ran.err.splitlines()[-1]
    assert 0 < len({each.key_bytes for each in tried}) <= 10_000
