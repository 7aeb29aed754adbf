"""What a reader of a subscription promises of event time, although messages have no order.

The server gives messages in any order, and those of a backlog beside new ones. The reader takes the
oldest publish time of the last minute, less the bound on disorder and 1 ms: it promises that later
events have later times. If no message has come for a while, the machine's clock takes the place of
the oldest publish time.
"""

from chronon_beam.api.records import MIN_MS

_BUCKET_S = 10
_BUCKETS = 7
"""The bucket of now, and those of the minute before."""


class PublishTimes:
    """The oldest publish times of the last minute, in buckets of 10 s.

    Args:
        disorder_ms: how far event times may be behind publish times, and messages out of order.
        idle_ms: after how long without messages the subscription counts as empty.
        now_s: a clock that never goes back, in seconds; so are all times called `now_s`.
    """

    def __init__(self, disorder_ms: int, idle_ms: int, now_s: float) -> None:
        self._disorder_ms = disorder_ms
        self._idle_s = idle_ms / 1000
        self._quiet_since_s = now_s
        self._oldest_ms: dict[int, int] = {}

    def add(self, oldest_ms: int, now_s: float) -> None:
        """Note that messages came; `oldest_ms` is the publish time of the oldest of them."""
        bucket = int(now_s // _BUCKET_S)
        self._oldest_ms[bucket] = min(oldest_ms, self._oldest_ms.get(bucket, oldest_ms))
        self._quiet_since_s = now_s

    def not_quiet(self, now_s: float) -> None:
        """Start the time without messages anew: while the server is down, messages may be there."""
        self._quiet_since_s = now_s

    def promised_ms(self, now_ms: int, now_s: float) -> int:
        """The promise at the time `now_ms` of the machine's clock; `MIN_MS` promises nothing."""
        first = int(now_s // _BUCKET_S) - _BUCKETS + 1
        self._oldest_ms = {at: oldest for at, oldest in self._oldest_ms.items() if at >= first}
        if now_s - self._quiet_since_s >= self._idle_s:
            return now_ms - self._disorder_ms - 1
        if not self._oldest_ms:
            return MIN_MS
        return min(self._oldest_ms.values()) - self._disorder_ms - 1
