"""Joins: Chronon's Fetcher and ours answer alike over one store, exceptions by the same names.

`pytest tests/golden --golden DIR` runs these on another folder of vectors of the same form.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from fetches import CaseStore, FetchCase, fetch_cases
from test_vectors import same_value

from chronon_beam.api.dialect import dialect
from chronon_beam.api.group_by import GroupByError
from chronon_beam.api.join_json import parse_join_conf
from chronon_beam.api.records import GetRequest, TimedValue
from chronon_beam.fetcher.failed_derivation import DERIVATION_FAILED
from chronon_beam.fetcher.fetch import Derive, Fetcher
from chronon_beam.fetcher.joins.answer import JoinAnswer
from chronon_beam.fetcher.joins.external import ExternalHandler
from chronon_beam.fetcher.joins.fetch import JoinFetcher
from chronon_beam.fetcher.rows import Cause, RowAnswer, RowFailure
from chronon_beam.fetcher.server.join_avro import join_schema
from chronon_beam.fetcher.server.metrics import Metrics
from chronon_beam.fetcher.server.served_join import ServedJoin
from chronon_beam.pipeline.joined import join_derivations, spark_join_derivations


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    folder = Path(metafunc.config.getoption("--golden"))
    cases = [case for case in fetch_cases(folder) if case.data.get("join")]
    if metafunc.function is test_schemas_are_those_that_chronon_tells:
        cases = [case for case in cases if "schema" in case.data]
    metafunc.parametrize("case", [pytest.param(case, id=case.name) for case in cases])


class SilentStore(CaseStore):
    """Gives nothing, and no error, for what cannot be read: so Chronon takes it."""

    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        assert not self.broken, "the store is down"
        readable = [each for each in requests if each.dataset not in self.failing]
        found = dict(zip(readable, super().multi_get(readable), strict=True))
        return [found.get(each, []) for each in requests]


def handler_of(given: Mapping[str, Any]) -> ExternalHandler:
    """An external source that answers the same to each key, or fails."""

    def handler(keys: Sequence[Mapping[str, object]]) -> list[Any]:
        if "fails" in given:
            raise RuntimeError(given["fails"])
        return [given["values"] for _ in keys]

    return handler


def join_fetcher(case: FetchCase, store: CaseStore, at_once: bool) -> JoinFetcher:
    """A fetcher; its derivations are planned at once, as the server does, or when first needed."""
    join = parse_join_conf(case.data["join"], dialect(case.data["dialect"]), case.name)
    parts: dict[str, Fetcher | GroupByError] = dict(case.fetchers(store))
    for name in {part.group_by.name for part in join.parts} - parts.keys():
        parts[name] = GroupByError(f"the store holds nothing of GroupBy {name!r}")
    handlers = {name: handler_of(each) for name, each in case.data.get("external", {}).items()}
    derive: Derive | GroupByError | None
    try:
        derive = (spark_join_derivations if at_once else join_derivations)(join, parts)
    except GroupByError as error:
        derive = error
    return JoinFetcher(join, store, parts, handlers, derive)


def is_refused(fetcher: JoinFetcher, keys: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    """Whether Chronon's whole call fails, or cuts off a part of a number to make a key of it."""
    of_parts = {left for part in fetcher.join.parts for left in part.left_columns.values()}
    numbers = [keys[left] for left in of_parts & keys.keys() if isinstance(keys[left], float)]
    return "fails" in answer or any(not number.is_integer() for number in numbers)


def test_chronons_fetcher_gives_the_same_map(case: FetchCase) -> None:
    store = case.store()
    silent = SilentStore(str(case.path), store.failing, store.broken)
    fetcher = join_fetcher(case, silent, at_once=True)
    for request, answer in case.asked:
        (joined,) = fetcher.fetch([request["keys"]], request["at_ms"])
        if is_refused(fetcher, request["keys"], answer):
            assert {each.cause for each in joined.failures.values()} in ({Cause.KEY}, {Cause.STORE})
            continue
        outcome, theirs = fetcher.as_chronon(joined), answer["features"]
        assert isinstance(outcome, RowAnswer)
        ours = outcome.features
        if "ClassCastException" in str(theirs.get("derivation_fetch_exception")):
            # Zipline's Fetcher does not cast the keys that a join's derivations use; ours does.
            assert not joined.failures
            continue
        assert ours.keys() == theirs.keys(), request
        for name, value in theirs.items():
            alike = isinstance(value, str) and isinstance(ours[name], str)
            exception = name.endswith("_exception") and alike
            assert exception or same_value(ours[name], value, 1e-9), (name, request)


def test_our_own_answer_hides_no_failure(case: FetchCase) -> None:
    store = case.store()
    fetcher = join_fetcher(case, store, at_once=False)
    for request, answer in case.asked:
        (joined,) = fetcher.fetch([request["keys"]], request["at_ms"])
        theirs, outcome = answer.get("features", {}), joined.outcome
        values = {name: value for name, value in theirs.items() if not is_exception(name)}
        if isinstance(outcome, RowFailure):
            # No part has given an answer; Chronon has none, or an empty one for what it could not
            # read.
            assert not values or store.failing
            continue
        ours = {n: value for n, value in outcome.features.items() if not is_exception(n)}
        renamed = renamed_alone(joined)
        for name in ours.keys() & values.keys():
            is_lost = bool(renamed) and values[name] is None
            assert is_lost or same_value(ours[name], values[name], 1e-9), (name, request)
        if store.failing:
            assert Cause.STORE in {each.cause for each in joined.failures.values()}
        elif values and not is_refused(fetcher, request["keys"], answer):
            # What we do not give is made of a part that has failed.
            assert values.keys() - ours.keys() <= joined.doubtful.keys()
            more = {name: ours[name] for name in ours.keys() - values.keys()}
            assert all(value is None or name.startswith(renamed) for name, value in more.items())


def test_schemas_are_those_that_chronon_tells(case: FetchCase) -> None:
    fetcher = join_fetcher(case, case.store(), at_once=True)
    ours = join_schema(ServedJoin(fetcher, Metrics().named("join", case.name)))
    told = case.data["schema"]
    assert {name: ours[name] for name in told} == told


def renamed_alone(joined: JoinAnswer) -> tuple[str, ...]:
    """What columns begin with of whose derivations we give the renames alone, and Chronon none."""
    failed = [name for name in joined.failures if name.endswith(DERIVATION_FAILED)]
    return tuple(name.removesuffix(DERIVATION_FAILED) for name in failed)


def is_exception(name: str) -> bool:
    return name.endswith("_exception")
