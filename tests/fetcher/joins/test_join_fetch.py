"""Joins at fetch: keys mapped, columns named, parts that fail named, by one read of the store."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from joined_shop import ACCOUNTS, AT_MS, CONTEXT, fetcher_of, join_of, stored

from chronon_beam.api import Derivation, GroupByError
from chronon_beam.api.dialect import AIRBNB, ZIPLINE
from chronon_beam.api.join import Join
from chronon_beam.fetcher.joins.answer import JoinAnswer, chronon_answer
from chronon_beam.fetcher.joins.fetch import JoinFetcher
from chronon_beam.fetcher.rows import Cause, RowAnswer, RowFailure

ROW = {"buyer": "1", "seller": 2, "shop": "a", "more": [1]}
BUYER, SELLER, SHOP = "buyer_shop_users_n_sum_1h", "seller_shop_users_n_sum_1h", "shop_shops_n_sum"


def joined(fetcher: JoinFetcher, row: Mapping[str, object]) -> JoinAnswer:
    """The answer to a row, which is the same with an event loop and without."""
    found = fetcher.fetch([row], AT_MS)
    assert asyncio.run(fetcher.fetch_async([row], AT_MS)) == found
    return found[0]


def answer_of(joined: JoinAnswer) -> dict[str, Any]:
    """The features of a row that has not failed."""
    assert isinstance(joined.outcome, RowAnswer)
    return joined.outcome.features


def test_parts_are_fetched_together_under_their_names() -> None:
    store = stored()
    fetcher = fetcher_of(join_of(), store)
    rows = [ROW, {**ROW, "buyer": 2}, {**ROW, "seller": 99}]
    answers = fetcher.fetch(rows, AT_MS)
    assert store.reads == 1
    assert [answer_of(each) for each in answers] == [
        {BUYER: 5.0, SELLER: 10.0, SHOP: 7.0},
        {BUYER: 10.0, SELLER: 10.0, SHOP: None},
        {BUYER: 5.0, SELLER: None, SHOP: 7.0},
    ]
    assert fetcher.fetch([], AT_MS) == []


def test_an_answer_says_of_which_time_it_is_and_what_the_store_does_not_know() -> None:
    answer = joined(fetcher_of(join_of()), {**ROW, "seller": 99})
    assert answer.key == {"buyer": 1, "seller": 99, "shop": "a"}
    assert answer.newest_ms == AT_MS - 60_000 + 1
    assert answer.unknown == {SELLER}
    assert chronon_answer(join_of(), answer) == {BUYER: 5.0, SHOP: 7.0}


@pytest.mark.parametrize("seller", [None, 99])
def test_a_row_without_an_entity_has_nulls(seller: int | None) -> None:
    answer = joined(fetcher_of(join_of()), {**ROW, "seller": seller})
    assert answer_of(answer) == {BUYER: 5.0, SELLER: None, SHOP: 7.0}
    assert chronon_answer(join_of(), answer) == {BUYER: 5.0, SHOP: 7.0}


@pytest.mark.parametrize(
    ("dialect", "missing", "uncast"),
    [
        (AIRBNB, "seller_shop_users_exception", "buyer_shop_users_exception"),
        (ZIPLINE, "seller_shop_users_exception", "buyer_user_exception"),
    ],
)
def test_a_part_whose_key_is_not_there_or_wrong_is_named(
    dialect: Any, missing: str, uncast: str
) -> None:
    join = join_of(dialect=dialect)
    answer = joined(fetcher_of(join), {"buyer": "x", "shop": "a", "seller": 2})
    assert answer.failures[uncast].cause is Cause.KEY
    assert "'x' is not of type long" in answer.failures[uncast].reason
    answer = joined(fetcher_of(join), {"buyer": 1, "shop": "a"})
    assert answer.failures == {
        missing: RowFailure("key column seller is missing", Cause.MISSING_KEY)
    }
    assert set(answer.features.values()) == {5.0, 7.0}
    assert chronon_answer(join, answer) == answer_of(answer)


def test_a_row_of_which_all_parts_fail_has_failed() -> None:
    answer = joined(fetcher_of(join_of()), {})
    assert isinstance(answer.outcome, RowFailure)
    assert answer.outcome.cause is Cause.MISSING_KEY
    # Chronon calls it a success, whose features are all errors.
    assert chronon_answer(join_of(), answer).keys() == answer.failures.keys()


def test_a_part_whose_dataset_cannot_be_read_fails_alone() -> None:
    store = stored()
    store.broken = "SHOP_USERS_STREAMING"
    answer = joined(fetcher_of(join_of(), store), ROW)
    assert "the disk is on fire" in str(answer_of(answer)["buyer_shop_users_exception"])
    assert answer.features == {SHOP: 7.0}


def test_a_part_without_a_fetcher_fails_alone() -> None:
    fetcher = fetcher_of(join_of())
    error = GroupByError("the store holds nothing of GroupBy 'shop.shops'")
    without = replace(fetcher, parts={**fetcher.parts, "shop.shops": error})
    assert answer_of(joined(without, ROW))["shop_shops_exception"] == str(error)
    unknown = replace(fetcher, parts={"shop.users": fetcher.parts["shop.users"]})
    assert answer_of(joined(unknown, ROW))["shop_shops_exception"] == (
        "GroupBy 'shop.shops' is not known"
    )


RENAMES = [Derivation("*", "*"), Derivation("bought", BUYER), Derivation("who", "seller")]


def test_renames_are_made_of_columns_and_keys() -> None:
    answer = joined(fetcher_of(join_of(RENAMES)), ROW)
    assert answer_of(answer) == {"bought": 5.0, "who": 2, SELLER: 10.0, SHOP: 7.0}
    unknown = joined(fetcher_of(join_of(RENAMES)), {**ROW, "buyer": 98, "seller": 99})
    assert answer_of(unknown) == {"bought": None, "who": 99, SELLER: None, SHOP: None}
    assert chronon_answer(join_of(RENAMES), unknown) == {"bought": None, "who": 99}


def test_what_is_derived_of_a_failed_part_is_not_answered() -> None:
    join = join_of(RENAMES)
    answer = joined(fetcher_of(join), {"seller": 2, "shop": "a"})
    assert answer.features == {"who": 2, SELLER: 10.0}
    assert set(answer.failures) == {"buyer_shop_users_exception", "shop_shops_exception"}
    # Chronon renames what is not there to null.
    assert chronon_answer(join, answer) == {**answer_of(answer), "bought": None}


def spark(columns: Sequence[str]) -> Any:
    """A stand-in for Spark: adds two columns, and fails on a text."""

    def derive(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        made = [[row[name] for name in columns] for row in rows]
        return [{"both": None if None in pair else sum(pair)} for pair in made]

    return derive


def test_expressions_are_derived_of_all_rows_at_once() -> None:
    join = join_of([Derivation("both", f"{BUYER} + {SELLER}")])
    fetcher = fetcher_of(join, derive=spark([BUYER, SELLER]))
    rows = [ROW, {**ROW, "seller": 1}, {"buyer": 1, "shop": "a"}]
    answers = fetcher.fetch(rows, AT_MS)
    assert [each.features for each in answers] == [{"both": 15.0}, {"both": 10.0}, {}]
    assert chronon_answer(join, answers[2])["both"] is None
    with pytest.raises(GroupByError, match="its derivations are Spark expressions"):
        fetcher_of(join).fetch(rows, AT_MS)


class Accounts:
    """Ages by account, of which 13 is refused; counts its calls."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def __call__(self, keys: Sequence[Mapping[str, Any]]) -> list[Any]:
        self.asked.append(list(keys))
        return [LookupError("no 13") if k["id"] == 13 else {"age": k["id"] * 10} for k in keys]

    async def later(self, keys: Sequence[Mapping[str, Any]]) -> list[Any]:
        await asyncio.sleep(0)
        return self(keys)


