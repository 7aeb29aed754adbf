"""What a partition promises of event time, as a function of its log; and the reader's watermark.

Before each record, a partition promises that no record to come is as old as the latest record time
so far, less the bound on disorder and 1 ms (as Flink's bounded out-of-orderness). The times are
Kafka's record timestamps in the order of offsets, from a value that the runner's checkpoint holds:
however a log is cut into batches, and however often it is read again, each record meets the same
promise.

The promise is never below the watermark that the runner has been given: when a partition is silent
for so long that the watermark passes it over, what it brings afterwards is measured by that.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

from chronon_beam.api.records import MIN_MS
from chronon_beam.io.kafka.progress import Progress

AHEAD_MS = 60_000
"""How far a record's time may be ahead of this machine's clock; a time beyond moves no promise."""


class Promises(NamedTuple):
    """What a partition promised before each record of a batch.

    Attributes:
        before_ms: one per record.
        newest_ms: the latest record time after the batch.
        ahead: how many records have a time too far ahead of the clock.
    """

    before_ms: list[int]
    newest_ms: int
    ahead: int


def promises(
    times_ms: Sequence[int], newest_ms: int, floor_ms: int, disorder_ms: int, now_ms: int
) -> Promises:
    """The promises of a batch of records.

    Args:
        times_ms: the records' times in the order of their offsets; negative where one has none.
        newest_ms: the latest record time before the batch; `MIN_MS` if there was none.
        floor_ms: the watermark that the runner has been given.
        disorder_ms: how far records may be out of order.
        now_ms: this machine's clock.

    >>> promises([50, 70, 60], MIN_MS, MIN_MS, 10, 1000).before_ms == [MIN_MS, 39, 59]
    True
    """
    bound_ms = now_ms + AHEAD_MS
    counted = [time if 0 <= time <= bound_ms else MIN_MS for time in times_ms]
    newest = list(accumulate(counted, max, initial=newest_ms))
    before = [
        floor_ms if latest == MIN_MS else max(floor_ms, latest - disorder_ms - 1)
        for latest in newest[:-1]
    ]
    return Promises(before, newest[-1], sum(time > bound_ms for time in times_ms))


def watermark_ms(active: Iterable[Progress], disorder_ms: int, now_ms: int) -> int:
    """What a reader promises of all its partitions.

    Args:
        active: the partitions that are not passed over as idle.
        disorder_ms: how far records may be out of order.
        now_ms: this machine's clock; what is promised when all partitions are idle is that records
            to come are not older than this, less the bound on disorder.

    Returns:
        `MIN_MS` while a partition that may have records has shown none.
    """
    newest = [each.newest_ms for each in active]
    if MIN_MS in newest:
        return MIN_MS
    return min(newest, default=now_ms) - disorder_ms - 1
