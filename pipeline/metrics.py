"""The metrics of a job: what its stages count with, and what the launcher reads.

Stages count into Beam's metrics, which leave out bundles that were tried in vain, and into the
tally of their own process. The tally is there while the job runs, but only where its workers are
threads of the launcher's process (Direct, Flink with LOOPBACK), and it counts a retried bundle
twice. So the progress line shows the tally, and the summary shows Beam's metrics where the runner
has them.
"""

from collections import Counter
from collections.abc import Mapping

from apache_beam.metrics import MetricsFilter
from apache_beam.runners.runner import PipelineResult

from chronon_beam.api.counts import DISTRIBUTIONS
from chronon_beam.io import metrics

tally: Counter[str] = Counter()
"""What this process has counted since it started, by the names of `api.counts`."""


def count(name: str, number: int) -> None:
    """What the stages of a job count with; see `api.counts.Count`."""
    metrics.count(name, number)
    if number and name not in DISTRIBUTIONS:
        tally[name] += number


def committed(result: PipelineResult, since: Mapping[str, int]) -> dict[str, int]:
    """The job's counts: Beam's, or where it has none this process's own since `since`."""
    try:
        chosen = MetricsFilter().with_namespace(metrics.NAMESPACE)
        found = result.metrics().query(chosen)["counters"]
    except (NotImplementedError, AttributeError):
        found = []
    totals: Counter[str] = Counter()
    for metric in found:
        totals[metric.key.metric.name] += metric.result
    return dict(totals) or tallied_since(since)


def tallied_since(since: Mapping[str, int]) -> dict[str, int]:
    """What this process has counted since `since`, a copy of `tally`, was taken."""
    return {name: number - since.get(name, 0) for name, number in tally.items()}
