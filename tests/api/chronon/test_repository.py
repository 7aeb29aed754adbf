"""Files written for Chronon, loaded as they stand: by stand-ins, and by Chronon's own package.

The compiled confs beside this file are what chronon-ai 0.0.115 and zipline-ai 1.28.0 made of the
definitions in `repositories`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from repositories import AIRBNB_FILES, CLUSTER_TEAMS, ZIPLINE_FILES, write

from chronon_beam.api import GroupByError, load_group_by, parse_group_by
from chronon_beam.api.dialect import DIALECTS
from chronon_beam.api.load import compile_group_by
from chronon_beam.api.thrift_json import declaration_of

HERE = Path(__file__).parent
FILES = {"airbnb": AIRBNB_FILES, "zipline": ZIPLINE_FILES}
COMPILED = {
    dialect: json.loads((HERE / f"{dialect}_compiled.json").read_text()) for dialect in FILES
}
DECLARED = [(dialect, name) for dialect, confs in COMPILED.items() for name in confs]


def place(root: Path, name: str) -> str:
    """Where `team.folder.file.variable__version` is declared."""
    *path, variable = name.split(".")
    return f"{root / 'group_bys' / '/'.join(path)}.py:{variable.partition('__')[0]}"


def plain(value: Any) -> Any:
    """JSON inside of JSON unpacked: the order of its fields means nothing."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, str) and value.startswith('{"'):
        return plain(json.loads(value))
    return value


@pytest.mark.parametrize(("dialect", "name"), DECLARED)
def test_compiled_definition_is_chronons_field_by_field(
    tmp_path: Path, dialect: str, name: str
) -> None:
    found = compile_group_by(place(write(tmp_path, FILES[dialect]), name), dialect)
    assert plain(json.loads(json.dumps(found.conf))) == plain(COMPILED[dialect][name])
    assert found.sorts_fields is (dialect == "zipline")


@pytest.mark.parametrize(("dialect", "name"), DECLARED)
def test_what_is_compiled_loads_as_what_is_declared(
    tmp_path: Path, dialect: str, name: str
) -> None:
    at = place(write(tmp_path, FILES[dialect]), name)
    declared = load_group_by(at, dialect)
    text = json.dumps(compile_group_by(at, dialect).conf)
    assert parse_group_by(text, DIALECTS[dialect]) == declared
    noted = json.dumps(declaration_of(declared))
    assert parse_group_by(noted, DIALECTS[dialect]) == declared
    assert declared.name == name
    dataset = name.replace(".", "_").upper()
    assert declared.streaming_dataset == f"{dataset}_STREAMING"


def test_files_are_read_as_they_stand_and_nothing_is_written_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    root = write(tmp_path, AIRBNB_FILES)
    before = sorted(root.rglob("*"))
    at = place(root, "shop.orders.v1")
    keys = load_group_by(at).keys
    file = Path(at.rpartition(":")[0])
    # Of the same size, and very likely within the same second.
    changed = file.read_text().replace(f'"{keys[0]}"', f'"{keys[0][::-1]}"')
    assert changed != file.read_text()
    file.write_text(changed)
    assert load_group_by(at).keys == (keys[0][::-1], *keys[1:])
    assert sorted(root.rglob("*")) == before
    assert sys.dont_write_bytecode is False


def test_loading_leaves_nothing_behind(tmp_path: Path) -> None:
    root = write(tmp_path, AIRBNB_FILES)
    before = set(sys.modules), list(sys.meta_path), list(sys.path)
    load_group_by(place(root, "shop.orders.v1"))
    added = {
        name for name in set(sys.modules) - before[0] if name.partition(".")[0] != "hypothesis"
    }
    assert not {name for name in added if name.startswith(("ai", "group_bys", "sources", "joins"))}
    assert (sys.meta_path, sys.path) == (before[1], before[2])
    with pytest.raises(ModuleNotFoundError):
        __import__("ai.chronon.group_by")


def test_another_repository_is_another_one(tmp_path: Path) -> None:
    first = write(tmp_path / "a", AIRBNB_FILES)
    source = AIRBNB_FILES["sources/orders.py"].replace("price * 100", "price * 7")
    second = write(tmp_path / "b", {**AIRBNB_FILES, "sources/orders.py": source})
    amounts = [
        dict(load_group_by(place(root, "shop.orders.v1")).source.query.selects or ())["amount"]
        for root in (first, second, first)
    ]
    assert amounts == ["price * 100", "price * 7", "price * 100"]


