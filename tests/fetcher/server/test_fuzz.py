"""Requests of any shape: each is answered, none breaks the server, and the server does not grow.

With CHRONON_BEAM_FUZZED_BODIES=100000 it takes minutes; `-rP` prints how the server has grown.
"""

import json
import os
import random
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from threading import Event
from typing import Any

import httpx
import pytest
from fuzzed_process import fuzzed
from fuzzed_requests import Asked, asked
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sockets import WAIT_S
from stores import ANN, AT_MS, MERGED

BODIES = int(os.environ.get("CHRONON_BEAM_FUZZED_BODIES", "2000"))
"""How many bodies are sent, after a quarter as many that warm the server up."""

_EACH = 20
"""How many variants of a drawn request are sent over one connection."""

_GROWTH_KB = 24_000
_MORE = {"tasks": 0, "threads": 4, "files": 12}
"""Threads start when they are needed, and each has the store's files open."""

SOUND = f"/v1/features/groupby/t.both?at={AT_MS}"
_GROUP_BY = b"/v1/features/groupby/t.both"
_BODY = json.dumps([ANN]).encode()
BY_STATUS = {
    200: Asked(_GROUP_BY, _BODY),
    400: Asked(_GROUP_BY, b"{}"),
    404: Asked(b"/v1/features/groupby/t.none", _BODY),
    415: Asked(_GROUP_BY, _BODY, b"content-encoding: gzip\r\n"),
    422: Asked(_GROUP_BY + b"?at=x", _BODY),
}
"""A request for each status that there is."""


@pytest.fixture(scope="module", name="client")
def _client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with fuzzed(str(tmp_path_factory.mktemp("fuzzed") / "features.db")) as client:
        yield client


class Connection:
    """A connection that stays open for many requests, each sent when the last is answered."""

    def __init__(self, client: httpx.Client) -> None:
        place = (client.base_url.host, client.base_url.port or 80)
        self._socket = socket.create_connection(place, WAIT_S)
        self._received = self._socket.makefile("rb")

    def ask(self, request: Asked) -> tuple[int, Any]:
        """Status and JSON of the answer."""
        self._socket.sendall(request.raw)
        return self._answer()

    def _answer(self) -> tuple[int, Any]:
        line = self._received.readline()
        assert line.startswith(b"HTTP/1.1 "), line or "the server has closed the connection"
        status = line.split(b" ")[1]
        headers = dict[bytes, bytes]()
        while (line := self._received.readline()) != b"\r\n":
            name, colon, value = line.partition(b":")
            assert colon, line
            assert line.endswith(b"\r\n"), line
            headers[name.lower()] = value.strip()
        assert headers[b"content-type"] == b"application/json"
        body = self._received.read(int(headers[b"content-length"]))
        return int(status), json.loads(body, parse_constant=_no_constant)

    def close(self) -> None:
        """End it."""
        self._received.close()
        self._socket.close()


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def check(request: Asked, status: int, answer: Any) -> None:
    """An answer is one result per row, or says why there are none."""
    assert status in BY_STATUS, (request, status, answer)
    if status == 200:
        results = answer["results"]
        assert len(results) == request.rows, request
        assert {each["status"] for each in results} <= {"Success", "Failure"}, request
        failed = [each for each in results if each["status"] == "Failure"]
        assert all(each["error"] for each in failed), request
    else:
        [reason] = answer["errors"]
        assert reason, request


def fuzz(client: httpx.Client, bodies: int) -> dict[int, int]:
    """Send so many bodies; gives how many answers of each status there were."""
    statuses = dict[int, int]()

    @settings(
        max_examples=max(1, bodies // _EACH),
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    @given(asked(), st.integers(0, 2**32))
    def send(drawn: Asked, seed: int) -> None:
        chance = random.Random(seed)
        requests = [drawn, *(drawn.variant(chance) for _ in range(_EACH - 1))]
        with closing(Connection(client)) as connection:
            for request in requests:
                status, answer = connection.ask(request)
                check(request, status, answer)
                statuses[status] = statuses.get(status, 0) + 1

    send()
    return statuses


@pytest.mark.parametrize("status", BY_STATUS)
def test_request_of_each_status(client: httpx.Client, status: int) -> None:
    with closing(Connection(client)) as connection:
        given, answer = connection.ask(BY_STATUS[status])
        check(BY_STATUS[status], given, answer)
        assert given == status


def test_fuzzed_bodies_are_answered_and_the_server_does_not_grow(client: httpx.Client) -> None:
    fuzz(client, BODIES // 4)
    before = grown(client)
    statuses = fuzz(client, BODIES)
    after = settled(client, before)
    print(f"answers by status: {statuses}; before: {before}; after: {after}")
    assert sum(statuses.values()) >= BODIES * 0.9
    assert after["memory_kb"] <= before["memory_kb"] + _GROWTH_KB
    [result] = client.post(SOUND, json=[ANN]).json()["results"]
    assert result["features"] == MERGED


def settled(client: httpx.Client, before: dict[str, int]) -> dict[str, int]:
    """What the server has when it has ended what the client has left, which may take a while."""
    pause, until_s = Event(), time.monotonic() + WAIT_S
    while True:
        after = grown(client)
        if all(after[name] <= before[name] + more for name, more in _MORE.items()):
            return after
        assert time.monotonic() < until_s, f"the server has grown from {before} to {after}"
        pause.wait(0.05)


def grown(client: httpx.Client) -> dict[str, int]:
    """What the server has of each thing that could grow."""
    return client.get("/grown").json()
