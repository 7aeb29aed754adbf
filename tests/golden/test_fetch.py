"""GroupBys fetched by themselves: Chronon's Fetcher and ours answer alike over one store.

What stands in the store was written by this project, so that these vectors also say that Chronon's
Fetcher reads its tiles, rows, batch values and serving info; in the cases `flink_*` Chronon's own
Flink job has written the tiles and rows.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from fetches import FetchCase, fetch_cases
from test_vectors import same_value

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.data_types import FLOAT
from chronon_beam.fetcher.failed_derivation import DERIVATION_FAILED, failed_group_by
from chronon_beam.fetcher.rows import (
    Cause,
    GroupByRows,
    RowAnswer,
    RowFailure,
    RowOutcome,
    fetch_rows,
)

VECTORS = Path(__file__).parent / "vectors"
FETCHES = [VECTORS / "fetch", VECTORS / "joins"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cases = [case for folder in FETCHES for case in fetch_cases(folder)]
    if metafunc.function is not test_chronon_has_read_what_an_upload_writes_for_it:
        cases = [case for case in cases if "join_name" not in case.data]
    metafunc.parametrize("case", [pytest.param(case, id=case.name) for case in cases])


def test_features_are_those_of_chronons_fetcher(case: FetchCase) -> None:
    store = case.store()
    fetchers = case.fetchers(store)
    for request, answer in case.asked:
        if request["group_by"] not in fetchers:
            # Where its store gives nothing for a key that it does not have, zipline's call fails.
            assert "SHOP_NOWHERE_BATCH" in answer.get("error", answer.get("throws"))
            continue
        fetcher, keys = fetchers[request["group_by"]], request["keys"]
        ((ours,),) = fetch_rows(store, [GroupByRows(fetcher, [keys])], request["at_ms"])
        if set(fetcher.plan.group_by.keys) - keys.keys():
            # Chronon takes a key column that a row lacks for null, and asks the store.
            assert isinstance(ours, RowFailure)
            assert ours.cause is Cause.KEY
        elif store.broken or store.failing:
            # Chronon answers with what it could read, and calls that a success.
            assert isinstance(ours, RowFailure)
            assert ours.cause is Cause.STORE
        elif any(each.element_wise for each in fetcher.plan.group_by.aggregations):
            # Chronon's reader forgets elementWise, and so cannot read what its own jobs write.
            assert isinstance(ours, RowAnswer)
            assert "error" in answer
        else:
            check(ours, answer, fetcher.plan, request)


def check(ours: RowOutcome, answer: dict[str, Any] | None, plan: Plan, request: Any) -> None:
    """One outcome against Chronon's answer to the same request."""
    if answer is None or "features" not in answer:
        assert isinstance(ours, RowFailure), request
        return
    assert isinstance(ours, RowAnswer), (ours, request)
    # Airbnb's Fetcher has no map for a key of which the store has nothing.
    theirs = answer["features"] or dict.fromkeys(ours.features)
    if any(name.startswith("derivation_") for name in theirs):
        # Chronon gives no renames where an expression has failed.
        renames = {each.name for each in plan.group_by.derivations if each.is_rename}
        assert ours.features.keys() == {*renames, DERIVATION_FAILED}
        named = failed_group_by(ours.features[DERIVATION_FAILED], plan.group_by.dialect)
        assert named.keys() == theirs.keys()
        return
    assert ours.features.keys() == theirs.keys()
    # A float has six digits, as JSON has it from Java.
    floats = {
        feature.name
        for feature in plan.group_by.features
        if FLOAT.name in plan.aggregator.columns[feature.tile_index].operation.output_type.name
    }
    for name, value in theirs.items():
        tolerance = 1e-6 if name in floats else 1e-9
        assert same_value(ours.features[name], value, tolerance), (name, request)


def test_chronon_has_read_what_an_upload_writes_for_it(case: FetchCase) -> None:
    for name, batch in case.batches.items():
        noted = json.loads(batch.to_chronon())
        del noted["groupBy"]
        assert case.data["group_bys"][name]["serving_info"] in (noted, None)
