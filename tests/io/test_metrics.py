"""What stages measure: in Beam, and in the process."""

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.api.counts import UNREAD, Kind, Metric, MetricUnit, dead
from chronon_beam.io.metrics import BUCKETS, GroupByMetrics, ProcessMetrics, Spread

NAME = "team.test_metrics"


def recorded(metric: str, numbers: list[int]) -> Any:
    """What Beam has of a metric after a job has recorded the numbers."""
    pipeline = beam.Pipeline(runner=FnApiRunner())
    record = GroupByMetrics(NAME)
    _ = pipeline | beam.Create(numbers) | beam.Map(lambda number: record(metric, number))
    result = pipeline.run()
    result.wait_until_finish()
    (found,) = [each for kind in result.metrics().query().values() for each in kind]
    assert found.key.metric.namespace == f"chronon.feature_group.{NAME}"
    assert found.key.metric.name == metric
    return found.committed


def test_beam_has_metrics_under_the_names_that_chronon_gives_them() -> None:
    assert recorded(Metric.WRITTEN, [3, 4, 0]) == 7
    spread = recorded(Metric.WRITE_TIME, [3, 0])
    assert (spread.min, spread.max, spread.count) == (0, 3, 2)
    assert recorded(Metric.FRESHNESS, [5]).value == 5
    assert recorded(f"{UNREAD}a.gz is damaged", [1]) == 1


@pytest.mark.parametrize(
    ("metric", "whole"), [(Metric.READ_LAG, 9), (Metric.LOG_BYTES, 9), (Metric.WATERMARK_LAG, 7)]
)
def test_gauge_of_a_process_is_of_all_its_parts(metric: Metric, whole: int) -> None:
    measured = ProcessMetrics()
    assert measured.record(metric, 100, part="reader 1") == 100
    measured.record(metric, 2, part="reader 1")
    assert measured.record(metric, 7, part="reader 2") == whole
    assert measured.numbers == {metric: whole}


@given(st.lists(st.integers(0, 10**7)), st.sampled_from(sorted(BUCKETS, key=str)))
def test_each_value_is_in_the_first_bucket_that_holds_it(
    values: list[int], unit: MetricUnit
) -> None:
    spread = Spread(BUCKETS[unit])
    for value in values:
        spread.add(value)
    assert (sum(spread.buckets), spread.total) == (len(values), sum(values))
    for index, bound in enumerate(spread.bounds):
        assert sum(spread.buckets[: index + 1]) == sum(value <= bound for value in values)


@given(st.lists(st.integers(), min_size=1))
def test_extremes_are_the_least_and_the_greatest_until_they_are_forgotten(
    values: list[int],
) -> None:
    measured = ProcessMetrics()
    for metric in (Metric.EARLIEST_S, Metric.LATEST_S):
        for value in values:
            measured.record(metric, value)
    assert measured.numbers == {Metric.EARLIEST_S: min(values), Metric.LATEST_S: max(values)}
    measured.forget_extremes()
    assert measured.numbers == {}


def test_each_distribution_has_buckets_and_each_step_its_dead_letters() -> None:
    spread = [metric for metric in Metric if metric.kind is Kind.DISTRIBUTION]
    assert all(metric.unit in BUCKETS for metric in spread)
    steps = ("Read", "Decode", "Evaluate", "Tile", "Delete", "Convert", "Fold", "Unite", "Write")
    assert [dead(step).step for step in steps] == list(steps)
    assert len({dead(step) for step in steps}) == len(steps)
