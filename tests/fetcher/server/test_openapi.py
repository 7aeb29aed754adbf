"""Requests that schemathesis makes of the server's own /openapi.json, and the answers it tells."""

import os
from collections.abc import Iterator

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from running import WAIT_S, running
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sockets import PATIENT
from stores import filled, join

from chronon_beam.fetcher.server.openapi import document
from chronon_beam.fetcher.server.served import Declarations, ServableJoin
from chronon_beam.fetcher.server.settings import Settings

OPERATIONS = [
    f"{method.upper()} {path}"
    for path, operations in document(Settings())["paths"].items()
    for method in operations
    if path != "/openapi.json"  # schemathesis reads the document from there
]
EXAMPLES = int(os.environ.get("CHRONON_BEAM_FUZZED_BODIES", "2000")) // 200
"""How many requests are made of each operation."""

CHECKS = [content_type_conformance, response_schema_conformance, status_code_conformance]


@pytest.fixture(scope="module", params=[False, True], ids=["honest", "compat"], name="compat")
def _compat(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture(scope="module", name="client")
def _client(compat: bool) -> Iterator[httpx.Client]:
    declared = Declarations(joins=(ServableJoin(join("t.join"), {}),))
    served = Settings(local=True, compat=compat, access_log=False, limits=PATIENT)
    with running(filled("openapi"), served, declared=declared) as client:
        yield client


@pytest.fixture(scope="module", name="operations")
def _operations(client: httpx.Client) -> dict[str, APIOperation]:
    schema = schemathesis.openapi.from_url(f"{client.base_url}/openapi.json", timeout=WAIT_S)
    found = [each.ok() for each in schema.get_all_operations()]
    return {each.label: each for each in found}


def cases(operation: APIOperation, name: str) -> st.SearchStrategy[Case]:
    """Right and wrong requests, of any name and of one that is served."""
    right, wrong = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
    drawn = [operation.as_strategy(generation_mode=right)]
    if "{name}" in operation.path:
        drawn += [
            operation.as_strategy(generation_mode=mode, path_parameters={"name": name})
            for mode in (right, wrong)
        ]
    return st.one_of(drawn)


@pytest.mark.parametrize("label", OPERATIONS)
def test_answers_are_as_the_document_says(
    operations: dict[str, APIOperation], label: str, compat: bool
) -> None:
    operation = operations[label]
    name = "t.join" if "/join/" in label else "t.both"
    checks = [*CHECKS, *([] if compat else [not_a_server_error])]
    with requests.Session() as session:

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=[*HealthCheck],
        )
        @given(cases(operation, name))
        def ask(case: Case) -> None:
            response = case.call(session=session, timeout=WAIT_S)
            case.validate_response(response, checks=checks)

        ask()
