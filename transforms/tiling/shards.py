"""Splits the rows of a bundle by shard and pane, and packs them into the blobs of the shuffle.

Shards exist for parallelism alone. A stable hash of the key bytes chooses the shard, so the number
of shards is fixed for the life of a job's state. A pane is the stretch of one tile period; all rows
of a pane are in the same windows.
"""

import marshal
from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

from chronon_beam.aggregator.codecs import RecordCodec
from chronon_beam.aggregator.layout import TileSpec
from chronon_beam.transforms.keyed_rows import Check, KeyedRow, ShardKeys
from chronon_beam.transforms.rows import Rows
from chronon_beam.transforms.tiling.tagged_values import tagged, untagged

_PLAIN, _TAGGED = b"\0", b"\1"
"""The first byte of a packed batch: whether values in it are tagged."""

Times = np.ndarray[Any, np.dtype[np.int64]]


class ShardBatch(NamedTuple):
    """The rows that one (shard, window) receives at once.

    Attributes:
        source: see `Messages.source`.
        rows: of one pane and one source, in the order of its log.
        promised_ms: what the partition had promised before each row's event, see
            `Messages.promised_ms`; empty when no row can be late.
    """

    source: str
    rows: list[KeyedRow]
    promised_ms: list[int]

    def pack(self) -> bytes:
        """As bytes, by marshal, which is fast and runs nothing when it is read.

        Both ends run the same Python. Decimals and times are tagged, see `tagged_values`.
        """
        try:
            return _PLAIN + marshal.dumps(tuple(self))
        except ValueError:
            return _TAGGED + marshal.dumps(tuple(self._replace(rows=tagged(self.rows))))

    @staticmethod
    def unpack(blob: bytes) -> "ShardBatch":
        """The batch that `pack` made."""
        batch = ShardBatch(*marshal.loads(memoryview(blob)[1:]))
        return batch if blob[:1] == _PLAIN else batch._replace(rows=untagged(batch.rows))


class Pane(NamedTuple):
    """What all rows of a ShardBatch have in common.

    Attributes:
        shard: the number of their shard.
        start_ms: the start of their pane.
        source: see `Messages.source`.
        may_be_late: whether they are late for the earliest of their windows.
    """

    shard: int
    start_ms: int
    source: str
    may_be_late: bool = False


class Splitter:
    """Collects rows by shard and pane, until `drain`.

    Args:
        keys: key columns.
        inputs: input columns, in the order that the aggregation takes them.
        codec: encodes the keys.
        shards: how many shards there are.
        spec: which tiles the rows are for.
        lateness_ms: how long after its end a tile takes events.
        check: says why a row cannot be aggregated; None for no check.
    """

    def __init__(
        self,
        keys: list[str],
        inputs: list[str],
        codec: RecordCodec,
        shards: int,
        spec: TileSpec,
        lateness_ms: int,
        check: Check | None,
    ) -> None:
        self._keys, self._inputs = keys, inputs
        self._found = ShardKeys(codec, shards)
        self._spec = spec
        self._lateness_ms = lateness_ms
        self._check = check
        self._panes: dict[Pane, ShardBatch] = {}
        self.pending = 0

    def add(self, rows: Rows) -> Iterator[tuple[int, str]]:
        """Take the rows of a batch; yields (row index, reason) for those that cannot be taken."""
        columns = {
            name: rows.batch.column(name).to_pylist()
            for name in dict.fromkeys((*self._keys, *self._inputs))
        }
        times = rows.batch.column("ts").to_numpy(zero_copy_only=False)
        found = self._found.of([columns[name] for name in self._keys])
        inputs = [columns[name] for name in self._inputs]
        keys = [key for key, _ in found]
        taken = zip(keys, times.tolist(), rows.positions, *inputs, strict=True)
        pane_starts = times - times % self._spec.period_ms
        self.pending += len(times)
        promised_ms = self._promised_ms(rows, pane_starts)
        if self._check is None and promised_ms is None and _all_equal(pane_starts):
            self._add_pane(rows.source, int(pane_starts[0]), taken, found)
        else:
            yield from self._add_each(
                rows.source, pane_starts.tolist(), promised_ms or repeat(None), taken, found
            )

    def _promised_ms(self, rows: Rows, pane_starts: Times) -> list[int | None] | None:
        """The promise of each row that is late for the earliest of its windows; None for others.

        None instead of the list if no row is late, which is the usual case.
        """
        if rows.promised_ms is None:
            return None
        promised_ms = rows.promised_ms.to_numpy()
        late = promised_ms >= pane_starts + (self._spec.period_ms - 1 + self._lateness_ms)
        if not late.any():
            return None
        pairs = zip(promised_ms.tolist(), late.tolist(), strict=True)
        return [each if is_late else None for each, is_late in pairs]

    def _add_pane(
        self, source: str, start_ms: int, taken: Iterator[KeyedRow], found: list[tuple[bytes, int]]
    ) -> None:
        by_shard: dict[int, list[KeyedRow]] = {}
        for row, (_, shard) in zip(taken, found, strict=True):
            if shard in by_shard:
                by_shard[shard].append(row)
            else:
                by_shard[shard] = [row]
        for shard, collected in by_shard.items():
            self._batch(Pane(shard, start_ms, source)).rows.extend(collected)

    def _add_each(
        self,
        source: str,
        pane_starts: list[int],
        promised_ms: Iterable[int | None],
        taken: Iterator[KeyedRow],
        found: list[tuple[bytes, int]],
    ) -> Iterator[tuple[int, str]]:
        for index, (row, promise_ms) in enumerate(zip(taken, promised_ms, strict=False)):
            reason = self._check(row) if self._check else None
            if reason is not None:
                yield index, reason
                continue
            may_be_late = promise_ms is not None
            batch = self._batch(Pane(found[index][1], pane_starts[index], source, may_be_late))
            batch.rows.append(row)
            if promise_ms is not None:
                batch.promised_ms.append(promise_ms)

    def _batch(self, pane: Pane) -> ShardBatch:
        """The batch of a pane, to add rows to."""
        found = self._panes.get(pane)
        if found is None:
            found = self._panes[pane] = ShardBatch(pane.source, [], [])
        return found

    def drain(self) -> Iterator[tuple[Pane, ShardBatch]]:
        """Give all collected rows, and start anew."""
        panes, self._panes, self.pending = self._panes, {}, 0
        yield from panes.items()


def _all_equal(times: Times) -> bool:
    return len(times) > 0 and bool((times == times[0]).all())
