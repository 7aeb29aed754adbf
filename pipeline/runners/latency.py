"""How long an event may take from source to store, against how much CPU that costs.

Every bundle costs about 10 ms of CPU, whatever is in it, and the sooner bundles end, the more of
them there are.
"""

from dataclasses import dataclass

from chronon_beam.io.uri import duration_ms


@dataclass(frozen=True)
class Latency:
    """How long an event waits, at each place where batches of events are collected.

    Attributes:
        linger_ms: how long the first message of a batch waits in the source.
        bundle_ms: how long a bundle lasts.
        buffer_ms: how long a row waits in Flink's network buffers; Flink's own default is 100.
    """

    linger_ms: int
    bundle_ms: int
    buffer_ms: int


LEVELS = {
    "low": Latency(linger_ms=20, bundle_ms=10, buffer_ms=5),
    "balanced": Latency(linger_ms=50, bundle_ms=50, buffer_ms=20),
    "cheap": Latency(linger_ms=200, bundle_ms=500, buffer_ms=100),
}
DEFAULT = "balanced"

_WORK_MS = 15
"""The time that the steps of a job take, without any waiting."""

_LEAST_MS, _MOST_MS = 30, 60_000


def parse_latency(text: str) -> Latency:
    """The settings for one of `LEVELS`, or for a target such as `50ms`.

    A target is the time from source to store that half of the events are to take. The part of it
    that the steps do not need is spent on waiting: four sevenths in the source, two in the bundle,
    and one in Flink's buffers.

    >>> parse_latency("50ms") == parse_latency("low")
    True
    >>> parse_latency("400ms")
    Latency(linger_ms=220, bundle_ms=110, buffer_ms=55)

    Raises:
        ValueError: neither a level nor a target, or a target that no job reaches.
    """
    if text in LEVELS:
        return LEVELS[text]
    levels = ", ".join(LEVELS)
    try:
        target_ms = duration_ms(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither {levels} nor a target such as 50ms") from None
    if not _LEAST_MS <= target_ms <= _MOST_MS:
        raise ValueError(
            f"a target of {text} is out of reach: {_LEAST_MS}ms to {_MOST_MS // 1000}s is expected"
        )
    part = (target_ms - _WORK_MS) / 7
    return Latency(int(4 * part), int(2 * part), int(part))
