"""What a partition promises of event time, as a function of its log; and the reader's watermark.

Before each record, a partition promises a time that all events to come are after. It is the latest
time so far, less the bound on disorder and 1 ms (as Flink's bounded out-of-orderness). The times
are those of the job's rows, after Evaluate, in the order of offsets. The latest time so far is kept
with the offset in the runner's checkpoints. So each record meets the same promise, however a log is
cut into batches, and however often the log is read again.

- Each GroupBy of a job has rows, and so promises, of its own; see `api.evaluation`.
- All rows of a record meet the promise that was made before the record.
- A record without a row moves no promise: a tombstone, a dead letter, or an event that a where
  filters out.
- In a job that makes no rows in its reading step, the times are those of the records.
- A time that is more than a minute ahead of its record's own time, or of this machine's clock,
  moves no promise: one event of a wrong clock must not close all tiles.
- A promise is never below the watermark that the runner has been given. A partition that was silent
  for so long that the watermark passed over it goes on with that watermark as its promise.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chronon_beam.api.evaluation import TimedRows
from chronon_beam.api.records import MIN_MS

AHEAD_MS = 60_000
"""How far a time may be ahead of its record's time and of this machine's clock."""

Ints = NDArray[np.int64]


class LogPart(NamedTuple):
    """Records of one partition, as they follow one another in its log.

    Attributes:
        offsets: rising, with gaps.
        times_ms: the records' own times; negative where a record has none.
    """

    offsets: Ints
    times_ms: Ints

    def indices(self, positions: Sequence[int]) -> Ints:
        """Which of the records have these offsets."""
        return np.searchsorted(self.offsets, np.asarray(positions, np.int64)).astype(np.int64)

    def bounds_ms(self, now_ms: int) -> Ints:
        """The latest time that a row of each record may have and still move the promise.

        >>> LogPart(np.array([0, 1, 2]), np.array([70, -1, 90])).bounds_ms(80) - AHEAD_MS
        array([70, 80, 80])
        """
        known = np.where(self.times_ms < 0, now_ms, self.times_ms)
        return np.minimum(known, now_ms) + AHEAD_MS


class Promises(NamedTuple):
    """What a partition promised before each record of a part of its log.

    Attributes:
        before_ms: one per record, int64.
        newest_ms: the latest time after the part.
        ahead: how many records have a time too far ahead.
        counted: whether any time could have moved the promise; it need not be a new latest one.
    """

    before_ms: Ints
    newest_ms: int
    ahead: int
    counted: bool


class Limits(NamedTuple):
    """What promises depend on, apart from the log.

    Attributes:
        floor_ms: the watermark that the runner has been given.
        disorder_ms: how far events may be out of order.
        now_ms: this machine's clock.
    """

    floor_ms: int
    disorder_ms: int
    now_ms: int


def promises(part: LogPart, rows: Sequence[TimedRows], newest_ms: int, limits: Limits) -> Promises:
    """The promises before the records of a part.

    Args:
        part: the records.
        rows: what was made of them.
        newest_ms: the latest time before the part; `MIN_MS` if there was none.
        limits: see `Limits`.
    """
    of = [part.indices(each.positions) for each in rows]
    records = np.concatenate([np.empty(0, np.int64), *of])
    times = np.concatenate([np.empty(0, np.int64), *(each.times_ms for each in rows)])
    ahead = times > part.bounds_ms(limits.now_ms)[records]
    counted = ~ahead & (times > MIN_MS)
    latest = np.full(len(part.offsets), MIN_MS, np.int64)
    np.maximum.at(latest, records[counted], times[counted])
    newest = np.maximum.accumulate(np.concatenate(([newest_ms], latest)))
    before = np.maximum(newest[:-1] - limits.disorder_ms - 1, limits.floor_ms)
    return Promises(before, int(newest[-1]), len(np.unique(records[ahead])), bool(counted.any()))


def watermark_ms(newest_ms: Sequence[int], disorder_ms: int, now_ms: int) -> int:
    """The watermark of a reader for one GroupBy, over all its partitions.

    Args:
        newest_ms: the latest time of each partition that is not passed over as idle.
        disorder_ms: how far events may be out of order.
        now_ms: this machine's clock. It stands for the latest time when all partitions are idle.

    Returns:
        `MIN_MS` while a partition that may have events has shown none.
    """
    if MIN_MS in newest_ms:
        return MIN_MS
    return min(newest_ms, default=now_ms) - disorder_ms - 1
