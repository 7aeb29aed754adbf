"""Joins over HTTP: each case of docs/serving.md's table, and Avro answers."""

import base64
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import fastavro
import httpx
import pytest
from running import running
from stores import ANN, AT_MS, Breakable, filled, join

from chronon_beam.api import GroupByError
from chronon_beam.api.data_types import DOUBLE
from chronon_beam.api.derivations import Derivation
from chronon_beam.api.join import Join
from chronon_beam.fetcher.fetch import Derive
from chronon_beam.fetcher.joins.types import Fetchers
from chronon_beam.fetcher.server.served import Declarations, ServableJoin
from chronon_beam.fetcher.server.settings import Settings

Body = dict[str, Any]
ROW = {**ANN, "buyer": "Ann"}
BOTH = {"t_both_n_sum_1h": 4.0, "t_both_n_sum_7d": 104.0}
BOUGHT = {"bought_t_tiles_n_sum_1h": 4.0, "bought_t_tiles_n_sum_7d": 4.0}
PATHS = ("/v1/features/join/", "/v1/fetch/join/")
MISSING = {"bought_t_tiles_exception": "key column buyer is missing"}
AWAY = {"bought_t_tiles_exception": "the store could not be read: T_TILES_STREAMING is away"}


@pytest.fixture(scope="module", name="store")
def _store() -> Breakable:
    return filled("joins over HTTP")


@pytest.fixture(autouse=True)
def _whole(store: Breakable) -> Iterator[None]:
    yield
    store.broken = ()


SUM = "t_both_n_sum_7d + bought_t_tiles_n_sum_7d"
DERIVATIONS = (Derivation("spent", "t_both_n_sum_1h"), Derivation("total", SUM))


class Total:
    """A stand-in for Spark: evaluates DERIVATIONS."""

    types: ClassVar = {"spent": DOUBLE, "total": DOUBLE}

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> list[Body]:
        spent, one, other = "t_both_n_sum_1h", *SUM.split(" + ")
        return [{"spent": row[spent], "total": row[one] + row[other]} for row in rows]


def refused(derived: Join, parts: Fetchers) -> Derive:
    raise GroupByError(f"Spark does not know a column of {derived.name} and {len(parts)} parts")


def serving(store: Breakable, compat: bool) -> Any:
    derived = join("t.derived", derivations=DERIVATIONS)
    joins = (
        ServableJoin(join("t.join"), {}),
        ServableJoin(derived, {}, lambda _, parts: Total()),
        ServableJoin(derived.named("t.refused"), {}, refused),
    )
    declared = Declarations(joins=joins)
    return running(store, Settings(local=True, compat=compat, access_log=False), declared=declared)


@pytest.fixture(scope="module", name="honest")
def _honest(store: Breakable) -> Iterator[httpx.Client]:
    with serving(store, compat=False) as client:
        yield client


@pytest.fixture(scope="module", name="compat")
def _compat(store: Breakable) -> Iterator[httpx.Client]:
    with serving(store, compat=True) as client:
        yield client


@pytest.fixture(params=PATHS, name="path")
def _path(request: pytest.FixtureRequest) -> str:
    return request.param


def asked(client: httpx.Client, path: str, rows: Any, status: int = 200) -> Body:
    answer = client.post(path, params={"at": AT_MS}, json=rows)
    assert answer.status_code == status, answer.text
    return answer.json()


def success(keys: Body, features: Body) -> Body:
    return {"results": [{"status": "Success", "entityKeys": keys, "features": features}]}


def test_join_is_fetched(honest: httpx.Client, compat: httpx.Client, path: str) -> None:
    for client in (honest, compat):
        assert asked(client, f"{path}t%2Fjoin", [ROW]) == success(ROW, {**BOTH, **BOUGHT})


def test_unknown_join(honest: httpx.Client, compat: httpx.Client) -> None:
    for path in PATHS:
        assert asked(honest, f"{path}t.none", [ROW], 404)["errors"]
    assert asked(compat, f"{PATHS[0]}t.none", [ROW], 500)["errors"]
    [result] = asked(compat, f"{PATHS[1]}t.none", [ROW])["results"]
    assert result["status"] == "Success"
    assert [*result["features"]] == ["join_codec_fetch_exception"]


