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
from chronon_beam.transforms.rows import Rows

INPUTS_FROM = 3
"""Where the inputs begin in a row: it is (key bytes, ts_ms, position, inputs...)."""

_CACHED_KEYS = 200_000

Row = tuple[Any, ...]
Times = np.ndarray[Any, np.dtype[np.int64]]


class ShardBatch(NamedTuple):
    """What a (shard, window) receives.

    Attributes:
        source: see `Messages.source`.
        rows: (key bytes, ts_ms, position, inputs...).
        promised_ms: what the partition had promised before each row's event, see
            `Messages.promised_ms`; None when no row can be late.
    """

    source: str
    rows: list[Row]
    promised_ms: list[int] | None = None

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
    """Where rows go: a shard and the start of their pane; rows that may be late go apart."""

    shard: int
    start_ms: int
    source: str
    may_be_late: bool = False


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
        late = self._may_be_late(rows, pane_starts)
        if self._check is None and late is None and _all_equal(pane_starts):
            self._add_pane(rows.source, int(pane_starts[0]), taken, found)
        else:
            yield from self._add_each(rows, pane_starts.tolist(), late, taken, found)

    def _may_be_late(self, rows: Rows, pane_starts: Times) -> list[bool] | None:
        """Which rows are late for their earliest window; None when no row is."""
        if rows.promised_ms is None:
            return None
        late_from_ms = pane_starts + (self._spec.period_ms - 1 + self._lateness_ms)
        late = rows.promised_ms.to_numpy() >= late_from_ms
        return late.tolist() if late.any() else None

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
            self._batch(Pane(shard, start_ms, source)).rows.extend(collected)

    def _add_each(
        self,
        rows: Rows,
        pane_starts: list[int],
        late: list[bool] | None,
        taken: Iterator[Row],
        found: list[tuple[bytes, int]],
    ) -> Iterator[tuple[int, str]]:
        source, promised_ms = rows.source, rows.promised_ms
        for index, row in enumerate(taken):
            reason = self._check(row) if self._check else None
            if reason is not None:
                yield index, reason
                continue
            may_be_late = late is not None and late[index]
            batch = self._batch(Pane(found[index][1], pane_starts[index], source, may_be_late))
            batch.rows.append(row)
            if batch.promised_ms is not None and promised_ms is not None:
                batch.promised_ms.append(promised_ms[index].as_py())

    def _batch(self, pane: Pane) -> ShardBatch:
        """What has been collected for a pane, to be added to."""
        found = self._panes.get(pane)
        if found is None:
            promised_ms: list[int] | None = [] if pane.may_be_late else None
            found = self._panes[pane] = ShardBatch(pane.source, [], promised_ms)
        return found

    def drain(self) -> Iterator[tuple[Pane, ShardBatch]]:
        """All collected rows, and start anew."""
        panes, self._panes, self.pending = self._panes, {}, 0
        yield from panes.items()


def _all_equal(times: Times) -> bool:
    return len(times) > 0 and bool((times == times[0]).all())


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
