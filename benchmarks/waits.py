"""Where events wait on their way to the store: times noted in this process, which is the worker.

    created -> broker -> appended to the log -> source -> polled -> steps -> in its tile -> store

Events are identified by the millisecond of their creation: a wait is that of the first batch that
has events of this millisecond.
"""

import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from chronon_beam.api.records import PutRequest
from chronon_beam.io.kafka.log_reader import LogReader, Polled
from chronon_beam.io.kv_store import NullStore
from chronon_beam.transforms.tiling.window_tiles import WindowTiles

CREATED = b'"created":'


class Seen(NamedTuple):
    """Events that were at some place at `at_ms`: from when to when they were created."""

    at_ms: float
    first_ms: int
    last_ms: int


class Waits:
    """What is noted, from `watch` on.

    Attributes:
        writes: when, and the times of the events or tiles that were written then.
        tiles: which tiles were written, by key and start; None notes them no more.
    """

    def __init__(self) -> None:
        self.writes: list[tuple[float, list[int]]] = []
        self.tiles: set[tuple[bytes, int]] | None = set()
        self._appended: list[tuple[int, float]] = []
        self._polled: list[Seen] = []
        self._tiled: list[Seen] = []

    def watch(self) -> None:
        """Note polls, tiles and writes to `null:` stores."""
        sort, receive = LogReader._sort, WindowTiles.receive

        def sorted_records(reader: LogReader, messages: list[Any]) -> Polled:
            polled, at_ms = sort(reader, messages), _now_ms()
            for records in polled.records.values():
                created = [_created_ms(each.value()) for each in (records[0], records[-1])]
                self._polled.append(Seen(at_ms, *created))
                self._appended.append((created[-1], records[-1].timestamp()[1]))
            return polled

        def received(tiles: WindowTiles, *given: Any) -> Any:
            at_ms, step = _now_ms(), receive(tiles, *given)
            if times := [each for made in step.tiles for each in made.ts_ms]:
                self._tiled.append(Seen(at_ms, min(times), max(times)))
            return step

        def noted(_: NullStore, requests: list[PutRequest]) -> list[str | None]:
            self._note(requests)
            return [None] * len(requests)

        _put(LogReader, "_sort", sorted_records)
        _put(WindowTiles, "receive", received)
        _put(NullStore, "multi_put", noted)

    def _note(self, requests: list[PutRequest]) -> None:
        self.writes.append((_now_ms(), [each.ts_ms for each in requests]))
        if self.tiles is not None:
            self.tiles.update((each.key_bytes, each.tile_start_ms) for each in requests)

    def number(self) -> int:
        """How many writes there were."""
        return sum(len(times) for _, times in self.writes)

    def in_all_ms(self, begin_ms: float, end_ms: float) -> list[float]:
        """From creation to write, of events that were created in between."""
        return [
            at_ms - created
            for at_ms, times in self.writes
            for created in times
            if begin_ms <= created < end_ms
        ]

    def closings_ms(self, closed_ms: float) -> list[float]:
        """How long after `closed_ms` tiles were written whose events are all older."""
        return [
            at_ms - closed_ms
            for at_ms, times in self.writes
            if at_ms >= closed_ms
            for last_ms in times
            if last_ms < closed_ms
        ]

    def by_stage(self, begin_ms: float, end_ms: float) -> dict[str, dict[str, float]]:
        """Percentiles of each stage's wait, of events that were created in between."""
        polled, tiled = _first(self._polled), _first(self._tiled)
        appended = [(ms, at) for ms, at in self._appended if begin_ms <= ms < end_ms]
        written = [(ms, at) for at, times in self.writes for ms in times if begin_ms <= ms < end_ms]
        return {
            "broker": percentiles(at - ms for ms, at in appended),
            "source": percentiles(polled[ms] - at for ms, at in appended if ms in polled),
            "steps": percentiles(
                tiled[ms] - polled[ms] for ms, _ in written if ms in tiled and ms in polled
            ),
            "store": percentiles(at - tiled[ms] for ms, at in written if ms in tiled),
        }


def percentiles(waited: Iterable[float]) -> dict[str, float]:
    """p50, p99 and p999."""
    cuts = statistics.quantiles(waited, n=1000, method="inclusive")
    return {name: round(cuts[at], 1) for name, at in (("p50", 499), ("p99", 989), ("p999", 998))}


def _first(seen: list[Seen]) -> dict[int, float]:
    """By millisecond of creation, when its events were first seen."""
    found: dict[int, float] = {}
    for each in sorted(seen):
        for ms in range(each.first_ms, each.last_ms + 1):
            found.setdefault(ms, each.at_ms)
    return found


def _created_ms(value: bytes | None) -> int:
    assert value is not None  # this load writes no tombstone
    return int(value[value.rindex(CREATED) + len(CREATED) : -1])


def _put(owner: type, name: str, method: Callable[..., Any]) -> None:
    setattr(owner, name, method)


def _now_ms() -> float:
    return time.time() * 1000