def test_imported_group_bys_are_not_declared_again(tmp_path: Path) -> None:
    root = write(tmp_path, AIRBNB_FILES)
    file = root / "group_bys" / "shop" / "nested" / "returns.py"
    assert load_group_by(str(file)).name == "shop.nested.returns.v1"


def test_file_that_is_in_no_repository_is_its_folders(tmp_path: Path) -> None:
    write(tmp_path, {"team/words.py": "KEY = 'user'\n"})
    text = """
from ai.chronon.group_by import Aggregation, GroupBy
from ai.chronon.api.ttypes import EventSource
from ai.chronon.query import Query
from .words import KEY
v1 = GroupBy(EventSource(query=Query(time_column="t")), [KEY], [Aggregation("n")])
"""
    write(tmp_path, {"team/purchases.py": text, "team/returns.py": text})
    names = [load_group_by(f"{tmp_path}/team/{file}.py").name for file in ("purchases", "returns")]
    assert names == ["team.purchases.v1", "team.returns.v1"]


def test_module_of_the_other_dialect_says_which(tmp_path: Path) -> None:
    root = write(tmp_path, ZIPLINE_FILES)
    at = place(root, "shop.orders.v1__2")
    with pytest.raises(GroupByError, match=r"ai\.chronon\.types .*zipline.*add --dialect=zipline"):
        load_group_by(at)


BEGIN = """
from ai.chronon import api, group_by, lineage, utils
from ai.chronon.api import ttypes
from ai.chronon.group_by import *
from ai.chronon.query import Query
import ai.chronon.scheduler.interfaces.flow as flow

nothing = [flow.Flow("x").run()[0], lineage.parser.of(1), {**utils.settings()}, str(utils.x)]
nothing += [utils.y(name="n", values=1).name]
"""


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("Query(time_column=utils.clean('t'))", r"timeColumn.* ai\.chronon\.utils\.clean"),
        ("Query(utils.columns(), time_column='t')", r"selects.* a dict is expected"),
        ("Query({'n': utils.cast('n')}, time_column='t')", r"selects\['n'\]: text is expected"),
    ],
)
def test_names_of_no_use_are_tolerated_unless_a_stream_needs_them(
    tmp_path: Path, source: str, message: str
) -> None:
    declare = (
        "v1 = GroupBy(ttypes.EventSource(table=utils.table('x'), query={}), ['k'], "
        "[Aggregation('n')])\n"
    )
    write(tmp_path, {"team/good.py": BEGIN + declare.format("Query(time_column='t')")})
    assert load_group_by(f"{tmp_path}/team/good.py").source.table is None
    write(tmp_path, {"team/bad.py": BEGIN + declare.format(source)})
    with pytest.raises(GroupByError, match=message):
        load_group_by(f"{tmp_path}/team/bad.py")


def test_settings_that_only_ziplines_package_knows_are_told(tmp_path: Path) -> None:
    root = write(tmp_path, {**ZIPLINE_FILES, "teams.py": CLUSTER_TEAMS})
    found = compile_group_by(place(root, "shop.orders.users"), "zipline")
    assert found.conf["metaData"]["executionInfo"]["conf"]["common"] == {"cores": "4"}
    assert any("generate_dataproc_cluster_config" in told for told in found.objections)


def test_what_chronons_compilers_object_to_is_told(tmp_path: Path) -> None:
    root = write(tmp_path, ZIPLINE_FILES)
    endless = (root / "group_bys/shop/orders.py").read_text().replace('"2024-01-01"', "None")
    write(root, {"group_bys/shop/orders.py": endless})
    told = compile_group_by(place(root, "shop.orders.v1"), "zipline").objections
    assert told == ["an aggregation without windows needs a start_partition in its sources"]


