"""What the page answers over HTTP: statuses in the user's words, and headers that keep it safe."""

from dataclasses import replace

import httpx
import pytest
from inspected import Written
from shop import Shelf

from chronon_beam.api.records import GetRequest, TimedValue
from chronon_beam.fetcher.fetch import Fetcher

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


def test_nothing_but_its_own_files_is_given_out(address: str) -> None:
    assert httpx.get(f"{address}assets/inspect.css").status_code == 200
    assert httpx.get(f"{address}assets/routes.py").status_code == 404
    assert httpx.get(f"{address}assets/..%2froutes.py").status_code == 404
    assert httpx.post(address).status_code == 405


class _Down:
    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        raise ConnectionError("connection refused by bigtable.example")


def test_store_that_is_down_is_said(
    address: str, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetcher(of: Shelf, name: str) -> Fetcher:
        made: Written = of.written[name]
        return replace(made.fetcher, store=_Down())

    monkeypatch.setattr(Shelf, "fetcher", fetcher)
    answer = httpx.get(address, params=ALICE)
    assert answer.status_code == 503
    assert "connection refused by bigtable.example" in answer.text
