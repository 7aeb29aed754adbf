"""What the steps of a job on a cluster measure, read from Flink's metrics while the job runs.

Beam gives its metrics to Flink, one of each name per subtask. Counters are added up. A gauge is
measured by a worker process, of which each TaskManager has one: all subtasks in it give the same.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from chronon_beam.api.counts import Kind, Metric, MetricUnit, namespace_of
from chronon_beam.pipeline.jobs.answers import AggregatedMetric
from chronon_beam.pipeline.jobs.rest import FlinkRest

Measurements = dict[str, dict[str, int]]
"""Counters and gauges by the GroupBy's name and the name of the `Metric`."""

_REPLACED = str.maketrans(" .:,", "____")
"""What Flink makes of these characters in the name of a metric."""

_Place = tuple[str, Metric]
"""A GroupBy's name, and what was measured."""


def measurements_of(flink: FlinkRest, job_id: str, group_bys: Sequence[str]) -> Measurements:
    """What the steps have measured since they were last started; empty once the job has ended."""
    known = places(group_bys)
    found: Measurements = {name: {} for name in group_bys}
    for vertex in flink.job(job_id).vertices if known else ():
        names = flink.step_metrics(job_id, vertex.vertex_id)
        here = {name: known[end] for name in names if (end := name.rpartition(".")[2]) in known}
        if not here:
            continue
        for group_by, metric, number in _numbers(flink, job_id, vertex.vertex_id, here):
            before = found[group_by].get(metric, 0)
            found[group_by][metric] = max(before, number) if _is_time(metric) else before + number
    return found


def places(group_bys: Sequence[str]) -> dict[str, _Place]:
    """The metrics of GroupBys, by the names that Flink has for them.

    >>> places(["shop.v1"])["chronon_feature_group_shop_v1_tiling_late_events"]
    ('shop.v1', <Metric.LATE: 'tiling.late_events'>)
    """
    return {
        f"{namespace_of(group_by)}.{metric}".translate(_REPLACED): (group_by, metric)
        for group_by in group_bys
        for metric in Metric
        if metric.kind in (Kind.COUNTER, Kind.GAUGE)
    }


def _numbers(
    flink: FlinkRest, job_id: str, vertex_id: str, here: Mapping[str, _Place]
) -> Iterator[tuple[str, Metric, int]]:
    """The metrics of one vertex, with one number per TaskManager."""
    for subtasks in _by_task_manager(flink, job_id, vertex_id):
        for found in flink.step_measurements(job_id, vertex_id, list(here), subtasks):
            group_by, metric = here[found.name]
            yield group_by, metric, _number(metric, found)


def _number(metric: Metric, found: AggregatedMetric) -> int:
    """The number that a TaskManager gives, out of those of its subtasks."""
    return int(found.sum if metric.kind is Kind.COUNTER else found.max)


def _is_time(metric: Metric) -> bool:
    """Whether the largest of several numbers is shown, as for a lag, and not their sum."""
    return metric.kind is Kind.GAUGE and metric.unit is MetricUnit.MILLIS


def _by_task_manager(flink: FlinkRest, job_id: str, vertex_id: str) -> list[list[int]]:
    """The numbers of the subtasks that run in one TaskManager, for each of them."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for subtask in flink.subtasks(job_id, vertex_id):
        found[subtask.task_manager].append(subtask.number)
    return list(found.values())
