"""Joins in Python: this project's words, and files that are written for Chronon."""

from pathlib import Path

import pytest
from declarations import events, group_by

from chronon_beam.api import (
    Aggregation,
    ContextualSource,
    DataType,
    Derivation,
    ExternalPart,
    ExternalSource,
    GroupByError,
    Join,
    JoinPart,
    Operation,
    load_join,
)
from chronon_beam.api.data_types import DOUBLE, LONG, STRING, list_of, map_of
from chronon_beam.api.dialect import ZIPLINE

USERS = group_by("shop.users", ["user"], [Aggregation("n", Operation.SUM)], sources=events())


def test_a_join_takes_chronons_words() -> None:
    fields = [("tags", DataType.MAP(DataType.STRING, DataType.LONG)), ("n", DataType.DOUBLE)]
    accounts = ExternalSource("accounts", "shop", [("id", DataType.LONG)], fields)
    page = ContextualSource([("seen", DataType.LIST(DataType.STRING))])
    join = Join(
        left=events(),
        right_parts=[JoinPart(USERS, {"buyer": "user"}, "buyer"), JoinPart(group_by=USERS)],
        online_external_parts=[ExternalPart(accounts, {"buyer": "id"}, "x"), ExternalPart(page)],
        derivations=[Derivation("bought", "buyer_shop_users_n_sum")],
        row_ids=["row"],
        online=True,
        name="shop.checkout",
    )
    assert join.left_columns == ("buyer", "user", "seen")
    assert (join.name, join.online, join.output_names) == ("shop.checkout", True, ("bought",))
    assert join.external_parts[0].types == {
        "ext_x_accounts_tags": map_of(LONG),
        "ext_x_accounts_n": DOUBLE,
    }
    assert join.external_parts[1].types == {"ext_contextual_seen": list_of(STRING)}


def test_a_join_is_in_the_dialect_of_its_group_bys() -> None:
    aggregations = [Aggregation("n", Operation.SUM)]
    sources = events("user", "n", table="data.t")
    users = group_by("shop.users", ["user"], aggregations, dialect="zipline", sources=sources)
    assert Join([JoinPart(users)], name="a.b").dialect is ZIPLINE
    assert Join([JoinPart(users)], name="a.b").columns == ("user_n_sum",)
    named = Join([JoinPart(users)], use_long_names=True, name="a.b")
    assert named.columns == ("shop_users_n_sum",)
    with pytest.raises(GroupByError, match="in dialect airbnb, and another part in zipline"):
        Join([JoinPart(users), JoinPart(USERS)])


def test_wrong_words_are_refused() -> None:
    with pytest.raises(GroupByError, match="'buyer' is mapped to 'usr', which is no key"):
        JoinPart(USERS, {"buyer": "usr"})
    with pytest.raises(GroupByError, match="a GroupBy is expected, found 'shop.users'"):
        JoinPart("shop.users")  # pyright: ignore[reportArgumentType] - what is tested
    with pytest.raises(GroupByError, match="no parameter 'derivation': did you mean"):
        Join([JoinPart(USERS)], derivation=[])
    with pytest.raises(GroupByError, match="use ContextualSource"):
        ExternalSource("contextual", "shop", [], [])
    with pytest.raises(GroupByError, match="both make a column 'shop_users_n_sum'"):
        Join([JoinPart(USERS), JoinPart(USERS)])


OURS = """
from chronon_beam.api import Aggregation, EventSource, GroupBy, Join, JoinPart, Operation, Query
from chronon_beam.api import Source, select

users = GroupBy(
    sources=Source(EventSource(query=Query(select("user", "n"), time_column="t"))),
    keys=["user"],
    aggregations=[Aggregation("n", Operation.COUNT)])
"""


def test_a_file_declares_a_join_and_its_group_bys(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "users.py").write_text(OURS)
    (folder / "joins.py").write_text(
        f"{OURS}\nown = Join([JoinPart(users)])\n"
        "from .users import users as others\nother = Join([JoinPart(others)])\n"
    )
    own, other = (load_join(f"{folder / 'joins.py'}:{name}") for name in ("own", "other"))
    assert (own.name, own.columns) == ("shop.joins.own", ("shop_joins_users_n_count",))
    assert (other.name, other.columns) == ("shop.joins.other", ("shop_users_users_n_count",))
    with pytest.raises(GroupByError, match=r"declares 0 Joins \(none\)"):
        load_join(str(folder / "users.py"))
    with pytest.raises(GroupByError, match=r"--join=x.py: no file x.py: give a compiled Join"):
        load_join("x.py")


CHRONONS = {
    "group_bys/shop/users.py": """
from ai.chronon.group_by import Aggregation, GroupBy, Operation
from ai.chronon.{query} import Query, select{s}
from sources.shop import payments
v1 = GroupBy(payments, ["user"], [Aggregation("price", Operation.SUM)]{version})
""",
    "sources/shop.py": """
from ai.chronon.api.ttypes import EventSource, Source
from ai.chronon.query import Query
payments = Source(events=EventSource(
    table="data.payments", query=Query({{"user": "user", "price": "price"}}, time_column="ts")))
""",
    "joins/shop/checkout.py": """
from ai.chronon.join import ContextualSource, DataType, ExternalPart, Join, JoinPart
from ai.chronon.group_by import Derivation
from group_bys.shop.users import v1 as users
from sources.shop import payments
from ai.chronon.join import BootstrapPart
v1 = Join(
    left=payments,
    right_parts=[JoinPart(users, {{"buyer": "user"}}, prefix="buyer", tags={{"a": "b"}})],
    row_ids=["row"],
    online_external_parts=[ExternalPart(ContextualSource([("page", DataType.LONG)]))],
    derivations=[Derivation("*", "*")],
    bootstrap_parts=[BootstrapPart("data.log")],
    online=True{version})
""",
}


@pytest.mark.parametrize(
    ("dialect", "words", "name", "columns"),
    [
        (
            "airbnb",
            {"query": "query", "s": "", "version": ""},
            "shop.checkout.v1",
            ("buyer_shop_users_v1_price_sum", "ext_contextual_page"),
        ),
        (
            "zipline",
            {"query": "types", "s": "s", "version": ", version=0"},
            "shop.checkout.v1__0",
            ("buyer_user_price_sum", "ext_contextual_page"),
        ),
    ],
)
def test_a_file_of_chronons_is_loaded_as_it_stands(
    tmp_path: Path, dialect: str, words: dict[str, str], name: str, columns: tuple[str, ...]
) -> None:
    for path, text in CHRONONS.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.format(**words))
    join = load_join(str(tmp_path / "joins/shop/checkout.py"), dialect)
    assert (join.name, join.online, join.columns) == (name, True, columns)
    assert join.output_names == columns
    assert join.parts[0].left_columns == {"user": "buyer"}
