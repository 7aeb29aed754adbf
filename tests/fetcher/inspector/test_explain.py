"""Explanations end at the value that a fetch gives, and tell what is stored on the way there."""

from hypothesis import HealthCheck, given, settings
from inspected import Written, stores

from chronon_beam.api import Operation
from chronon_beam.fetcher.inspector.evidence import gather
from chronon_beam.fetcher.inspector.explain import explain
from chronon_beam.fetcher.inspector.irs import NOTHING, WORDS


@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(stores())
def test_last_step_gives_what_fetch_gives(drawn: tuple[Written, int]) -> None:
    written, at_ms = drawn
    (fetched,) = written.fetcher.fetch([{"user": "Ann"}], at_ms)
    evidence = gather(written.fetcher, {"user": "Ann"}, at_ms)
    assert repr(evidence.values) == repr(fetched)
    for name, value in fetched.items():
        steps = list(explain(evidence, name).steps())
        assert [step.number for step in steps] == list(range(1, len(steps) + 1))
        assert repr(steps[-1].value if steps else None) == repr(value), name
        assert all(step.own and step.so_far for step in steps)
        if value is not None:
            assert steps[-1].so_far != NOTHING


def test_each_operation_has_words() -> None:
    assert set(WORDS) == set(Operation)
