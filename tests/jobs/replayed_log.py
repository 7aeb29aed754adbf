"""A partition's log through the steps of tiling, read in batches of any size, with crashes.

The steps are the product's own, from the splitter to the store; Beam's windows, state, timers and
checkpoints are in plain fields. After a crash the log is read again from an earlier checkpoint,
with other borders of batches, while the store keeps what it was given.
"""

import itertools
import random
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import IntervalWindow
from apache_beam.utils.timestamp import Timestamp
from beam_state import State
from fragile import ENOUGH, Cut, Fragile

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.counts import uncounted
from chronon_beam.api.records import MIN_MS
from chronon_beam.io.kafka.promises import Limits, LogPart, promises
from chronon_beam.io.repair import WriteTiles, WriteTilesFn
from chronon_beam.transforms.convert import tile_requests
from chronon_beam.transforms.rows import Rows
from chronon_beam.transforms.tiling.settings import Tiling
from chronon_beam.transforms.tiling.tile import SplitFn, Tile
from chronon_beam.transforms.tiling.tile_fn import EveryEventFn

_names = itertools.count()
FAR_MS = 1 << 45


class Event(NamedTuple):
    """An event of the log, at its place.

    Attributes:
        record_ms: the time of its record, which has nothing to do with its own.
        kept: whether it becomes a row; else a where lets it go, or it is a dead letter.
    """

    key: str
    at_ms: int
    amount: float
    record_ms: int
    kept: bool = True


class LogRows(NamedTuple):
    """Rows of the log, as the source sees them: `TimedRows`."""

    positions: list[int]
    times_ms: pa.Array
    columns: dict[str, Any]

    def outputs(self, promised_ms: pa.Array) -> Iterator[Rows]:
        batch = pa.RecordBatch.from_pydict({**self.columns, "ts": self.times_ms})
        yield Rows(batch, "topic/0", self.positions, promised_ms)


@dataclass
class Checkpoint:
    """What the runner keeps: how far the source is, the watermark, and state by shard, start."""

    offset: int = 0
    newest_ms: int = MIN_MS
    watermark_ms: int = MIN_MS
    states: dict[tuple[bytes, int], State] = field(default_factory=dict)


class Crash(NamedTuple):
    """An attempt ends after some writes, and goes on some checkpoints before."""

    writes: int
    back: int