@pytest.mark.parametrize(
    ("teams", "message"),
    [
        ("", "no team 'shop': add it"),
        ("from ai.chronon.types import Team\nshop = Team()\n", "no team 'default'"),
        ("from ai.chronon.types import Team\nshop = default = Team()\n", "no namespace: set"),
        ("oops\n", r"teams\.py:1: cannot be loaded: NameError"),
    ],
)
def test_teams_that_are_missing_stop_the_compiler_alone(
    tmp_path: Path, teams: str, message: str
) -> None:
    plain = """
from ai.chronon.types import Aggregation, EventSource, GroupBy, Query
v1 = GroupBy(EventSource("t", Query(time_column="t")), ["user"], [Aggregation("n")])
"""
    root = write(tmp_path, {"group_bys/shop/plain.py": plain, "teams.py": teams})
    at = place(root, "shop.plain.v1")
    load_group_by(at, "zipline")
    with pytest.raises(GroupByError, match=message):
        compile_group_by(at, "zipline")


def test_join_as_a_source_is_loaded_and_not_compiled(tmp_path: Path) -> None:
    chained = """
from ai.chronon.api.ttypes import JoinSource
from ai.chronon.group_by import Aggregation, GroupBy
from ai.chronon.query import Query, select
from joins.shop.training import v1 as training
v1 = GroupBy(JoinSource(join=training, query=Query(select("n"), time_column="ts")), ["user"],
             [Aggregation("n")])
"""
    root = write(tmp_path, {**AIRBNB_FILES, "group_bys/shop/chained.py": chained})
    at = place(root, "shop.chained.v1")
    assert load_group_by(at).source.kind == "joinSource"
    with pytest.raises(GroupByError, match="source is a join, which Chronon's own compiler"):
        compile_group_by(at)


PACKAGE = {
    "ai/__init__.py": "",
    "ai/chronon/__init__.py": "",
    "ai/chronon/utils.py": "chronon_root_path = ''\n",
    "ai/chronon/group_by.py": """
class Struct:
    def __init__(self, **fields):
        for field in self.thrift_spec:
            if field:
                setattr(self, field[2], fields.get(field[2]))

STRING, STRUCT, LIST, MAP, I32, BOOL = 11, 12, 15, 13, 8, 2

def struct(name, *fields):
    spec = (None, *((n, kind, field, more, None) for n, (field, kind, more) in enumerate(fields)))
    return type(name, (Struct,), {"thrift_spec": spec})

MetaData = struct("MetaData", ("name", STRING, None), ("online", BOOL, None))
Query = struct("Query", ("selects", MAP, None), ("timeColumn", STRING, None))
EventSource = struct("EventSource", ("query", STRUCT, [Query, None]))
Source = struct("Source", ("events", STRUCT, [EventSource, None]))
Aggregation = struct("Aggregation", ("inputColumn", STRING, None), ("operation", I32, None))
GroupBy = struct(
    "GroupBy",
    ("metaData", STRUCT, [MetaData, None]),
    ("sources", LIST, (STRUCT, [Source, None], False)),
    ("keyColumns", LIST, (STRING, None, False)),
    ("aggregations", LIST, (STRUCT, [Aggregation, None], False)),
)
""",
}
OF_PACKAGE = """
from ai.chronon.group_by import *
v1 = GroupBy(
    metaData=MetaData(online=True), keyColumns=["user"],
    sources=[Source(events=EventSource(query=Query(
        selects={"user": "user", "n": "n"}, timeColumn="t")))],
    aggregations=[Aggregation(inputColumn="n", operation=7)])
"""


def test_chronons_own_package_is_used_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(write(tmp_path / "site", PACKAGE))
    root = write(tmp_path / "repository", {**AIRBNB_FILES, "group_bys/shop/own.py": OF_PACKAGE})
    try:
        found = compile_group_by(place(root, "shop.own.v1")).conf
        group_by = load_group_by(place(root, "shop.own.v1"))
        assert sys.modules["ai.chronon.utils"].chronon_root_path == str(root)
        # The words of the other dialect stand in as ever.
        other = write(tmp_path / "other", ZIPLINE_FILES)
        assert load_group_by(place(other, "shop.orders.v1"), "zipline").name == "shop.orders.v1__2"
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "ai"]:
            del sys.modules[name]
    assert found["metaData"] == {
        "name": "shop.own.v1",
        "online": 1,
        "tableProperties": {"source": "chronon"},
        "outputNamespace": "shop_db",
        "team": "shop",
    }
    assert [feature.name for feature in group_by.features] == ["n_sum"]
