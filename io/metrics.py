"""Metrics as Beam has them: all in one namespace, under the names of `api.counts`."""

from collections.abc import Callable
from functools import cache

from apache_beam.metrics import Metrics

from chronon_beam.api.counts import DISTRIBUTIONS

NAMESPACE = "chronon"


def count(name: str, number: int) -> None:
    """Add `number` to the metric `name` of the Beam step that is running."""
    if number or name in DISTRIBUTIONS:
        _recorder(name)(number)


@cache
def _recorder(name: str) -> Callable[[int], None]:
    if name in DISTRIBUTIONS:
        return Metrics.distribution(NAMESPACE, name).update
    return Metrics.counter(NAMESPACE, name).inc
