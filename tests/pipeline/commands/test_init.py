"""`chronon-beam init`: what it prints can be typed in as it stands."""

import json
import shlex
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import EXAMPLE, Cli

LINES = [
    {"user": "Ann", "price": "2.50", "created": "2026-05-01T10:00:00Z"},
    {"user": "Bob", "price": "1.00", "created": "2026-05-01T10:01:00Z"},
    {"user": "Ann", "price": "4.00", "created": "2026-05-01T10:02:00Z"},
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["sales.jsonl", "my sales.parquet", "sales.csv"])
def test_printed_commands_give_the_features(chronon_beam: Cli, folder: Path, name: str) -> None:
    if name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(LINES), folder / name)
    elif name.endswith("csv"):
        table = [",".join(LINES[0]), *(",".join(line.values()) for line in LINES)]
        (folder / name).write_text("\n".join(table))
    else:
        (folder / name).write_text("\n".join(map(json.dumps, LINES)))
    made = chronon_beam("init", name)
    assert (made.code, made.out) == (0, "")
    printed = [shlex.split(line)[1:] for line in made.err.splitlines() if "  chronon-beam" in line]
    run, fetch = printed
    source = run[1:5]
    planned, traced = chronon_beam("plan", *source), chronon_beam("trace", *source)
    assert (planned.code, traced.code) == (0, 0)
    assert "user_count_1d" in planned.out
    assert len(traced.objects) == len(LINES)
    assert chronon_beam(*run).code == 0
    fetched = chronon_beam(*fetch)
    assert fetched.err == ""
    (values,) = fetched.objects
    assert values["user_count_1d"] == 2
    assert values["price_sum_7d"] == 6.5


def test_what_is_there_is_not_overwritten(chronon_beam: Cli, folder: Path) -> None:
    mine = folder / "events.py"
    mine.write_text("# mine")
    ran = chronon_beam("init", str(EXAMPLE / "events.jsonl"))
    assert ran.code == 2
    assert "events.py is there already: name another file with --output" in ran.err
    assert mine.read_text() == "# mine"
    assert chronon_beam("init", str(EXAMPLE / "events.jsonl"), "--output=cones.py").code == 0
    assert "cones = GroupBy(" in (folder / "cones.py").read_text()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["no.jsonl"], "no.jsonl"),
        (["nats:topic"], "no source is registered for 'nats:'"),
        (["events.jsonl", "--output=x.txt"], "--output=x.txt: a GroupBy's file ends in .py"),
        (["events.jsonl", "--key=usr"], "--key=usr: there is no such column: the columns are user"),
        (["empty.jsonl"], "empty.jsonl"),
    ],
)
def test_wrong_use(chronon_beam: Cli, folder: Path, argv: list[str], message: str) -> None:
    (folder / "events.jsonl").write_text(json.dumps(LINES[0]))
    (folder / "empty.jsonl").touch()
    ran = chronon_beam("init", *argv)
    assert ran.code in (1, 2)
    assert message in ran.err
    assert not list(folder.glob("*.py"))
