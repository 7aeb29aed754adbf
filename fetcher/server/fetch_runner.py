"""Runs the fetches of a server, within limits of their number and of the time of each."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import NamedTuple

from chronon_beam.aggregator.merged_tiles import MergedTiles
from chronon_beam.fetcher.batch_cache import BatchCache
from chronon_beam.fetcher.rows import RequestRow, RowOutcome
from chronon_beam.fetcher.server.metrics import Metrics
from chronon_beam.fetcher.server.refusal import BUSY, Refusal
from chronon_beam.fetcher.server.served import ServedName
from chronon_beam.fetcher.server.settings import Settings

AT_ONCE = 16
"""The most rows to read from a local store without a thread: a thread would take as long."""


class Caches(NamedTuple):
    """The caches of a process, which have bounded sizes.

    Attributes:
        batch: of batch values.
        merged: of the IRs of merged tiles.
    """

    batch: BatchCache
    merged: MergedTiles


class FetchRunner:
    """Runs the fetches of a server.

    Args:
        caches: of the process; their hits are counted after each fetch.
        executor: the threads for fetches from a local store.
    """

    def __init__(
        self, settings: Settings, caches: Caches, metrics: Metrics, executor: Executor
    ) -> None:
        self._settings, self._caches, self._metrics = settings, caches, metrics
        self._executor = executor
        self._running: set[asyncio.Task[list[RowOutcome]]] = set()

    async def outcomes(
        self, served: ServedName, rows: Sequence[RequestRow], at_ms: int
    ) -> list[RowOutcome]:
        """The outcome of each row.

        Raises:
            Refusal: there are too many fetches, or this one takes too long.
        """
        at_once = self._settings.local and len(rows) <= AT_ONCE
        if at_once and not served.derives and not served.asks_external_sources:
            outcomes = served.fetch(rows, at_ms)
        else:
            outcomes = await self._awaited(served, rows, at_ms)
        self._metrics.batch_cache.add(self._caches.batch)
        self._metrics.merged_tiles.add(self._caches.merged)
        served.metrics.outcomes(outcomes, at_ms)
        return outcomes

    async def _awaited(
        self, served: ServedName, rows: Sequence[RequestRow], at_ms: int
    ) -> list[RowOutcome]:
        limits = self._settings.limits
        if len(self._running) >= limits.in_flight:
            raise Refusal(503, "the server has too many requests: try again", BUSY)
        task = asyncio.create_task(self._fetch(served, rows, at_ms))
        self._running.add(task)
        self._metrics.in_flight.set(len(self._running))
        task.add_done_callback(self._ended)
        # A fetch that takes too long stays among the running ones until the store has answered:
        # more fetches would not help a slow store.
        done, _ = await asyncio.wait((task,), timeout=limits.fetch_s)
        if not done:
            raise Refusal(503, f"the store has not answered within {limits.fetch_s:g} s", BUSY)
        return task.result()

    async def _fetch(
        self, served: ServedName, rows: Sequence[RequestRow], at_ms: int
    ) -> list[RowOutcome]:
        if served.asks_external_sources or not self._settings.local:
            return await served.fetch_async(rows, at_ms)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, served.fetch, rows, at_ms)

    def _ended(self, task: "asyncio.Task[list[RowOutcome]]") -> None:
        self._running.discard(task)
        self._metrics.in_flight.set(len(self._running))
        if not task.cancelled():
            task.exception()  # or asyncio would log an error for which nobody waits any more
