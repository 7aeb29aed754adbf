"""Without the sampling thread a worker does what it did with it."""

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.worker.statesampler import StateSampler
from apache_beam.testing.util import assert_that, equal_to

from chronon_beam.pipeline.runners.state_sampler import stop_sampling


def test_a_pipeline_runs_without_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("start", "stop"):  # put back after the test
        monkeypatch.setattr(StateSampler, name, getattr(StateSampler, name))
    sampled = StateSampler.start
    stop_sampling()
    assert StateSampler.start is not sampled
    with beam.Pipeline(runner=FnApiRunner()) as root:
        doubled = root | beam.Create([1, 2]) | beam.Map(lambda each: 2 * each)
        assert_that(doubled, equal_to([2, 4]))
