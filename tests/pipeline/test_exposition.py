"""What a process has measured, as Prometheus reads it."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from chronon_beam.api.counts import Kind, Metric
from chronon_beam.io.metrics import ProcessMetrics
from chronon_beam.pipeline.exposition import DEAD_LETTERS, MeasuredCollector, family_of


def samples(measured: dict[str, ProcessMetrics]) -> dict[str, float]:
    """What a scrape gives: the value by name and labels, as Prometheus writes them."""
    registry = CollectorRegistry()
    registry.register(MeasuredCollector(measured))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    found = [sample for family in families for sample in family.samples]
    return {f"{each.name}{sorted(each.labels.items())}": each.value for each in found}


def name(metric: str, **labels: str) -> str:
    return f"{metric}{sorted({'feature_group': 't.g', **labels}.items())}"


@pytest.fixture
def measured() -> ProcessMetrics:
    return ProcessMetrics()


def test_counters_are_reported_from_0_on_and_dead_letters_by_step(measured: ProcessMetrics) -> None:
    assert samples({"t.g": measured})[name("chronon_messages_total")] == 0
    measured.record(Metric.MESSAGES, 7)
    measured.record(Metric.DEAD_DECODE, 2)
    found = samples({"t.g": measured, "t.other": ProcessMetrics()})
    assert found[name("chronon_messages_total")] == 7
    assert found[name(f"{DEAD_LETTERS}_total", step="Decode")] == 2
    assert found[name(f"{DEAD_LETTERS}_total", step="Write")] == 0
    assert found[name("chronon_messages_total", feature_group="t.other")] == 0


def test_times_are_seconds_and_gauges_are_reported_once_they_are_known(
    measured: ProcessMetrics,
) -> None:
    assert name("chronon_freshness_seconds") not in samples({"t.g": measured})
    measured.record(Metric.FRESHNESS, 1500)
    measured.record(Metric.SPARK_TIME, 250)
    measured.record(Metric.SPARK_TIME, 3_000_000)
    found = samples({"t.g": measured})
    assert found[name("chronon_freshness_seconds")] == 1.5
    spark = family_of(Metric.SPARK_TIME)
    assert found[name(f"{spark}_bucket", le="0.0001")] == 0
    assert found[name(f"{spark}_bucket", le="0.0005")] == 1
    assert found[name(f"{spark}_bucket", le="+Inf")] == found[name(f"{spark}_count")] == 2
    assert found[name(f"{spark}_sum")] == 3.00025


def test_each_metric_has_a_family_of_its_own_that_says_its_unit() -> None:
    alone = [metric for metric in Metric if not metric.step]
    families = [family_of(metric) for metric in alone]
    assert len(set(families)) == len(families)
    for metric, family in zip(alone, families, strict=True):
        assert family.endswith(metric.unit.base)
        assert metric.kind is not Kind.COUNTER or not family.endswith("_total")
