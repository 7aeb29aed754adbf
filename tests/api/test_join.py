"""Chronon's compiled joins: the keys and names of their parts, and what is wrong with them."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.api import GroupByError
from chronon_beam.api.data_types import LONG, STRING, list_of, map_of
from chronon_beam.api.dialect import AIRBNB, ZIPLINE, Dialect
from chronon_beam.api.join import Join
from chronon_beam.api.join_json import parse_join
from chronon_beam.api.thrift_types import parse_type

KINDS = {"STRING": 7, "LONG": 4}


def group_by(name: str = "shop.purchases.v1", keys: tuple[str, ...] = ("user",)) -> dict[str, Any]:
    """A compiled GroupBy that counts `price` by `keys` in 7 days."""
    selects = {name: name for name in (*keys, "price")}
    return {
        "metaData": {"name": name},
        "sources": [{"events": {"query": {"selects": selects, "timeColumn": "ts"}}}],
        "keyColumns": list(keys),
        "aggregations": [
            {"inputColumn": "price", "operation": 6, "windows": [{"length": 7, "timeUnit": 1}]}
        ],
    }


def external(name: str, keys: dict[str, str], values: dict[str, str]) -> dict[str, Any]:
    def struct(fields: dict[str, str]) -> dict[str, Any]:
        params = [{"name": n, "dataType": {"kind": KINDS[kind]}} for n, kind in fields.items()]
        return {"kind": 13, "name": f"ext_{name}", "params": params}

    source = {"metadata": {"name": name}, "keySchema": struct(keys), "valueSchema": struct(values)}
    return {"source": source}


CONF: dict[str, Any] = {
    "metaData": {"name": "shop.checkout.v1", "online": 1, "samplePercent": 10.0},
    "left": {"events": {"table": "data.checkouts", "query": {"timeColumn": "ts"}}},
    "joinParts": [
        {"groupBy": group_by(), "keyMapping": {"buyer": "user"}, "prefix": "buyer"},
        {"groupBy": group_by(), "keyMapping": {"seller": "user"}, "prefix": "seller"},
        {"groupBy": group_by("shop.pairs.v1", ("user", "shop"))},
    ],
    "onlineExternalParts": [
        {**external("accounts", {"id": "LONG"}, {"age": "LONG"}), "keyMapping": {"buyer": "id"}},
        external("contextual", {"page": "STRING"}, {"page": "STRING"}),
    ],
    "bootstrapParts": [{"table": "data.log", "keyColumns": ["row"]}],
    "skewKeys": {"user": ["0"]},
    "rowIds": ["row"],
    "neverHeardOf": 1,
}


def changed(path: str, value: Any) -> str:
    """CONF with the value at `path` replaced; None removes it."""
    conf = copy.deepcopy(CONF)
    *parents, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place: Any = conf
    for step in parents:
        place = place[step]
    place[last] = value
    return json.dumps(conf)


def parsed(text: str = json.dumps(CONF), dialect: Dialect = AIRBNB) -> Join:
    return parse_join(text, dialect, "conf.json")


def test_keys_come_from_the_columns_of_the_left_side() -> None:
    join = parsed()
    assert [part.left_columns for part in join.parts] == [
        {"user": "buyer"},
        {"user": "seller"},
        {"user": "user", "shop": "shop"},
    ]
    assert [part.left_columns for part in join.external_parts] == [
        {"id": "buyer"},
        {"page": "page"},
    ]
    assert join.left_columns == ("buyer", "seller", "user", "shop", "page")
    assert (join.name, join.online) == ("shop.checkout.v1", True)


@pytest.mark.parametrize(
    ("dialect", "long_names", "columns"),
    [
        (AIRBNB, None, ("buyer_shop_purchases_v1_price_count_7d", "shop_pairs_v1_price_count_7d")),
        (ZIPLINE, 1, ("buyer_shop_purchases_v1_price_count_7d", "shop_pairs_v1_price_count_7d")),
        (ZIPLINE, 0, ("buyer_user_price_count_7d", "user_shop_price_count_7d")),
        (ZIPLINE, None, ("buyer_user_price_count_7d", "user_shop_price_count_7d")),
    ],
)
def test_columns_are_named_as_the_dialect_names_them(
    dialect: Dialect, long_names: int | None, columns: tuple[str, str]
) -> None:
    conf = copy.deepcopy(CONF)
    for part in conf["joinParts"]:
        part |= {} if long_names is None else {"useLongNames": long_names}
    join = parsed(json.dumps(conf), dialect)
    assert (join.columns[0], join.columns[2]) == columns
    assert join.columns[3:] == ("ext_accounts_age", "ext_contextual_page")
    assert join.output_names == join.columns
    assert join.parts[0].full_name == "buyer_shop_purchases_v1"


@pytest.mark.parametrize(
    ("name", "prefix"), [("a.b__v12", "a_b_"), ("a.b__12", "a_b__12_"), ("a.b__v1x", "a_b__v1x_")]
)
def test_long_names_of_zipline_leave_out_a_version(name: str, prefix: str) -> None:
    part = {"groupBy": group_by(name), "useLongNames": 1}
    join = parsed(changed("joinParts", [part]), ZIPLINE)
    assert join.parts[0].column_prefix == prefix
    assert join.parts[0].full_name == name.replace(".", "_")


def test_derived_columns_take_the_place_of_columns() -> None:
    star = [
        {"name": "*", "expression": "*"},
        {"name": "bought", "expression": "buyer_shop_purchases_v1_price_count_7d"},
        {"name": "who", "expression": "buyer"},
        {"name": "both", "expression": "ext_accounts_age + 1"},
    ]
    join = parsed(changed("derivations", star))
    assert join.output_names == (*join.columns[1:], "bought", "who", "both")


def test_derived_features_of_a_part_are_its_columns() -> None:
    derived = {**group_by(), "derivations": [{"name": "n", "expression": "price_count_7d"}]}
    join = parsed(changed("joinParts", [{"groupBy": derived}]))
    assert join.parts[0].columns == {"shop_purchases_v1_n": "n"}


NO_SOURCE = {"metadata": {"name": "accounts"}}


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        (
            "joinParts.0.keyMapping",
            {"buyer": "usr"},
            "'usr', which is no key of the part: its",
        ),
        ("joinParts.0.keyMapping", {"a": "user", "b": "user"}, "'a' and 'b' are both mapped to"),
        ("joinParts.0.keyMapping", ["buyer"], "keyMapping: a JSON object is expected"),
        (
            "joinParts.0.groupBy",
            {"metaData": {"name": "x"}},
            "groupBy: the whole GroupBy is expect",
        ),
        ("joinParts.0.groupBy", None, "groupBy: the whole GroupBy is expected"),
        ("joinParts.0.groupBy.metaData", {}, "the GroupBy of joinParts[0] has no name, by which"),
        ("joinParts.0.groupBy.aggregations.0.operation", 99, "joinParts[0].groupBy: aggregations"),
        ("joinParts.0.prefix", "seller", "part 0 (seller_shop_purchases_v1) and part 1 (seller_sh"),
        ("joinParts.0.prefix", 7, "joinParts[0].prefix: text is expected, found 7"),
        ("joinParts", "x", "joinParts must be a list"),
        ("onlineExternalParts.0.keyMapping", {"buyer": "ident"}, "which is no key of the part"),
        ("onlineExternalParts.0.source", NO_SOURCE, "keySchema: a JSON object is expected"),
        ("onlineExternalParts.0.source", {}, "metadata.name: text is expected, found None"),
        ("onlineExternalParts.0.source.valueSchema", {"kind": 4}, "STRUCT with its fields"),
        ("onlineExternalParts.0.source.valueSchema.params.0.dataType.kind", 9, "'age' is of type"),
        ("onlineExternalParts.0.source.valueSchema.params.0.dataType.kind", 77, "unknown value 77"),
        ("modelTransforms", {"transforms": []}, "modelTransforms: the answers of its models"),
        ("derivations", [{"name": "a", "expression": "b"}], "is of 'b', which is neither a column"),
        ("derivations", [{"name": "a", "expression": " "}], "'a' has no expression"),
        ("derivations", [{"name": "a", "expression": "ts"}] * 2, "'a' is declared 2 times"),
    ],
)
def test_a_join_that_cannot_be_fetched_is_refused(path: str, value: Any, error: str) -> None:
    with pytest.raises(GroupByError) as raised:
        parsed(changed(path, value))
    assert str(raised.value).startswith("conf.json")
    assert error in str(raised.value)


def test_what_is_no_join_is_refused() -> None:
    for text, error in (
        ("{", "not JSON"),
        (json.dumps(group_by()), "not a compiled Join: .* joinParts is expected, found .*keyColu"),
        ("{}", "not a compiled Join: .* found no field"),
        ("[1]", r"not a compiled Join: .* found \[1\]"),
        (json.dumps({"joinParts": []}), "there is nothing to fetch"),
    ):
        with pytest.raises(GroupByError, match=error):
            parsed(text)


def test_short_names_that_meet_are_refused_with_a_remedy() -> None:
    parts = [{"groupBy": group_by("shop.a")}, {"groupBy": group_by("shop.b")}]
    with pytest.raises(GroupByError, match=r"both make a column 'user_price_count_7d'.*useLongNam"):
        parsed(changed("joinParts", parts), ZIPLINE)
    assert parsed(changed("joinParts", parts)).columns[0] == "shop_a_price_count_7d"


@given(st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, unique=True), st.data())
def test_each_key_of_a_part_has_one_column_of_the_left_side(keys: list[str], data: Any) -> None:
    rights = data.draw(st.lists(st.sampled_from(keys), unique=True))
    mapping = {f"left_{right}": right for right in rights}
    part = {"groupBy": group_by("x.y", tuple(keys)), "keyMapping": mapping}
    found = parsed(changed("joinParts", [part])).parts[0].left_columns
    assert list(found) == keys
    assert found == {key: f"left_{key}" if key in rights else key for key in keys}


def test_types_are_those_of_the_conf() -> None:
    elem, entry = {"dataType": {"kind": 4}, "name": "elem"}, {"dataType": {"kind": 7}, "name": "k"}
    assert parse_type({"kind": 12, "params": [elem]}, "") == list_of(LONG)
    assert parse_type({"kind": 11, "params": [entry, elem]}, "") == map_of(LONG, STRING)
    digits = [{"name": "12"}, {"name": "2"}]
    assert parse_type({"kind": 14, "params": digits}, "").name == "decimal_12_2"
    with pytest.raises(GroupByError, match=r"age: MAP has 2 params, found 1"):
        parse_type({"kind": 11, "params": [elem]}, "age")
    with pytest.raises(GroupByError, match="a number of digits is expected, found 'x'"):
        parse_type({"kind": 14, "params": [{"name": "x"}, {"name": "2"}]}, "age")
