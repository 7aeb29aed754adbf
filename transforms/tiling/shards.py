"""Rows of a bundle, split by shard and pane, as the blobs that cross the shuffle.

Shards exist for parallelism alone: a stable hash of the key bytes chooses one, so their number is
fixed for the life of a job's state. A pane is the stretch of one tile period; all rows of a pane
are in the same windows.
"""

import marshal
import pickle
from binascii import crc32
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from chronon_beam.aggregator.avro import AvroError
from chronon_beam.aggregator.codecs import RecordCodec
from chronon_beam.aggregator.layout import TileSpec
from chronon_beam.api.data_types import FLOATS
from chronon_beam.api.records import MIN_MS
from chronon_beam.transforms.rows import Rows

INPUTS_FROM = 3
"""Where the inputs begin in a row: it is (key bytes, ts_ms, position, inputs...)."""

_CACHED_KEYS = 200_000

Row = tuple[Any, ...]


class ShardBatch(NamedTuple):
    """What a (shard, window) receives.

    Attributes:
        watermark_ms: what the source had promised; only kept for rows that may be late.
        source: see `Messages.source`.
        rows: (key bytes, ts_ms, position, inputs...).
    """

    watermark_ms: int
    source: str
    rows: list[Row]

    def pack(self) -> bytes:
        """As bytes: marshal is fast, and holds all but decimals; both ends run the same Python."""
        try:
            return marshal.dumps(tuple(self))
        except ValueError:
            return pickle.dumps(tuple(self), protocol=5)

    @staticmethod
    def unpack(blob: bytes) -> "ShardBatch":
        """The batch that `pack` made."""
        pickled = blob.startswith(pickle.PROTO)
        return ShardBatch(*(pickle.loads(blob) if pickled else marshal.loads(blob)))


class Pane(NamedTuple):
    """Where rows go: a shard and the start of their pane."""

    shard: int
    start_ms: int
    watermark_ms: int
    source: str


class ShardKeys(dict[tuple[Any, ...], tuple[bytes, int]]):
    """Key values to (key bytes, shard), remembered: keys come back."""

    def __init__(self, codec: RecordCodec, shards: int) -> None:
        super().__init__()
        self._codec = codec
        self._shards = shards
        # 0.0 and -0.0 are equal in Python and different keys in Avro, so floats are not remembered.
        self._remembers = not any(kind in FLOATS for kind in codec.columns.values())

    def of(self, columns: list[list[Any]]) -> list[tuple[bytes, int]]:
        """The keys of rows, given as columns."""
        find = self.__getitem__ if self._remembers else self._made
        return [find(values) for values in zip(*columns, strict=True)]

    def _made(self, values: tuple[Any, ...]) -> tuple[bytes, int]:
        encoded = self._codec.encode(values)
        return encoded, crc32(encoded) % self._shards

    def __missing__(self, values: tuple[Any, ...]) -> tuple[bytes, int]:
        if len(self) >= _CACHED_KEYS:
            self.clear()
        found = self[values] = self._made(values)
        return found


Check = Callable[[Row], str | None]


class Splitter:
    """Collects rows until they are drained, by shard and pane.

    Args:
        keys: key columns.
        inputs: input columns, in the order that the aggregation takes them.
        spec: the family of tiles.
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
        self._panes: dict[Pane, list[Row]] = {}
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
        if self._check is None and self._in_one_pane(rows, pane_starts):
            self._add_pane(rows.source, int(pane_starts[0]), taken, found)
        else:
            yield from self._add_each(rows, pane_starts.tolist(), taken, found)

    def _in_one_pane(self, rows: Rows, pane_starts: np.ndarray[Any, Any]) -> bool:
        """Whether all rows are in one pane and none can be late: what batches mostly are."""
        return (
            len(pane_starts) > 0
            and rows.watermark_ms < self._late_from_ms(int(pane_starts[0]))
            and bool((pane_starts == pane_starts[0]).all())
        )

    def _late_from_ms(self, pane_start_ms: int) -> int:
        """The watermark from which rows of a pane are late for their earliest window."""
        return pane_start_ms + self._spec.period_ms - 1 + self._lateness_ms

    def _add_pane(
        self, source: str, start_ms: int, taken: Iterator[Row], found: list[tuple[bytes, int]]
    ) -> None:
        by_shard: dict[int, list[Row]] = {}
        for row, (_, shard) in zip(taken, found, strict=True):
            if shard in by_shard:
                by_shard[shard].append(row)
            else:
                by_shard[shard] = [row]
        for shard, collected in by_shard.items():
            self._panes.setdefault(Pane(shard, start_ms, MIN_MS, source), []).extend(collected)

    def _add_each(
        self,
        rows: Rows,
        pane_starts: list[int],
        taken: Iterator[Row],
        found: list[tuple[bytes, int]],
    ) -> Iterator[tuple[int, str]]:
        for index, row in enumerate(taken):
            reason = self._check(row) if self._check else None
            if reason is not None:
                yield index, reason
                continue
            start_ms = pane_starts[index]
            late = rows.watermark_ms >= self._late_from_ms(start_ms)
            promised_ms = rows.watermark_ms if late else MIN_MS
            pane = Pane(found[index][1], start_ms, promised_ms, rows.source)
            self._panes.setdefault(pane, []).append(row)

    def drain(self) -> Iterator[tuple[Pane, ShardBatch]]:
        """All collected rows, and start anew."""
        panes, self._panes, self.pending = self._panes, {}, 0
        for pane, rows in panes.items():
            yield pane, ShardBatch(pane.watermark_ms, pane.source, rows)


def null_inside(codecs: list[tuple[int, Callable[[Any], bytes]]]) -> Check | None:
    """A check that the values at these row indices can be written to Avro."""
    if not codecs:
        return None

    def check(row: Row) -> str | None:
        for index, encode in codecs:
            if row[index] is not None:
                try:
                    encode(row[index])
                except AvroError as error:
                    return str(error)
        return None

    return check
