"""Counts what the stages of a job do, and reads the counts in the process that launched the job.

Stages add each count to a metric of Beam and to the tally of their own process. Beam's metrics
leave out bundles that have failed, so the summary shows them if the runner has them. The progress
line shows the tally, which can be read while the job runs. The launcher sees the tally only if the
workers are threads of its own process (Direct, Flink with LOOPBACK), and a bundle that is tried
again counts twice in it.
"""

from collections import Counter
from collections.abc import Mapping

from apache_beam.metrics import MetricsFilter
from apache_beam.runners.runner import PipelineResult

from chronon_beam.api.counts import DISTRIBUTIONS, EXTREMES
from chronon_beam.io import metrics

tally: Counter[str] = Counter()
"""What this process has counted since it started, by the names of `api.counts`."""

extremes: dict[str, int] = {}
"""The extreme values that this process has counted since `extremes` was cleared."""


def count(name: str, number: int) -> None:
    """Add `number` to a metric and to the tally; stages are given this as their `Count`."""
    metrics.count(name, number)
    if name in EXTREMES:
        _note_extreme(extremes, name, number)
    elif number and name not in DISTRIBUTIONS:
        tally[name] += number


def _note_extreme(known: dict[str, int], name: str, value: int) -> None:
    known[name] = EXTREMES[name](known.get(name, value), value)


def committed(result: PipelineResult, since: Mapping[str, int]) -> dict[str, int]:
    """The job's counts by Beam's metrics; if the runner has none, by the tally since `since`."""
    try:
        chosen = MetricsFilter().with_namespace(metrics.NAMESPACE)
        found = result.metrics().query(chosen)
    except (NotImplementedError, AttributeError):
        found = {"counters": [], "distributions": []}
    totals: Counter[str] = Counter()
    for metric in found["counters"]:
        totals[metric.key.metric.name] += metric.result
    if not totals:
        return tallied_since(since)
    ends: dict[str, int] = {}
    for metric in found["distributions"]:
        name, spread = metric.key.metric.name, metric.result
        if name in EXTREMES and spread.count:
            _note_extreme(ends, name, EXTREMES[name](spread.min, spread.max))
    return {**totals, **ends}


def tallied_since(since: Mapping[str, int]) -> dict[str, int]:
    """What this process has counted since `since`, a copy of `tally`, was taken."""
    counts = {name: number - since.get(name, 0) for name, number in tally.items()}
    return {**counts, **extremes}
