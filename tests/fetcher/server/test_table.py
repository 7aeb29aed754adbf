"""Each case of docs/serving.md's table, without `--compat` and with it."""

from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest
from running import running
from stores import (
    ANN,
    AT_MS,
    BATCH_ALONE,
    MERGED,
    NOTHING,
    STREAMED,
    Breakable,
    filled,
    join,
    put_tiles,
    with_derivations,
)

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.derivations import rename_only, renamed
from chronon_beam.fetcher.fetch import Derive
from chronon_beam.fetcher.server.served import Declarations, ServableJoin
from chronon_beam.fetcher.server.settings import Settings

Body = dict[str, Any]


def failing(plan: Plan) -> Derive | None:
    """What Spark gives of a derivation that fails for every row."""
    if rename_only(plan.group_by.derivations):
        return None
    names = [feature.name for feature in plan.group_by.features]

    def derive(rows: Sequence[Any]) -> list[dict[str, Any]]:
        made = [renamed(plan.group_by.derivations, row, names) for row in rows]
        return [{**each, "derivation_fetch_exception": "no column half"} for each in made]

    return derive


def declared() -> Declarations:
    """Two joins, one of each dialect."""
    joins = (join("t.join"), join("z.join", "zipline", "z"))
    return Declarations(joins=tuple(ServableJoin(each, {}) for each in joins))


@pytest.fixture(scope="module", name="store")
def _store() -> Breakable:
    store = filled("table")
    for name, dialect in (("t.derived", "airbnb"), ("z.derived", "zipline")):
        put_tiles(store, with_derivations(name, dialect), ANN)
    return store


@pytest.fixture(scope="module", name="honest")
def _honest(store: Breakable) -> Iterator[httpx.Client]:
    settings = Settings(local=True, access_log=False)
    with running(store, settings, failing, declared()) as client:
        yield client


@pytest.fixture(scope="module", name="compat")
def _compat(store: Breakable) -> Iterator[httpx.Client]:
    settings = Settings(local=True, compat=True, access_log=False)
    with running(store, settings, failing, declared()) as client:
        yield client


@pytest.fixture(autouse=True)
def _whole(store: Breakable) -> Iterator[None]:
    yield
    store.broken = ()


@pytest.fixture(params=["/v1/features/groupby/", "/v1/fetch/groupby/"], name="path")
def _path(request: pytest.FixtureRequest) -> str:
    return request.param


def asked(client: httpx.Client, path: str, rows: Any, status: int = 200) -> Body:
    answer = client.post(path, params={"at": AT_MS}, json=rows)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def success(keys: Body, features: Body) -> Body:
    return {"status": "Success", "entityKeys": keys, "features": features}


def failure(keys: Body, error: str) -> Body:
    return {"status": "Failure", "entityKeys": keys, "error": error}


def test_rows_that_are_found(honest: httpx.Client, compat: httpx.Client, path: str) -> None:
    cast = {"user": "Ann", "shop": "1", "page": [1]}
    unknown = {"user": "Eve", "shop": 1}
    none = {"status": "Success", "entityKeys": unknown}
    for client, second in ((honest, success(unknown, NOTHING)), (compat, none)):
        expected = {"results": [success(cast, MERGED), second]}
        assert asked(client, f"{path}t%2Fboth", [cast, unknown]) == expected
        assert asked(client, f"{path}t.both", []) == {"results": []}


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"{}", b"[1]", b"[null]", b"\xff", b"[NaN]"])
def test_body_that_is_not_json(
    honest: httpx.Client, compat: httpx.Client, path: str, body: bytes
) -> None:
    for client in (honest, compat):
        answer = client.post(f"{path}t.both", content=body)
        assert answer.status_code == 400
        [reason] = answer.json()["errors"]
        assert "the body is not" in reason


def test_fetch_that_fails_whole(
    honest: httpx.Client, compat: httpx.Client, path: str, store: Breakable
) -> None:
    store.broken = ("_STREAMING", "_BATCH")
    [result] = asked(honest, f"{path}t.tiles", [ANN])["results"]
    reason = "the store could not be read: T_TILES_STREAMING is away"
    assert result == failure(ANN, reason)
    assert asked(compat, f"{path}t.tiles", [ANN], 500) == {"errors": [reason]}