def test_part_that_cannot_be_read(
    honest: httpx.Client, compat: httpx.Client, path: str, store: Breakable
) -> None:
    store.broken = ("T_TILES_STREAMING",)
    assert asked(honest, f"{path}t.join", [ROW]) == success(ROW, {**BOTH, **AWAY})
    # Chronon takes tiles that it cannot read for none.
    nothing = dict.fromkeys(BOUGHT)
    [result] = asked(compat, f"{path}t.join", [ROW])["results"]
    assert result["status"] == "Success"
    assert {**nothing, **result["features"]} == {**nothing, **BOTH}


def test_missing_join_key(honest: httpx.Client, compat: httpx.Client, path: str) -> None:
    for client in (honest, compat):
        assert asked(client, f"{path}t.join", [ANN]) == success(ANN, {**BOTH, **MISSING})


def test_fetch_that_fails_whole(
    honest: httpx.Client, compat: httpx.Client, path: str, store: Breakable
) -> None:
    store.broken = ("_STREAMING", "_BATCH")
    row = {**ROW, "shop": 7}  # of which no batch value is in memory
    [result] = asked(honest, f"{path}t.join", [row])["results"]
    assert result["status"] == "Failure"
    assert "is away" in result["error"]
    assert asked(compat, f"{path}t.join", [row], 500)["errors"]


def test_avro_answer_has_the_schema_that_is_told(
    honest: httpx.Client, compat: httpx.Client
) -> None:
    for client in (honest, compat):
        schema = client.get("/v1/join/t%2Fjoin/schema").json()
        first, second = asked(client, "/v2/fetch/join/t.join", [ROW, ANN])["results"]
        columns = {**BOTH, **BOUGHT}
        assert read(schema, first) == columns
        assert first["featuresErrors"] == {}
        assert first["entityKeys"] == ROW
        assert read(schema, second) == {**dict.fromkeys(columns), **BOTH}
        assert second["featuresErrors"] == MISSING
        assert [each["fullName"] for each in schema["valueInfos"]] == [*columns]
        assert {each["schemaString"] for each in schema["valueInfos"]} == {"double"}
        assert schema["valueInfos"][2]["leftKeys"] == ["buyer", "shop"]
        assert schema["joinName"] == "t.join"
        keys = json.loads(schema["keySchema"])["fields"]
        assert [each["name"] for each in keys] == ["user", "shop", "buyer"]
        assert len(schema["schemaHash"]) == 6


def test_expressions_are_derived_and_have_types(
    honest: httpx.Client, compat: httpx.Client, path: str
) -> None:
    features = {"spent": 4.0, "total": 108.0}
    for client in (honest, compat):
        assert asked(client, f"{path}t.derived", [ROW]) == success(ROW, features)
        schema = client.get("/v1/join/t.derived/schema").json()
        [result] = asked(client, "/v2/fetch/join/t.derived", [ROW])["results"]
        # The columns that they are derived of are in the schema, and not in the answer.
        assert read(schema, result) == {**dict.fromkeys({**BOTH, **BOUGHT}), **features}


def test_expressions_that_spark_refuses(
    honest: httpx.Client, compat: httpx.Client, path: str
) -> None:
    why = (
        "t.refused: its derivations cannot be evaluated: Spark does not know a column of t.refused"
    )
    why += " and 2 parts"
    failed = {"spent": 4.0, "derivation_fetch_exception": why}
    assert asked(honest, f"{path}t.refused", [ROW]) == success(ROW, failed)
    [result] = asked(compat, f"{path}t.refused", [ROW])["results"]
    assert [*result["features"]] == ["join_codec_fetch_exception"]
    assert honest.get("/v1/join/t.refused/schema").json() == {"errors": [why]}


def read(schema: Body, result: Body) -> Any:
    parsed = fastavro.parse_schema(json.loads(schema["valueSchema"]))
    return fastavro.schemaless_reader(
        io.BytesIO(base64.b64decode(result["featureAvroString"])), parsed, None
    )


def test_joins_are_listed(honest: httpx.Client, compat: httpx.Client) -> None:
    for client in (honest, compat):
        names = ["t.join", "t.derived", "t.refused"]
        assert client.get("/v1/joins").json() == {"joinNames": names}
    assert honest.get("/v1/join/t.none/schema").status_code == 404
    assert compat.get("/v1/join/t.none/schema").status_code == 500
