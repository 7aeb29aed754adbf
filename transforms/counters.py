"""Beam counters by name, cheap enough to be raised once a batch."""

from functools import cache

from apache_beam.metrics import Metrics


@cache
def _counter(namespace: str, name: str) -> Metrics.DelegatingCounter:
    return Metrics.counter(namespace, name)


def count(namespace: str, name: str, n: int = 1) -> None:
    """Raise the counter `namespace/name` by `n`; outside of a running pipeline it does nothing.

    Args:
        namespace: the transform's class name, for example `Decode`.
        name: a noun with dashes, for example `events-out`.
        n: by how much; 0 costs nothing and shows nothing.
    """
    if n:
        _counter(namespace, name).inc(n)
