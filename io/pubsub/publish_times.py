"""What a reader of a subscription promises of event time: a subscription has no order to go by.

The server gives messages in any order, and those of a backlog beside new ones. So what is promised
is that messages to come were not published before the oldest one that came within the last minute,
less the bound on disorder and 1 ms. While nothing comes, the clock stands for it.
"""

from chronon_beam.api.records import MIN_MS

_BUCKET_S = 10
_BUCKETS = 7
"""The one that is being filled and those of a minute."""


class PublishTimes:
    """The oldest publish times of late.

    Args:
        disorder_ms: how far event times may be behind publish times, and messages out of order.
        idle_ms: after how long without messages there is held to be none.
        now_s: a clock that never goes back, in seconds; so are all times called `now_s`.
    """

    def __init__(self, disorder_ms: int, idle_ms: int, now_s: float) -> None:
        self._disorder_ms = disorder_ms
        self._idle_s = idle_ms / 1000
        self._quiet_since_s = now_s
        self._oldest_ms: dict[int, int] = {}

    def add(self, oldest_ms: int, now_s: float) -> None:
        """Messages came, of which the oldest was published then."""
        bucket = int(now_s // _BUCKET_S)
        self._oldest_ms[bucket] = min(oldest_ms, self._oldest_ms.get(bucket, oldest_ms))
        self._quiet_since_s = now_s

    def not_quiet(self, now_s: float) -> None:
        """The server does not answer: nobody knows what there is, and quiet begins anew."""
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
