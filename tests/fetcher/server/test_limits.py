"""What a server refuses, and that nothing in it grows without bound."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from threading import Event, Thread
from typing import Any

import httpx
import pytest
from running import WAIT_S, running
from sockets import HASTY, IMPATIENT, PATIENT, answered, connected, head, is_closed_by_server
from stores import ANN, AT_MS, Breakable, filled

from chronon_beam.api.records import GetRequest, TimedValue
from chronon_beam.fetcher.server.settings import ServerLimits, Settings

PATH = f"/v1/fetch/groupby/t.both?at={AT_MS}"
MANY = [ANN] * 50
"""So many rows are read in a thread."""


class Stopping(Breakable):
    """A store whose reads of tiles wait while `goes` is not set."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.goes, self.waits = Event(), Event()
        self.goes.set()

    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        if not self.goes.is_set():
            self.waits.set()
            assert self.goes.wait(WAIT_S)
        return super().multi_get(requests)


@pytest.fixture(scope="module", name="store")
def _store() -> Stopping:
    filled("limits")
    return Stopping("limits")


@pytest.fixture(scope="module", name="client")
def _client(store: Stopping) -> Iterator[httpx.Client]:
    with running(store, quiet(PATIENT)) as client:
        yield client


@pytest.fixture(scope="module", name="hasty")
def _hasty(store: Stopping) -> Iterator[httpx.Client]:
    with running(store, quiet(HASTY)) as client:
        yield client


def quiet(limits: ServerLimits = PATIENT) -> Settings:
    return Settings(local=True, access_log=False, limits=limits)


def reason(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    [found] = answer.json()["errors"]
    return found


def test_large_body_is_refused(client: httpx.Client) -> None:
    body = json.dumps([{**ANN, "more": "x" * 20_000}]).encode()
    assert "more than 10000 bytes" in reason(client.post(PATH, content=body), 413)
    chunks = (body[at : at + 500] for at in range(0, len(body), 500))
    assert "more than 10000 bytes" in reason(client.post(PATH, content=chunks), 413)


def test_body_without_end_is_refused(client: httpx.Client) -> None:
    with connected(client) as connection:
        connection.sendall(head(PATH, None))
        for _ in range(11):
            connection.sendall(b"3e8\r\n" + b" " * 1_000 + b"\r\n")
        assert answered(connection)[0] == 413


def test_too_many_rows_are_refused(client: httpx.Client) -> None:
    assert "101 rows: at most 100" in reason(client.post(PATH, json=[{}] * 101), 422)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("at=now", "at='now'"),
        ("at=-1", "at='-1'"),
        ("at=99999999999999999999", "at='999"),
        ("at=253402300800000", "at='2534"),
        ("features=n_sum_1h,no", "no feature 'no'"),
        ("feature=n", "'feature' is not known"),
        ("&".join(f"p{i}=1" for i in range(20)), "too many parameters"),
    ],
)
def test_wrong_parameters_are_refused(client: httpx.Client, query: str, said: str) -> None:
    answer = client.post(f"/v1/fetch/groupby/t.both?{query}", json=[ANN])
    assert said in reason(answer, 422)


def test_features_are_chosen(client: httpx.Client) -> None:
    answer = client.post(f"{PATH}&features=n_sum_7d", json=[ANN])
    assert answer.json()["results"][0]["features"] == {"n_sum_7d": 104.0}


def test_encoded_body_is_refused(client: httpx.Client) -> None:
    answer = client.post(PATH, content=b"[]", headers={"content-encoding": "gzip"})
    assert "encoded" in reason(answer, 415)


def test_slow_body_is_refused(hasty: httpx.Client) -> None:
    with connected(hasty) as connection:
        connection.sendall(head(PATH, 100) + b"[")
        status, body = answered(connection)
        assert status == 408, body
        assert is_closed_by_server(connection)


def test_slow_head_is_not_waited_for(hasty: httpx.Client) -> None:
    with connected(hasty) as silent, connected(hasty) as slow:
        slow.sendall(b"POST /v1/fetch")
        assert is_closed_by_server(silent)
        assert is_closed_by_server(slow)


def test_body_that_comes_byte_by_byte_is_read(client: httpx.Client) -> None:
    body = json.dumps([ANN]).encode()
    with connected(client) as connection:
        connection.sendall(head(PATH, len(body)))
        for byte in body:
            connection.sendall(bytes([byte]))
        status, answer = answered(connection)
        assert status == 200
        assert len(json.loads(answer)["results"]) == 1


def test_headers_without_end_are_refused(client: httpx.Client) -> None:
    with connected(client) as connection:
        connection.sendall(head(PATH, 2)[:-2] + b"x: " + b"y" * 6_000)
        assert answered(connection)[0] == 431


def test_idle_connection_is_closed(hasty: httpx.Client) -> None:
    with connected(hasty) as connection:
        connection.sendall(head(PATH, 2) + b"[]")
        assert is_closed_by_server(connection)


def test_answers_that_are_not_read_are_dropped(hasty: httpx.Client) -> None:
    requests = b"GET /openapi.json HTTP/1.1\r\nhost: test\r\n\r\n" * 100
    with connected(hasty) as connection:
        connection.settimeout(0.05)
        try:
            while True:
                connection.sendall(requests)
        except (TimeoutError, ConnectionError):
            pass
        connection.settimeout(WAIT_S)
        assert is_closed_by_server(connection)