class Worker:
    """The steps from rows to the store, in a process of their own."""

    def __init__(self, plan: Plan, tiling: Tiling, uri: str) -> None:
        (self._spec,) = plan.specs
        self._dataset = plan.group_by.streaming_dataset
        self._split = SplitFn(Tile(plan, self._spec, tiling))
        self._aggregate = EveryEventFn(plan, self._spec, tiling, uncounted)
        self._write = WriteTilesFn(WriteTiles(plan, uri, uncounted))
        for fn in (self._split, self._aggregate, self._write):
            fn.setup()

    def bundle(self, rows: Rows | None, watermark_ms: int, after: Checkpoint) -> list[int]:
        """Take rows, then fire timers up to a watermark; the positions that are dead letters."""
        self._write.start_bundle()
        dead: list[int] = []
        split = [*self._split.process(rows), *self._split.finish_bundle()] if rows else []
        for output in split:
            if isinstance(output, TaggedOutput):
                dead.append(output.value.position)
            else:
                self._receive(*output.value, output.timestamp.micros // 1000, after)
        after.watermark_ms = watermark_ms
        self._fire(after)
        list(self._write.finish_bundle())
        return dead

    def _receive(self, shard: bytes, packed: bytes, start_ms: int, after: Checkpoint) -> None:
        state = after.states.setdefault((shard, start_ms), State())
        element, window = (shard, packed), self._window(start_ms)
        self._put(self._aggregate.process(element, window, state.log, state.cell, state.phase_end))

    def _fire(self, after: Checkpoint) -> None:
        """Fire the timers that are due, the earliest first; what they set may be due, too."""
        now = Timestamp(micros=after.watermark_ms * 1000)
        while due := [
            (state.phase_end.due, *place)
            for place, state in after.states.items()
            if state.phase_end.due is not None and state.phase_end.due <= now
        ]:
            _, shard, start_ms = min(due)
            state = after.states[shard, start_ms]
            state.phase_end.due = None
            window = self._window(start_ms)
            self._put(
                self._aggregate.on_phase_end(shard, window, state.log, state.cell, state.phase_end)
            )

    def _put(self, outputs: Any) -> None:
        for tiles in outputs:
            list(self._write.process(tile_requests(tiles, self._dataset)))

    def _window(self, start_ms: int) -> IntervalWindow:
        end_ms = start_ms + self._spec.size_ms
        return IntervalWindow(Timestamp(micros=start_ms * 1000), Timestamp(micros=end_ms * 1000))


class Reading:
    """Reads a log to its end.

    Attributes:
        dead: positions of the dead letters.
        reached_ms: the watermark before the end.

    Args:
        plan, tiling: of the job.
        log: the events.
        limits: what the source's promises depend on beside the log.
        chance: draws the borders of batches, and how far the watermark lags behind.
    """

    def __init__(
        self, plan: Plan, tiling: Tiling, log: list[Event], limits: Limits, chance: random.Random
    ) -> None:
        self._plan, self._tiling, self._log, self._chance = plan, tiling, log, chance
        self._limits = limits
        self.store_uri = f"fragile:{next(_names)}"
        self.dead: set[int] = set()
        self.reached_ms = MIN_MS

    def run(self, crashes: list[Crash]) -> "Reading":
        ahead, done = list(crashes), [Checkpoint()]
        while done[-1].watermark_ms < FAR_MS:
            worker = Worker(self._plan, self._tiling, self.store_uri)
            Fragile.cells_left = ahead[0].writes if ahead else ENOUGH
            try:
                while done[-1].watermark_ms < FAR_MS:
                    done.append(self._step(worker, deepcopy(done[-1])))
            except Cut:
                back = ahead.pop(0).back
                del done[max(1, len(done) - back) :]
        Fragile.cells_left = ENOUGH
        self.reached_ms = max(each.watermark_ms for each in done if each.watermark_ms < FAR_MS)
        return self

    def _step(self, worker: Worker, after: Checkpoint) -> Checkpoint:
        start, after.offset = after.offset, self._next_border(after.offset)
        rows, promised_ms = self._read(start, after)
        watermark_ms = self._watermark_ms(start, promised_ms, after)
        self.dead |= set(worker.bundle(rows, watermark_ms, after))
        return after

    def _next_border(self, offset: int) -> int:
        return min(len(self._log), offset + self._chance.randrange(1, 9))

    def _watermark_ms(self, start: int, promised_ms: list[int], after: Checkpoint) -> int:
        """At most what is promised, and often behind it; far ahead when all is read."""
        if start == len(self._log):
            return FAR_MS
        return max(after.watermark_ms, self._chance.choice(promised_ms))

    def _read(self, start: int, after: Checkpoint) -> tuple[Rows | None, list[int]]:
        """Rows up to the new offset, and what was promised before each event and after them."""
        records = self._log[start : after.offset]
        kept = [at for at in range(start, after.offset) if self._log[at].kept]
        events = [self._log[at] for at in kept]
        found = LogRows(
            kept,
            pa.array([event.at_ms for event in events], pa.int64()),
            {"k": [event.key for event in events], "d": [event.amount for event in events]},
        )
        part = LogPart(
            np.arange(start, after.offset), np.array([each.record_ms for each in records], np.int64)
        )
        limits = self._limits._replace(floor_ms=after.watermark_ms)
        made = promises(part, [found], after.newest_ms, limits)
        after.newest_ms = made.newest_ms
        promised = [*made.before_ms.tolist(), made.newest_ms - limits.disorder_ms - 1]
        (rows,) = found.outputs(pa.array(made.before_ms[part.indices(kept)]))
        return rows if events else None, promised
