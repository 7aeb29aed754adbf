"""What the launcher of a job reads of its counts."""

from typing import Any

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from chronon_beam.api.counts import Metric
from chronon_beam.io.metrics import GroupByMetrics, SharedMetrics
from chronon_beam.pipeline.metrics import JobCounts

A, B = GroupByMetrics("test.a"), GroupByMetrics("test.b")


def run(numbers: list[int]) -> Any:
    """A job that records numbers for two GroupBys, and ten times as much for the second."""

    def record(number: int) -> None:
        A(Metric.WRITTEN, number)
        B(Metric.WRITTEN, 10 * number)
        B(Metric.LATEST_S, number)

    pipeline = beam.Pipeline(runner=FnApiRunner())
    _ = pipeline | beam.Create(numbers) | beam.Map(record)
    result = pipeline.run()
    result.wait_until_finish()
    return result


def test_each_job_has_counts_of_its_own_for_each_of_its_group_bys() -> None:
    run([9])
    counts = JobCounts([(A.group_by,), (B.group_by,)])
    expected = {
        "test.a": {Metric.WRITTEN: 7},
        "test.b": {Metric.WRITTEN: 70, Metric.LATEST_S: 4},
    }
    assert counts.committed(run([3, 4, 0])) == expected
    assert counts.now() == expected
    assert counts.so_far() == {Metric.WRITTEN: 77}


def test_messages_of_a_reading_that_is_shared_count_once_in_the_whole() -> None:
    c, d = GroupByMetrics("test.c"), GroupByMetrics("test.d")
    names = c.group_by, d.group_by
    shared, apart = JobCounts([names]), JobCounts([(name,) for name in names])
    SharedMetrics(names)(Metric.MESSAGES, 5)
    c(Metric.ROWS, 4)
    d(Metric.ROWS, 5)
    assert shared.so_far() == {Metric.MESSAGES: 5, Metric.ROWS: 9}
    assert apart.so_far() == {Metric.MESSAGES: 10, Metric.ROWS: 9}
    assert {numbers[Metric.MESSAGES] for numbers in shared.now().values()} == {5}


def test_runner_without_metrics_is_counted_by_the_process() -> None:
    class NoMetrics:
        def metrics(self) -> Any:
            raise NotImplementedError

    counts = JobCounts([(A.group_by,)])
    A(Metric.WRITTEN, 5)
    result: Any = NoMetrics()
    assert counts.committed(result) == {"test.a": {Metric.WRITTEN: 5}}