def test_unknown_group_by(honest: httpx.Client, compat: httpx.Client, path: str) -> None:
    reason = "nothing of the name 't.none' is served"
    assert asked(honest, f"{path}t.none", [ANN, ANN], 404) == {"errors": [reason]}
    results = asked(compat, f"{path}t.none", [ANN, ANN])["results"]
    assert [each["status"] for each in results] == ["Failure", "Failure"]
    assert "group by serving info" in results[0]["error"]
    for client, status in ((honest, 404), (compat, 500)):
        answer = client.get("/v1/groupby/t%0Anone/schema")
        assert answer.status_code == status
        assert answer.json() == {"errors": ["nothing of the name 't\\nnone' is served"]}


def test_derivation_that_fails(honest: httpx.Client, compat: httpx.Client, path: str) -> None:
    why = "no column half"
    renames = {"sum": 4.0, "derivation_fetch_exception": why}
    no_renames = "Chronon makes no renames beside derivations that are no renames"
    airbnb = {"derivation_fetch_exception": why, "derivation_rename_exception": no_renames}
    for client, name, features in (
        (honest, "t.derived", renames),
        (honest, "z.derived", renames),
        (compat, "t.derived", airbnb),
        (compat, "z.derived", {"derivation_exception": why}),
    ):
        assert asked(client, path + name, [ANN]) == {"results": [success(ANN, features)]}


def test_null_keys(honest: httpx.Client, compat: httpx.Client, path: str) -> None:
    half, all_null = {"user": None, "shop": 1}, {"user": None, "shop": None}
    rows = [half, ANN, all_null]
    null = "the key is null"
    found, nothing = success(ANN, MERGED), success(half, NOTHING)
    none = {"status": "Success", "entityKeys": half}
    for client, name, expected in (
        (honest, "t.both", [failure(half, null), found, failure(all_null, null)]),
        (honest, "z.both", [nothing, found, failure(all_null, null)]),
        (compat, "t.both", [found]),
        (compat, "z.both", [none, found]),
    ):
        assert asked(client, path + name, rows) == {"results": expected}


def test_stream_that_cannot_be_read(
    honest: httpx.Client, compat: httpx.Client, path: str, store: Breakable
) -> None:
    store.broken = ("_STREAMING",)
    reason = "the store could not be read: T_BOTH_STREAMING is away"
    assert asked(honest, f"{path}t.both", [ANN]) == {"results": [failure(ANN, reason)]}
    assert asked(compat, f"{path}t.both", [ANN]) == {"results": [success(ANN, BATCH_ALONE)]}


def test_batch_that_cannot_be_read(
    honest: httpx.Client, compat: httpx.Client, path: str, store: Breakable
) -> None:
    ann = {"user": "Ann", "shop": 2}  # of whom no batch value is in memory
    store.broken = ("_BATCH",)
    reason = "the store could not be read: T_BOTH_BATCH is away"
    assert asked(honest, f"{path}t.both", [ann]) == {"results": [failure(ann, reason)]}
    [result] = asked(compat, f"{path}t.both", [ann])["results"]
    assert result == {"status": "Success", "entityKeys": ann}


def test_batch_that_is_too_old(honest: httpx.Client, compat: httpx.Client, path: str) -> None:
    for client, warns in ((honest, True), (compat, False)):
        answer = client.post(f"{path}t.both", params={"at": AT_MS + 172_800_000}, json=[ANN])
        [result] = answer.json()["results"]
        assert result["status"] == "Success"
        assert ("warnings" in result) == warns
        assert not warns or "1970-01-02T00:00+00:00" in result["warnings"][0]


def test_tiles_without_batch_values(honest: httpx.Client, compat: httpx.Client, path: str) -> None:
    for client in (honest, compat):
        assert asked(client, f"{path}t.tiles", [ANN]) == {"results": [success(ANN, STREAMED)]}
