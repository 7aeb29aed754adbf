"""`chronon-beam fetch`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import ALICE, BOB, ICE_CREAM, NOTHING, Cli, Flag


def test_many_keys_are_fetched_in_the_order_of_the_file(
    chronon_beam: Cli, example: Flag, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.jsonl"
    names = ["Bob", "Eve", "Alice"] * 400
    keys.write_text("\n\n".join(json.dumps({"customer_id": name}) for name in names))
    fetched = chronon_beam("fetch", ICE_CREAM, example(), f"--keys={keys}", "--at=2000")
    assert fetched.code == 0
    expected = [{"customer_id": "Bob", **BOB}, {"customer_id": "Eve", **NOTHING}]
    assert fetched.objects == [*expected, {"customer_id": "Alice", **ALICE}] * 400
    assert 'nothing of {"customer_id": "Eve"} (and 399 other keys)' in fetched.err


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{"customer_id": "Bob"}\n{"customer_id"', "keys.jsonl:2: not JSON"),
        ("[1]", r"keys.jsonl:1: an object of key columns is expected, found [1]"),
        ('{"customer": "Bob"}', "unknown ['customer']: expected are customer_id (string)"),
    ],
)
def test_bad_line_in_a_file_of_keys_is_named(
    chronon_beam: Cli, example: Flag, tmp_path: Path, lines: str, message: str
) -> None:
    keys = tmp_path / "keys.jsonl"
    keys.write_text(lines)
    fetched = chronon_beam("fetch", ICE_CREAM, example(), f"--keys={keys}", "--at=2000")
    assert fetched.code == 2
    assert message in fetched.err


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["fetch", "--keys=/no/such"], 2, "--keys=/no/such: no such file"),
        (["fetch", "--key=customer=Alice"], 2, "unknown ['customer']"),
        (["fetch", "--key=Alice"], 2, "--key=Alice: NAME=VALUE is expected, for customer_id"),
        (["fetch", "--key=customer_id=Alice", "--at=noon"], 2, "argument --at: 'noon' is no time"),
        (["fetch", "--key=customer_id=Ann", "--key=customer_id=Al"], 2, "was given already"),
        (["fetch"], 2, "one of the arguments --key --keys is required"),
        (["fetch", "--kye=customer_id=Alice"], 2, "--kye: did you mean --key?"),
        (["fetch", "--key=customer_id=Alice", "--att=5"], 2, "--att: did you mean --at?"),
    ],
)
def test_wrong_use_of_fetch(
    chronon_beam: Cli, example: Flag, argv: list[str], code: int, message: str
) -> None:
    ran = chronon_beam(*argv, ICE_CREAM, example())
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err


LOOKUP = """
from chronon_beam.api import EntitySource, GroupBy, Query, Source, select