def test_more_connections_than_allowed_are_refused(client: httpx.Client) -> None:
    with ExitStack() as held:
        connections = [held.enter_context(connected(client)) for _ in range(12)]
        status, body = answered(connections[-1])
        assert status == 503
        assert b"too many connections" in body


def test_slow_store_holds_up_no_more_than_its_requests(store: Stopping) -> None:
    with running(store, quiet(IMPATIENT)) as client:
        store.goes.clear()
        try:
            late = [reason(client.post(PATH, json=MANY), 503) for _ in range(2)]
            assert ["has not answered within 0.2 s" in each for each in late] == [True] * 2
            more = client.post(PATH, json=MANY)
            assert "too many requests" in reason(more, 503)
            assert more.headers["retry-after"] == "1"
            assert client.get("/healthz").status_code == 200
            assert "chronon_server_in_flight 2.0" in client.get("/metrics").text
        finally:
            store.goes.set()
        wait_for(lambda: client.post(PATH, json=MANY).status_code == 200)
        wait_for(lambda: "chronon_server_in_flight 0.0" in client.get("/metrics").text)


def wait_for(is_so: Callable[[], bool]) -> None:
    """Waits for a fact; the test's own time limit ends it."""
    pause = Event()
    while not is_so():
        pause.wait(0.05)


def test_token_is_asked_for(store: Stopping) -> None:
    with running(store, replace(quiet(), token="s3cret")) as client:
        for wrong in ({}, {"authorization": "Bearer s3cre"}, {"authorization": "s3cret"}):
            answer = client.post(PATH, json=[ANN], headers=wrong)
            assert "bearer token" in reason(answer, 401)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert client.get("/metrics", headers=wrong).status_code == 401
        right = {"authorization": "Bearer s3cret"}
        assert client.post(PATH, json=[ANN], headers=right).status_code == 200
        for path in ("/ping", "/healthz", "/readyz"):
            assert client.get(path).status_code == 200
        assert "s3cret" not in client.get("/config", headers=right).text


def test_access_log_has_one_line_per_request_and_no_keys(
    store: Stopping, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(store, replace(quiet(), access_log=True)) as client:
        client.post(PATH, json=[{"user": "Ann", "shop": 1}, {"user": "Eve", "shop": 2}])
        client.get("/v1/groupby/%0d%0aX-Forged:%201%22/status?user=Eve")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["status"], line["rows"]) for line in lines] == [(200, 2), (404, None)]
    assert lines[1]["path"] == "/v1/groupby/%0d%0aX-Forged:%201%22/status"
    assert not any(name in str(lines) for name in ("Ann", "Eve"))


def test_nothing_of_a_request_is_put_into_headers(client: httpx.Client) -> None:
    for path in ("/ping/", "/v1/groupbys/", "//example.com/", "/v1/fetch/groupby/a%0d%0ab:%20c"):
        for answer in (client.get(path), client.post(path, json=[])):
            assert answer.status_code in (404, 405)
            assert "location" not in answer.headers
            assert "b" not in answer.headers


def test_store_that_is_away_at_the_start_is_taken_up_later() -> None:
    store = filled("away at the start")
    scan, away = store.scan, Event()

    def scanned(dataset: str) -> Any:
        if not away.is_set():
            raise ConnectionError("the store is away")
        return scan(dataset)

    store.scan = scanned  # type: ignore[method-assign]
    with running(store, replace(quiet(), refresh_s=0.05)) as client:
        assert reason(client.get("/readyz"), 503)
        answer = client.post(PATH, json=[ANN])
        assert "not been read yet" in reason(answer, 503)
        assert answer.headers["retry-after"] == "1"
        away.set()
        wait_for(lambda: client.get("/readyz").status_code == 200)
        assert client.post(PATH, json=[ANN]).status_code == 200


def test_store_that_is_silent_is_not_ready() -> None:
    store = filled("silent")
    scan, speaks = store.scan, Event()
    speaks.set()

    def scanned(dataset: str) -> Any:
        assert speaks.wait(WAIT_S)
        return scan(dataset)

    store.scan = scanned  # type: ignore[method-assign]
    with running(store, replace(quiet(), refresh_s=0.05, silence_s=0.1)) as client:
        wait_for(lambda: client.get("/readyz").status_code == 200)
        speaks.clear()
        try:
            wait_for(lambda: client.get("/readyz").status_code == 503)
            assert client.post(PATH, json=[ANN]).status_code == 200
        finally:
            speaks.set()
        wait_for(lambda: client.get("/readyz").status_code == 200)


def test_requests_of_many_clients_at_once(store: Stopping) -> None:
    """More threads than the server has, of which each checks its own answers."""
    wrong: list[str] = []

    def ask(client: httpx.Client, number: int) -> None:
        for row in range(20):
            key = {"user": "Ann" if row % 2 else f"u{number}", "shop": 1}
            rows = [key] * (40 if row % 3 else 1)
            results = client.post(PATH, json=rows).json()["results"]
            expected = 104.0 if row % 2 else None
            if [each["features"]["n_sum_7d"] for each in results] != [expected] * len(rows):
                wrong.append(f"{number}: {results}")

    limits = replace(PATIENT, in_flight=8, connections=100)
    with running(store, quiet(limits)) as client:
        threads = [Thread(target=ask, args=(client, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong
