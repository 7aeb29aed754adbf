"""Leaves out messages that were counted before: a stateful DoFn that remembers their positions."""

import pickle
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.coders import BytesCoder
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec
from apache_beam.typehints import Tuple
from numpy.typing import NDArray

from chronon_beam.api.counts import Count, Metric
from chronon_beam.api.records import Messages
from chronon_beam.io.pubsub.position_cache import PositionCache

_FACTOR = np.uint64(0x9E3779B97F4A7C15)

# Beam finds states by the defaults of parameters.
_Param: Any = beam.DoFn


@dataclass
class Distinct(beam.PTransform):
    """Messages to Messages, without those whose source and position came before.

    Attributes:
        remember_ms: how long a position is remembered; only time in which the job runs counts.
        readers: how many readers the source has; there are four shards per reader.
        count: takes `redelivered`.
    """

    remember_ms: int
    readers: int
    count: Count

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, messages: beam.PCollection[Messages]) -> beam.PCollection[Messages]:
        """By shard, so that a message always meets the same state."""
        shards = 1 if self.readers == 1 else 4 * self.readers
        return (
            messages
            | "Divide" >> beam.ParDo(_ShardFn(shards))
            | "Remember" >> beam.ParDo(_RememberFn(self.remember_ms, self.count))
        )


def shards_of(positions: NDArray[np.int64], shards: int) -> NDArray[np.uint64]:
    """The shard of each position: the same in every process. Shards are even if ids are not."""
    return (positions.astype(np.uint64) * _FACTOR >> np.uint64(32)) % np.uint64(shards)


def some_of(messages: Messages, indices: NDArray[np.intp]) -> Messages:
    """The messages at `indices`."""
    listed, attributes, promised_ms = indices.tolist(), messages.attributes, messages.promised_ms
    at = pa.array(listed, pa.int64())
    return messages._replace(
        positions=[messages.positions[index] for index in listed],
        payloads=[messages.payloads[index] for index in listed],
        promised_ms=None if promised_ms is None else promised_ms.take(at),
        attributes=None if attributes is None else attributes.take(at),
        envelopes=messages.envelopes and messages.envelopes.taken(listed),
    )


@beam.typehints.with_output_types(Tuple[bytes, bytes])
class _ShardFn(beam.DoFn):
    def __init__(self, shards: int) -> None:
        self._shards = shards

    def process(self, messages: Messages) -> Iterator[tuple[bytes, bytes]]:
        shards = shards_of(np.array(messages.positions, np.int64), self._shards)
        for shard in np.unique(shards):
            part = some_of(messages, np.flatnonzero(shards == shard))
            yield b"%d" % shard, pickle.dumps(part, pickle.HIGHEST_PROTOCOL)


class _Caches:
    """The PositionCaches of this process; each compares itself with Beam's state at every use.

    A bundle takes one out of here while it uses it. It holds no lock while it reads state: a bundle
    that a runner has given up may wait for its state for ever, and must not hold up the next one.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._found: dict[tuple[str, bytes], PositionCache] = {}

    def take(self, step: str, shard: bytes, remember_ms: int) -> PositionCache:
        """Take out the cache of a shard, or a new one, which reads the state at its first use."""
        with self._lock:
            return self._found.pop((step, shard), None) or PositionCache(remember_ms)

    def put_back(self, step: str, shard: bytes, remembered: PositionCache) -> None:
        """Put a cache back, for the next bundle."""
        with self._lock:
            self._found[step, shard] = remembered


_caches = _Caches()


@beam.typehints.with_input_types(Tuple[bytes, bytes])
class _RememberFn(beam.DoFn):
    """State: the positions of two generations, and the cell; see `position_cache`."""

    EVEN = BagStateSpec("even", BytesCoder())
    ODD = BagStateSpec("odd", BytesCoder())
    CELL = ReadModifyWriteStateSpec("cell", BytesCoder())

    def __init__(self, remember_ms: int, count: Count) -> None:
        self._remember_ms = remember_ms
        self._count = count
        # Made here and so shared by all copies of this step, but by no other job.
        self._step = uuid.uuid4().hex

    def process(
        self,
        element: tuple[bytes, bytes],
        even: Any = _Param.StateParam(EVEN),
        odd: Any = _Param.StateParam(ODD),
        cell: Any = _Param.StateParam(CELL),
    ) -> Iterator[Messages]:
        shard, packed = element
        messages: Messages = pickle.loads(packed)
        positions = np.array(messages.positions, np.int64)
        bags = even, odd
        remembered = _caches.take(self._step, shard, self._remember_ms)
        now_ms = int(time.time() * 1000)
        taken = remembered.take(positions, cell.read(), lambda at: bags[at].read(), now_ms)
        if taken.begins:
            bags[taken.young].clear()
        if taken.blob:
            bags[taken.young].add(taken.blob)
        cell.write(taken.cell)
        _caches.put_back(self._step, shard, remembered)
        self._count(Metric.REDELIVERED, len(positions) - len(taken.fresh))
        if len(taken.fresh):
            yield some_of(messages, taken.fresh)
