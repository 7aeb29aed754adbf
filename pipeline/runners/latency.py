"""How long an event may take from source to store, against how much CPU that costs.

Every bundle costs about 10 ms of CPU, whatever is in it, and the sooner bundles end, the more of
them there are.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Latency:
    """What decides when an event leaves each place where it waits for others.

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