def with_accounts(*derivations: Derivation, dialect: Any = AIRBNB) -> Join:
    seller = {**ACCOUNTS, "keyMapping": {"seller": "id"}, "prefix": "seller"}
    return join_of(derivations, [ACCOUNTS, seller, CONTEXT], dialect)


@pytest.mark.parametrize("is_async", [False, True])
def test_an_external_source_is_asked_once_for_the_keys_of_all_rows(is_async: bool) -> None:
    accounts = Accounts()
    handler = accounts.later if is_async else accounts
    fetcher = fetcher_of(with_accounts(), handlers={"accounts": handler})
    rows = [{**ROW, "page": "5"}, ROW, {**ROW, "buyer": 13}]
    answers = fetcher.fetch(rows, AT_MS)
    assert accounts.asked == [[{"id": 1}, {"id": 13}, {"id": 2}]]
    first, second, third = map(answer_of, answers)
    external = {"ext_accounts_age": 10, "ext_seller_accounts_age": 20, "ext_contextual_page": 5}
    assert {**external, BUYER: 5.0, SELLER: 10.0, SHOP: 7.0} == first
    assert second["ext_contextual_page"] is None
    assert third["ext_accounts_exception"] == "external source 'accounts': no 13"
    assert third["ext_seller_accounts_age"] == 20
    assert "ext_accounts_age" not in third


