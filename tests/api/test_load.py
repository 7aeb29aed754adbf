"""GroupBys found in files."""

import json
from pathlib import Path

import pytest

from chronon_beam.api import GroupByError, Operation, load_group_by

ICE_CREAM = Path(__file__).parents[2] / "examples" / "ice_cream" / "group_by.py"

DECLARATION = """
from chronon_beam.api import Aggregation, EventSource, GroupBy, Operation, Query, Source, select

def clicks(name=""):
    return GroupBy(
        name=name,
        sources=Source(EventSource(query=Query(select("user", "price"), time_column="t"))),
        keys=["user"],
        aggregations=[Aggregation("price", Operation.COUNT)])
"""

COMPILED = {
    "keyColumns": ["user"],
    "sources": [{"events": {"query": {"selects": {"user": "user", "n": "n"}}}}],
    "aggregations": [{"inputColumn": "n", "operation": 18, "argMap": {"k": "2"}}],
}


@pytest.fixture
def team(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    return folder


def test_example_loads_under_the_name_of_its_folder_and_variable() -> None:
    group_by = load_group_by(str(ICE_CREAM))
    assert group_by.name == "ice_cream.group_by.ice_cream_group_by"
    assert group_by.streaming_dataset == "ICE_CREAM_GROUP_BY_ICE_CREAM_GROUP_BY_STREAMING"
    assert [f.name for f in group_by.features] == ["customer_id_count_6h", "flavor_last_6h"]


def test_name_does_not_depend_on_where_the_command_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ICE_CREAM.parent)
    assert load_group_by("group_by.py").name == "ice_cream.group_by.ice_cream_group_by"


def test_variable_is_chosen_after_a_colon(team: Path) -> None:
    file = team / "g.py"
    file.write_text(f"{DECLARATION}\na = clicks()\nb = clicks('own.name')\n")
    assert load_group_by(f"{file}:a").name == "shop.g.a"
    assert load_group_by(f"{file}:b").name == "own.name"


@pytest.mark.parametrize(
    ("text", "variable", "message"),
    [
        ("x = 1\n", "", r"declares 0 GroupBys \(none\): assign one to a variable"),
        (f"{DECLARATION}\na, b = clicks(), clicks('b')\n", "", r"\(a, b\): choose one with PATH:V"),
        (f"{DECLARATION}\na = clicks()\n", ":c", "no GroupBy called 'c': it declares a"),
        (f"{DECLARATION}\nclicks(\n", "", r"g\.py:\d+: cannot be loaded: SyntaxError"),
        ("import os\nos.no_such_thing\n", "", r"g\.py:2: cannot be loaded: AttributeError"),
        ("from nowhere import x\n", "", r"g\.py:1: cannot be loaded: ModuleNotFoundError"),
        (f"{DECLARATION}\nGroupBy([], [], [])\n", "", r"g\.py:11: GroupBy: sources is empty"),
    ],
)
def test_python_file_that_gives_no_group_by(
    team: Path, text: str, variable: str, message: str
) -> None:
    file = team / "g.py"
    file.write_text(text)
    with pytest.raises(GroupByError, match=message):
        load_group_by(f"{file}{variable}")


@pytest.mark.parametrize("name", ["gone.py", "gone.py:x", "gone.json", ""])
def test_missing_file_is_named(team: Path, name: str) -> None:
    with pytest.raises(GroupByError, match=f"no file {team}.*give a compiled GroupBy"):
        load_group_by(f"{team}/{name}")


def test_compiled_json_is_airbnbs_unless_said(team: Path) -> None:
    file = team / "clicks.v1"
    file.write_text(json.dumps(COMPILED))
    assert load_group_by(str(file)).aggregations[0].operation is Operation.APPROX_HISTOGRAM_K
    zipline = load_group_by(str(file), "zipline")
    assert zipline.aggregations[0].operation is Operation.APPROX_FREQUENT_K


def test_compiled_json_without_a_name_takes_its_files(team: Path) -> None:
    file = team / "clicks.json"
    file.write_text(json.dumps(COMPILED))
    assert load_group_by(str(file)).name == "clicks"


def test_dialect_of_a_python_file_can_be_overridden(team: Path) -> None:
    file = team / "g.py"
    file.write_text(f"{DECLARATION}\na = clicks()\n")
    assert load_group_by(str(file)).dialect.name == "airbnb"
    assert load_group_by(str(file), "zipline").dialect.name == "zipline"
