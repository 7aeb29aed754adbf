"""The settings of sources that never end: time, latency, and how many readers share the reading."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LiveSettings:
    """The job's settings for a source that never ends.

    Attributes:
        reader: the name of the job as a reader, for tools that show who reads the source; for
            example the consumer group.
        disorder_ms: how far events of one partition may be out of order.
        idle_ms: after how long without an event that counts a partition no longer holds back the
            watermark.
        linger_ms: how long the first message of a batch waits for further ones.
    """

    reader: str = "chronon-beam"
    disorder_ms: int = 300_000
    idle_ms: int = 30_000
    linger_ms: int = 20


def readers_of(parameters: Mapping[str, str]) -> int | None:
    """The parameter `readers` of a live source; None means the parallelism of the job.

    Raises:
        ValueError: the value is not a number from 1 to 1024.
    """
    text = parameters.get("readers", "1")
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise ValueError(f"readers={text!r}: a number from 1 to 1024 is expected")
    return int(text) if "readers" in parameters else None