def broken(_: Sequence[Any]) -> list[Any]:
    raise TimeoutError


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (broken, "TimeoutError"),
        (lambda _: [], "it gave 0 answers to 2 keys"),
        (lambda keys: [5 for _ in keys], "a mapping per key is expected"),
        (lambda _: 5, "has no len"),
        (None, "there is no handler for it"),
    ],
)
def test_a_failure_of_an_external_source_is_named_as_its_own(handler: Any, reason: str) -> None:
    handlers = {} if handler is None else {"accounts": handler}
    answer = joined(fetcher_of(with_accounts(), handlers=handlers), ROW)
    for name in ("ext_accounts_exception", "ext_seller_accounts_exception"):
        assert answer.failures[name].cause is Cause.EXTERNAL
        assert answer.failures[name].reason.startswith("external source 'accounts': ")
        assert reason in answer.failures[name].reason
    assert answer.features == {BUYER: 5.0, SELLER: 10.0, SHOP: 7.0, "ext_contextual_page": None}


def test_a_key_that_an_external_source_lacks_fails_that_source() -> None:
    fetcher = fetcher_of(with_accounts(), handlers={"accounts": Accounts()})
    answer = joined(fetcher, {"seller": 2, "shop": "a", "page": "x"})
    assert answer_of(answer)["ext_accounts_exception"] == "key column buyer is missing"
    assert answer_of(answer)["ext_seller_accounts_age"] == 20
    assert "'x' is not of type long" in str(answer_of(answer)["ext_contextual_exception"])


def test_derived_features_of_a_groupby_that_failed_are_named_in_the_join() -> None:
    join = join_of(users=[Derivation("twice", "n_sum_1h * 2"), Derivation("same", "n_sum_1h")])

    def derive(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [{"same": row["n_sum_1h"], "derivation_fetch_exception": "no"} for row in rows]

    fetcher = fetcher_of(join)
    users = fetcher.parts["shop.users"]
    assert not isinstance(users, GroupByError)
    parts = {**fetcher.parts, "shop.users": replace(users, derive=derive)}
    answer = answer_of(joined(replace(fetcher, parts=parts), ROW))
    assert answer == {
        "buyer_shop_users_same": 5.0,
        "buyer_shop_users_derivation_fetch_exception": "no",
        "seller_shop_users_same": 10.0,
        "seller_shop_users_derivation_fetch_exception": "no",
        SHOP: 7.0,
    }
