"""Records what a job measures: in Beam's metrics, and in this process.

Beam's metrics go to the runner and its reporters. They are in the namespace `chronon` and, of a
GroupBy, in `chronon.feature_group.NAME`, so that a metric has the same name in Flink as Chronon's
own job gives it. The numbers of this process are there while the job runs: the line of progress and
Prometheus' endpoint show them. A bundle that is tried again counts twice in them.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from threading import Lock

from apache_beam.metrics import Metrics

from chronon_beam.api.counts import EXTREMES, Kind, Metric, MetricUnit, kind_of, namespace_of

_TIME_MS = (1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 600_000)
BUCKETS: Mapping[MetricUnit, tuple[int, ...]] = {
    MetricUnit.MICROS: (100, 500, *(1000 * bound for bound in _TIME_MS[:-1])),
    MetricUnit.MILLIS: _TIME_MS,
    MetricUnit.NUMBER: (1, 10, 100, 500, 1000, 2000, 5000, 10_000, 50_000),
}
"""The upper bounds, inclusive, of a distribution's histogram, by its unit."""


@dataclass
class Spread:
    """The values of a distribution.

    Attributes:
        bounds: the upper bounds of the buckets, see `BUCKETS`.
        total: the sum of the values.
        buckets: how many values are in each bucket alone; the last one has no bound.
    """

    bounds: tuple[int, ...]
    total: int = 0
    buckets: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.buckets = [0] * (len(self.bounds) + 1)

    def add(self, value: int) -> None:
        """Add one value."""
        self.buckets[bisect_left(self.bounds, value)] += 1
        self.total += value


Numbers = dict[str, int]
"""Counters, gauges and extremes by their names."""


class ProcessMetrics:
    """The metrics of one GroupBy in one process, since the process has started.

    Attributes:
        numbers: counters, gauges and extremes; a gauge with parts has the value of the whole.
        spreads: distributions.
    """

    def __init__(self) -> None:
        self.numbers: Numbers = {}
        self.spreads: dict[str, Spread] = {}
        self._parts: defaultdict[str, Numbers] = defaultdict(dict)
        self._lock = Lock()

    def record(self, name: str, number: int, part: str = "") -> int:
        """Record a number; gives the number for Beam's metric of this name.

        Beam keeps one gauge per step, and several parts of this process may run the same step: so
        each part sets Beam's gauge to the value of the whole process.
        """
        kind = kind_of(name)
        with self._lock:
            if kind is Kind.COUNTER:
                self.numbers[name] = self.numbers.get(name, 0) + number
            elif kind is Kind.DISTRIBUTION:
                self._spread(name).add(number)
            elif kind is Kind.GAUGE:
                self._parts[name][part] = number
                number = self.numbers[name] = _whole(name)(self._parts[name].values())
            else:
                self.numbers[name] = EXTREMES[name](self.numbers.get(name, number), number)
        return number

    def _spread(self, name: str) -> Spread:
        found = self.spreads.get(name)
        if found is None:
            found = self.spreads[name] = Spread(BUCKETS[Metric(name).unit])
        return found

    def forget_extremes(self) -> None:
        """Start the extremes anew, with their next values."""
        with self._lock:
            for name in EXTREMES:
                self.numbers.pop(name, None)


def _whole(name: str) -> Callable[..., int]:
    return sum if Metric(name).unit in (MetricUnit.NUMBER, MetricUnit.BYTES) else max


measured: defaultdict[str, ProcessMetrics] = defaultdict(ProcessMetrics)
"""The metrics of this process by the GroupBy's name, which is empty for steps without a GroupBy."""


@dataclass(frozen=True)
class GroupByMetrics:
    """A `Count` that records what the stages of one GroupBy measure.

    Attributes:
        group_by: its name; empty for a step that is used without a GroupBy.
    """

    group_by: str = ""

    def __call__(self, name: str, number: int, part: str = "") -> None:
        """See `Count`; adding 0 to a counter does not make the counter."""
        if number or kind_of(name) is not Kind.COUNTER:
            given = measured[self.group_by].record(name, number, part)
            _recorder(namespace_of(self.group_by), name)(given)


@dataclass(frozen=True)
class SharedMetrics:
    """A `Count` for a step that several GroupBys share: each of them records the same.

    Attributes:
        group_bys: their names.
    """

    group_bys: tuple[str, ...]

    def __call__(self, name: str, number: int, part: str = "") -> None:
        """See `Count`."""
        for each in self.group_bys:
            GroupByMetrics(each)(name, number, part)


@cache
def _recorder(namespace: str, name: str) -> Callable[[int], None]:
    kind = kind_of(name)
    if kind is Kind.COUNTER:
        return Metrics.counter(namespace, name).inc
    if kind is Kind.GAUGE:
        return Metrics.gauge(namespace, name).set
    return Metrics.distribution(namespace, name).update
