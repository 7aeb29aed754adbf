"""A worker that does not measure itself still works, and still sends what its steps count."""

import apache_beam as beam
import pytest
from apache_beam.metrics import Metrics
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.worker.bundle_processor import BundleProcessor
from apache_beam.runners.worker.statesampler import StateSampler
from apache_beam.testing.util import assert_that, equal_to

from chronon_beam.pipeline.runners.own_metrics import stop_measuring


def doubled(number: int) -> int:
    Metrics.counter("here", "doubled").inc()
    return 2 * number


def test_a_pipeline_runs_without_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name in [
        (StateSampler, "start"),
        (StateSampler, "stop"),
        (BundleProcessor, "monitoring_infos"),
    ]:  # put back after the test
        monkeypatch.setattr(owner, name, getattr(owner, name))
    sampled = StateSampler.start
    stop_measuring()
    assert StateSampler.start is not sampled
    root = beam.Pipeline(runner=FnApiRunner())
    assert_that(root | beam.Create([1, 2]) | beam.Map(doubled), equal_to([2, 4]))
    result = root.run()
    counters = result.metrics().query()["counters"]
    assert [(each.key.metric.name, each.committed) for each in counters] == [("doubled", 2)]
    assert not any("execution_time" in str(each) for each in result.monitoring_infos())
