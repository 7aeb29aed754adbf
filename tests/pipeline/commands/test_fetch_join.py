"""`chronon-beam fetch --join`."""

import json
from pathlib import Path

import pytest
from command_line import ALICE, BOB, EVENTS, EXAMPLE, Cli

from chronon_beam.api import load_join

AT = "--at=2000"


@pytest.fixture
def order(tmp_path: Path) -> str:
    """The flag that names the example's join, whose folder's name its features have."""
    folder = tmp_path / "ice_cream"
    folder.mkdir()
    for name in ("group_by.py", "flavors.py", "order.py"):
        (folder / name).write_text((EXAMPLE / name).read_text())
    return f"{folder / 'order.py'}"


PREFIX = "ice_cream_group_by_ice_cream_group_by"
SOLD = "ice_cream_flavors_flavors_cone_count_6h"


def test_a_join_is_fetched_from_what_several_jobs_have_written(
    chronon_beam: Cli, store: str, order: str, tmp_path: Path
) -> None:
    folder = Path(order).parent
    chronon_beam("run", f"--group_by={folder / 'group_by.py'}", EVENTS, store)
    early = chronon_beam("fetch", f"--join={order}", store, "--key=flavor=mud")
    assert early.code != 0
    assert "order.order: the store holds nothing of GroupBy 'ice_cream.flavors.f" in early.err
    chronon_beam("run", f"--group_by={folder / 'flavors.py'}", EVENTS, store)
    keys = ("--key=buyer=Alice", "--key=friend=Bob", "--key=flavor=olive oil")
    fetched = chronon_beam("fetch", f"--join={order}", store, *keys, AT, "--status")
    answer = {f"buyer_{PREFIX}_{name}": value for name, value in ALICE.items()}
    answer |= {f"friend_{PREFIX}_{name}": value for name, value in BOB.items()}
    assert fetched.objects == [{**answer, "sold": 1, "__status": "found"}]
    assert (fetched.code, fetched.err) == (0, "")
    check_many_rows(chronon_beam, store, order, tmp_path / "rows.jsonl")
    # A compiled join is fetched as well.
    part = {"groupBy": load_join(order).parts[2].group_by.to_thrift()}
    compiled = tmp_path / "compiled.json"
    compiled.write_text(json.dumps({"metaData": {"name": "a.b"}, "joinParts": [part]}))
    fetched = chronon_beam("fetch", f"--join={compiled}", store, "--key=flavor=olive oil", AT)
    assert fetched.objects == [{SOLD: 1}]


def check_many_rows(chronon_beam: Cli, store: str, order: str, rows: Path) -> None:
    """Rows of which all parts, some or none can be answered."""
    lines = [{"buyer": "Eve", "friend": None, "flavor": "mud"}, {"flavor": "olive oil"}, {"x": 1}]
    rows.write_text("\n".join(map(json.dumps, lines)))
    fetched = chronon_beam("fetch", f"--join={order}", store, f"--keys={rows}", AT, "--status")
    unknown, partly, wrong = fetched.objects
    nothing = dict.fromkeys(load_join(order).output_names)
    assert unknown == {**lines[0], **nothing, "__status": "unknown"}
    assert (partly["sold"], partly["__status"]) == (1, "found")
    assert partly[f"buyer_{PREFIX}_exception"] == "key column buyer is missing"
    assert wrong["__status"] == "failed"
    assert wrong["ice_cream_flavors_flavors_exception"] == "key column flavor is missing"
    assert fetched.code == 1
    assert f"buyer_{PREFIX}_exception: key column buyer is missing (in 2 rows)" in fetched.err


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--join={}", "--group_by={}"], 2, "not allowed with argument"),
        ([], 2, "one of the arguments --group_by --join is required"),
        (["--join=/no/such.json"], 2, "--join=/no/such.json: no file /no/such.json"),
    ],
)
def test_wrong_use_of_joins(
    chronon_beam: Cli, store: str, order: str, flags: list[str], code: int, message: str
) -> None:
    given = [flag.format(order) for flag in flags]
    fetched = chronon_beam("fetch", *given, store, "--key=flavor=mud")
    assert message in fetched.err
    assert fetched.code == code
