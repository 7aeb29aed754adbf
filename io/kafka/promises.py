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
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chronon_beam.api.records import MIN_MS
from chronon_beam.io.kafka.progress import Progress

AHEAD_MS = 60_000
"""How far a record's time may be ahead of this machine's clock; a time beyond moves no promise."""


class Promises(NamedTuple):
    """What a partition promised before each record of a batch.

    Attributes:
        before_ms: one per record, int64.
        newest_ms: the latest record time after the batch.
        ahead: how many records have a time too far ahead of the clock.
    """

    before_ms: NDArray[np.int64]
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

    >>> promises([50, 70, 60], MIN_MS, 0, 10, 1000).before_ms.tolist()
    [0, 39, 59]
    """
    bound_ms = now_ms + AHEAD_MS
    times = np.asarray(times_ms, np.int64)
    counted = np.where((times < 0) | (times > bound_ms), MIN_MS, times)
    newest = np.maximum.accumulate(np.concatenate(([newest_ms], counted)))
    before = np.maximum(newest[:-1] - disorder_ms - 1, floor_ms)
    return Promises(before, int(newest[-1]), int((times > bound_ms).sum()))


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
