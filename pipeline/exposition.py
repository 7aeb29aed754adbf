"""What a process has measured, for Prometheus: `io.metrics` as families of samples.

Each metric of the table (`api.counts`) is exposed for each GroupBy that the process works for, from
0 on: so sums over several metrics, and rates, have no gaps. The label is Chronon's word for a
GroupBy, `feature_group`; it is empty for a step without a GroupBy.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from chronon_beam.api.counts import Kind, Metric
from chronon_beam.io.metrics import BUCKETS, ProcessMetrics, Spread

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily

DEAD_LETTERS = "chronon_dead_letters"
"""The one counter of the dead letters of all steps, by the label `step`."""

LABEL = "feature_group"

_SUFFIXES = ("_ms", "_s", "_bytes")


def family_of(metric: Metric) -> str:
    """The name of a metric's family; the samples of a counter have `_total` after it.

    >>> family_of(Metric.LATE), family_of(Metric.FRESHNESS), family_of(Metric.WRITTEN_BYTES)
    ('chronon_tiling_late_events', 'chronon_freshness_seconds', 'chronon_kvstore_writer_bytes')
    """
    if metric.step:
        return DEAD_LETTERS
    base = metric.replace(".", "_")
    suffix = next((each for each in _SUFFIXES if base.endswith(each)), "")
    unit = f"_{metric.unit.base}" if metric.unit.base else ""
    return f"chronon_{base.removesuffix(suffix)}{unit}"


class MeasuredCollector(Collector):
    """Gives what a process has measured, each time Prometheus scrapes it.

    Args:
        measured: by the GroupBy's name, see `io.metrics.measured`.
    """

    def __init__(self, measured: Mapping[str, ProcessMetrics]) -> None:
        self._measured = measured

    def collect(self) -> Iterator[Family]:
        """One family per metric, and one of the dead letters."""
        now = dict(self._measured)
        yield _dead_letters(now)
        for metric in Metric:
            if not metric.step:
                yield _family(metric, now)


def _dead_letters(now: Mapping[str, ProcessMetrics]) -> Family:
    text = "Dead letters, by the step that could not use what it was given"
    family = CounterMetricFamily(DEAD_LETTERS, text, labels=[LABEL, "step"])
    for name, each in now.items():
        for metric in Metric:
            if metric.step:
                family.add_metric([name, metric.step], each.numbers.get(metric, 0))
    return family


def _family(metric: Metric, now: Mapping[str, ProcessMetrics]) -> Family:
    name, per_base = family_of(metric), metric.unit.per_base
    if metric.kind is Kind.DISTRIBUTION:
        return _histogram(metric, {each: now[each].spreads.get(metric) for each in now})
    kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family = kind(name, metric.help, labels=[LABEL])
    for group_by, each in now.items():
        number = each.numbers.get(metric, 0 if metric.kind is Kind.COUNTER else None)
        if number is not None:
            family.add_metric([group_by], number / per_base if per_base > 1 else number)
    return family


def _histogram(metric: Metric, spreads: Mapping[str, Spread | None]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(family_of(metric), metric.help, labels=[LABEL])
    per_base = metric.unit.per_base
    for group_by, found in spreads.items():
        spread = found or Spread(BUCKETS[metric.unit])
        bounds = [str(bound / per_base) for bound in spread.bounds]
        counts = accumulate(list(spread.buckets))
        buckets = _buckets([*bounds, "+Inf"], counts)
        family.add_metric([group_by], buckets, spread.total / per_base)
    return family


def _buckets(bounds: Iterable[str], counts: Iterable[int]) -> list[tuple[str, float]]:
    return [(bound, count) for bound, count in zip(bounds, counts, strict=True)]
