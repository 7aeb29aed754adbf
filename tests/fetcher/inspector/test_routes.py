"""What the page answers over HTTP: statuses in the user's words, and headers that keep it safe."""

import re
from dataclasses import replace
from html import unescape

import httpx
import pytest
from inspected import Written
from shop import ACCOUNTS, PROFILES, Shelf

from chronon_beam.api.records import GetRequest, TimedValue
from chronon_beam.fetcher.fetch import Fetcher

NOON = "2024-10-04T12:00:00Z"
ALICE = {"group_by": "ice_cream.group_by.ice_cream_group_by", "key.customer_id": "Alice"}
FLIGHTS = {"group_by": "flights.delays", "key.carrier": "UA", "key.origin": "EWR"}


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({}, 200, "Choose a GroupBy"),
        ({"group_by": "flights.delays"}, 200, "Type in a key of flights.delays"),
        ({"group_by": "no.such"}, 404, "no.such is not here. Here are: flights.delays"),
        ({**ALICE, "feature": "no_such"}, 404, "no_such is not one. There are: customer_id_count"),
        ({**ALICE, "key.customer_id": "Eve"}, 404, "The store does not know this key"),
        ({**ALICE, "at": "noon"}, 400, "is no time: give milliseconds since the epoch"),
        ({**ALICE, "at": "9" * 17}, 400, "is not in the years 1 to 9999"),
        ({**ALICE, "compare": "noon"}, 400, "is no time"),
        ({"group_by": "flights.delays", "key.carrier": "UA"}, 400, "key column origin is missing"),
        ({**FLIGHTS, "at": "2013-01-01"}, 422, "before the end of the batch values"),
        ({**ALICE, "at": "2013-01-01"}, 200, "What the store has of it last begins"),
        ({**ALICE, "at": "300000"}, 200, "number of values that are not null"),
    ],
)
def test_answers(address: str, asked: dict[str, str], status: int, said: str) -> None:
    answer = httpx.get(address, params=asked)
    assert answer.status_code == status
    assert said.lower() in answer.text.lower().replace("&#39;", "'")
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"


def text_of(answer: httpx.Response) -> str:
    """What a page says, without its tags."""
    return " ".join(re.sub(r"<[^>]*>", " ", unescape(answer.text)).split())


def test_value_of_a_snapshot_is_that_of_the_batch_end_and_others_are_derived_from_it(
    address: str,
) -> None:
    asked = {"group_by": PROFILES, "key.customer": "Ann", "feature": "price_sum_7d", "at": NOON}
    said = text_of(httpx.get(address, params=asked))
    assert "It begins 2024-09-27 00:00 It ends 2024-10-04 00:00, the end of the batch" in said
    assert "for the batch's end, 2024-10-04 00:00. Nothing is merged when it is read" in said
    assert "price_sum_7d SUM of price 7 d 5.5" in said
    assert "mean_price derived: price_sum_7d / price_count_7d 2.75" in said
    unknown = httpx.get(address, params={**asked, "key.customer": "Eve"})
    assert unknown.status_code == 404


def test_derivation_that_cannot_be_evaluated_says_why_beside_the_values(
    address: str, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf.written[PROFILES], "derive", None)
    answer = httpx.get(address, params={"group_by": PROFILES, "key.customer": "Ann", "at": NOON})
    assert answer.status_code == 200
    said = text_of(answer)
    assert "derivations are Spark expressions" in said
    assert "price_sum_7d SUM of price 7 d 5.5" in said


def test_row_of_an_entity_is_taken_back_in_a_step_of_its_own(address: str) -> None:
    asked = {"group_by": ACCOUNTS, "key.user": "Ann", "at": NOON}
    answer = httpx.get(address, params=asked)
    said = text_of(answer)
    assert "row 2024-10-04 11:00, changed 2024-10-04 11:10 18 bytes takes back balance = 10" in said
    assert "Each bar is a row" in said
    assert "SUM of balance over 6 h: sum; of integers it wraps at 64 bits" in said
    assert "Value of balance_sum_6h 32.0" in said
    before = {**asked, "at": "2024-10-04T11:10:00Z"}
    assert "Value of balance_sum_6h 17.0" in text_of(httpx.get(address, params=before))


def test_nothing_but_its_own_files_is_given_out(address: str) -> None:
    assert httpx.get(f"{address}assets/inspect.css").status_code == 200
    assert httpx.get(f"{address}assets/routes.py").status_code == 404
    assert httpx.get(f"{address}assets/..%2froutes.py").status_code == 404
    assert httpx.post(address).status_code == 405


class _Failing:
    """Answers a number of reads with nothing, and fails from then on."""

    def __init__(self, answered: int) -> None:
        self._left = answered

    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        if not self._left:
            raise ConnectionError("connection refused by bigtable.example")
        self._left -= 1
        return [[] for _ in requests]


@pytest.mark.parametrize("answered", [0, 1])
def test_store_that_is_down_is_said(
    answered: int, address: str, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetcher(of: Shelf, name: str) -> Fetcher:
        made: Written = of.written[name]
        return replace(made.fetcher, store=_Failing(answered))

    monkeypatch.setattr(Shelf, "fetcher", fetcher)
    answer = httpx.get(address, params=ALICE)
    assert answer.status_code == 503
    assert "connection refused by bigtable.example" in answer.text
