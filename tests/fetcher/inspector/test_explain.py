"""Explanations end at the value that a fetch gives, and show the stored values that make it."""

from declarations import group_by, windows
from hypothesis import HealthCheck, given, settings
from inspected import END_MS, TYPES, Written, stores

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import Aggregation, EntitySource, Operation, Query, Source, select
from chronon_beam.fetcher.inspector.evidence import read_evidence
from chronon_beam.fetcher.inspector.explain import explain
from chronon_beam.fetcher.inspector.irs import NOTHING, WORDS


@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(stores())
def test_last_step_gives_what_fetch_gives(drawn: tuple[Written, int]) -> None:
    written, at_ms = drawn
    (fetched,) = written.fetcher.fetch([{"user": "Ann"}], at_ms)
    evidence = read_evidence(written.fetcher, {"user": "Ann"}, at_ms)
    assert repr(evidence.values) == repr(fetched)
    for name, value in fetched.items():
        steps = list(explain(evidence, name).steps())
        assert [step.number for step in steps] == list(range(1, len(steps) + 1))
        assert repr(steps[-1].value if steps else None) == repr(value), name
        assert all(step.holds and step.so_far for step in steps)
        if value is not None:
            assert steps[-1].so_far != NOTHING


def test_each_operation_has_words() -> None:
    assert set(WORDS) == set(Operation)


def test_rows_of_an_entity_are_taken_back() -> None:
    query = Query(
        select("user", "price"),
        time_column="made",
        mutation_time_column="changed",
        reversal_column="op = 'D'",
    )
    source = Source(entities=EntitySource(query=query, snapshotTable="data.a", mutationTopic="a"))
    sums = [Aggregation("price", Operation.SUM, windows("6h"))]
    plan = Plan(group_by("t.accounts", ["user"], sums, sources=source), TYPES)
    written = Written(plan, "rows")
    key = plan.keys.encode(["Ann"])
    for number, (price, is_before) in enumerate([(5.0, False), (2.0, False), (5.0, True)]):
        value = plan.rows.encode([price, END_MS, is_before])
        changed_ms = END_MS + number
        written.put(key, value, changed_ms, changed_ms, 0, f"log@{number}")
    evidence = read_evidence(written.fetcher, {"user": "Ann"}, END_MS + 10)
    steps = list(explain(evidence, "price_sum_6h").steps())
    assert [step.value for step in steps] == [5.0, 7.0, 2.0]
    assert steps[-1].holds == "takes back price = 5"
    assert evidence.values == {"price_sum_6h": 2.0}