snapshot = EntitySource(snapshotTable="users", query=Query(selects=select("k", "v")))
users = GroupBy(sources=Source(entities=snapshot), keys=["k"], aggregations=None)
"""


@pytest.mark.parametrize(
    "argv",
    [
        ["fetch", "--key=k=1"],
        ["serve", "--port=0"],
        ["inspect", "--port=0"],
        ["upload", "--ds=2026-01-01", "--source=file:users.csv"],
    ],
    ids=lambda argv: argv[0],
)
def test_rows_without_aggregations_are_refused_by_all_that_would_make_or_read_them(
    chronon_beam: Cli, tmp_path: Path, store: str, argv: list[str]
) -> None:
    (tmp_path / "users.py").write_text(LOOKUP)
    ran = chronon_beam(*argv, f"--group_by={tmp_path}/users.py", store)
    assert (ran.code, ran.out) == (2, "")
    assert "users: it has no aggregations: Chronon uploads the rows of its snapshot" in ran.err
    assert "aggregate each column by LAST" in ran.err
    assert "planning" not in ran.err
    assert not (tmp_path / "features.db").exists()


def test_store_that_no_job_has_written_is_a_failed_check(chronon_beam: Cli, store: str) -> None:
    ran = chronon_beam("fetch", ICE_CREAM, store, "--key=customer_id=Alice")
    assert (ran.code, ran.out) == (1, "")
    assert "run a job with --store=sqlite:" in ran.err


def test_file_that_is_not_a_store_is_refused(chronon_beam: Cli, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("this is a text of some length, and it is no database at all\n" * 50)
    ran = chronon_beam("fetch", ICE_CREAM, f"--store=sqlite:{text}", "--key=customer_id=Alice")
    assert (ran.code, ran.out) == (1, "")
    assert "notes.txt" in ran.err


def test_fetch_of_another_group_by_says_to_run_it_first(
    chronon_beam: Cli, example: Flag, declared: Flag
) -> None:
    ran = chronon_beam("fetch", declared(), example(), "--key=user=Ann")
    assert ran.code == 2
    assert "nothing of GroupBy 't.own': run the job first" in ran.err


def test_composite_keys_and_values_of_all_shapes(
    chronon_beam: Cli, store: str, declared: Flag, events: Flag
) -> None:
    six = "[Window(6, TimeUnit.HOURS)]"
    group_by = declared(
        f"Aggregation('price', Operation.TOP_K(3), {six}),"
        f"Aggregation('price', Operation.SUM, {six}, ['city']),"
        f"Aggregation('raw', Operation.LAST, {six})",
        "'user', 'shop', 'city', 'raw', price='CAST(price AS DOUBLE)'",
        keys="'user', 'shop'",
    )
    schema = "user STRING, shop INT, price STRING, city STRING, raw BINARY, t BIGINT"
    one = {"user": "Ann", "shop": 7, "price": "NaN", "city": "São Paulo", "raw": "/w==", "t": 1000}
    two = {**one, "price": "3.5", "city": "x", "t": 1001}
    source = events(one, two, schema=schema)
    assert chronon_beam("run", group_by, source, store).code == 0
    ran = chronon_beam("fetch", group_by, store, "--key=shop=7", "--key=user=Ann", "--at=2000")
    assert ran.objects == [
        {
            "price_top3_6h": [None, 3.5],
            "price_sum_6h_by_city": {"São Paulo": None, "x": 3.5},
            "raw_last_6h": "/w==",
        }
    ]
    assert "São Paulo" in ran.out


@pytest.mark.parametrize("at", ["300000", "1970-01-01T00:05:00Z", "1970-01-01T02:05:00+02:00"])
def test_time_of_the_query_is_a_number_or_iso(chronon_beam: Cli, example: Flag, at: str) -> None:
    fetched = chronon_beam("fetch", ICE_CREAM, example(), "--key=customer_id=Alice", f"--at={at}")
    assert fetched.objects == [ALICE]


@pytest.mark.parametrize("tiling", ["tiled", "untiled"])
def test_unknown_key_is_reported_apart_from_one_outside_its_windows(
    chronon_beam: Cli, example: Flag, tmp_path: Path, tiling: str
) -> None:
    keys = tmp_path / "keys.jsonl"
    keys.write_text('{"customer_id": "Alice"}\n{"customer_id": "Eve"}')
    at = "--at=300000"
    fetched = chronon_beam("fetch", ICE_CREAM, example(tiling), f"--keys={keys}", at, "--status")
    assert [each["__status"] for each in fetched.objects] == ["found", "unknown"]
    assert fetched.err == 'chronon-beam: the store has nothing of {"customer_id": "Eve"}\n'
    fetched = chronon_beam("fetch", ICE_CREAM, example(tiling), f"--keys={keys}", "--status")
    assert [each["__status"] for each in fetched.objects] == ["outside_window", "unknown"]
    last = "1970-01-01T00:00:00Z" if tiling == "tiled" else "1970-01-01T00:00:01.500Z"
    assert f"what it has last begins at {last}; --at asks for another time" in fetched.err
    assert "status" not in chronon_beam("fetch", ICE_CREAM, example(tiling), f"--keys={keys}").out


def test_keys_come_from_standard_input_and_are_answered_as_they_come(
    chronon_beam: Cli, example: Flag
) -> None:
    argv = ["fetch", ICE_CREAM, example(), "--keys=-", "--at=2000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "chronon_beam.pipeline", *argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    assert process.stdin
    assert process.stdout
    with process:
        for name, values in (("Alice", ALICE), ("Bob", BOB)):
            process.stdin.write(f'{{"customer_id": "{name}"}}\n')
            assert json.loads(process.stdout.readline()) == {"customer_id": name, **values}
        process.stdin.close()
        assert process.stdout.read() == ""
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("at", "tiling", "told"),
    [
        ("2000", "tiled", True),  # within the tile from 0 to 300,000
        ("1", "tiled", True),
        ("300000", "tiled", False),
        ("300001", "tiled", False),  # of the next tile there is nothing
        ("2000", "untiled", False),
    ],
)
def test_events_after_the_time_of_the_query_are_reported(
    chronon_beam: Cli, example: Flag, at: str, tiling: str, told: bool
) -> None:
    fetched = chronon_beam(
        "fetch", ICE_CREAM, example(tiling), "--key=customer_id=Alice", f"--at={at}"
    )
    whole = "a tile, which counts whole: events up to 1970-01-01T00:05:00Z may be in the answer"
    assert (whole in fetched.err) == told
