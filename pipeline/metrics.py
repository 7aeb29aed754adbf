"""Reads what a job has counted, in the process that launched it.

There are two places to read from. Beam's metrics leave out bundles that have failed: the summary at
the end of a job shows them, if the runner has them. What this process has measured (`io.metrics`)
can be read while the job runs: the line of progress shows it. It is what the job does only if the
workers are threads of this process (Direct, Flink with LOOPBACK).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain

from apache_beam.metrics import MetricsFilter
from apache_beam.runners.runner import PipelineResult

from chronon_beam.api.counts import EXTREMES, Kind, Metric, kind_of, namespace_of
from chronon_beam.io.metrics import Numbers, measured


class JobCounts:
    """What a job counts for each of its GroupBys, from when this object is made.

    Args:
        readings: the names of the GroupBys, those together that share a reading.
    """

    def __init__(self, readings: Iterable[tuple[str, ...]]) -> None:
        self._readings = list(readings)
        self._since: dict[str, Numbers] = {}
        for name in chain.from_iterable(self._readings):
            measured[name].forget_extremes()
            self._since[name] = dict(measured[name].numbers)

    def now(self) -> dict[str, Numbers]:
        """What this process has counted so far, by the GroupBy's name."""
        return {
            name: _since(before, measured[name].numbers) for name, before in self._since.items()
        }

    def so_far(self) -> Numbers:
        """What this process has counted so far for all GroupBys.

        Each of them counts the messages of a reading that they share; here these count once.
        """
        totals, now = Counter[str](), self.now()
        for numbers in now.values():
            totals.update({n: number for n, number in numbers.items() if n not in EXTREMES})
        for name in chain.from_iterable(others for _, *others in self._readings):
            totals[Metric.MESSAGES] -= now[name].get(Metric.MESSAGES, 0)
        return totals

    def committed(self, result: PipelineResult) -> dict[str, Numbers]:
        """The counts by Beam's metrics; those of this process where the runner has none."""
        found = {name: committed(result, name) for name in self._since}
        return {**self.now(), **{name: each for name, each in found.items() if each}}


def _since(before: Mapping[str, int], numbers: Numbers) -> Numbers:
    return {
        name: number - before.get(name, 0) if kind_of(name) is Kind.COUNTER else number
        for name, number in list(numbers.items())
    }


def committed(result: PipelineResult, group_by: str) -> Numbers:
    """What a job has counted for a GroupBy by Beam's metrics; empty if the runner has none."""
    try:
        chosen = MetricsFilter().with_namespace(namespace_of(group_by))
        found = result.metrics().query(chosen)
    except (NotImplementedError, AttributeError):
        return {}
    totals: Counter[str] = Counter()
    for metric in found["counters"]:
        totals[metric.key.metric.name] += metric.result
    ends: Numbers = {}
    for metric in found["distributions"]:
        name, spread = metric.key.metric.name, metric.result
        if name in EXTREMES and spread.count:
            choose = EXTREMES[name]
            value = choose(spread.min, spread.max)
            ends[name] = choose(ends.get(name, value), value)
    return {**totals, **ends} if totals else {}
