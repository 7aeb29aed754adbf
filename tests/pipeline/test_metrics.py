"""The metrics of a job: Beam's, and the tally of the process."""

from typing import Any

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from chronon_beam.api.counts import Metric
from chronon_beam.pipeline.metrics import committed, count, tallied_since, tally


def counted(numbers: list[int], name: str) -> tuple[dict[str, int], Any]:
    before = dict(tally)
    pipeline = beam.Pipeline(runner=FnApiRunner())
    _ = pipeline | beam.Create(numbers) | beam.Map(lambda number: count(name, number))
    result = pipeline.run()
    result.wait_until_finish()
    return before, result


def test_what_stages_count_is_committed_and_tallied() -> None:
    before, result = counted([3, 4, 0], Metric.WRITTEN)
    assert committed(result, before) == {"written": 7}
    assert tallied_since(before)["written"] == 7


def test_times_are_spread_out_and_not_added_up() -> None:
    before, result = counted([3, 0], Metric.WRITE_BATCH_MS)
    (found,) = result.metrics().query()["distributions"]
    assert (found.key.metric.namespace, found.key.metric.name) == ("chronon", "write_batch_ms")
    assert (found.committed.min, found.committed.max, found.committed.count) == (0, 3, 2)
    assert not tallied_since(before).get("write_batch_ms")


def test_runner_without_metrics_is_counted_by_the_process() -> None:
    class NoMetrics:
        def metrics(self) -> Any:
            raise NotImplementedError

    tally["written"] += 5
    before = {**tally, "written": tally["written"] - 5}
    assert committed(NoMetrics(), before)["written"] == 5  # pyright: ignore[reportArgumentType]
