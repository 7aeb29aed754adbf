"""Reads the catalog of the store regularly: for new GroupBys, and to see whether it answers."""

import asyncio
from concurrent.futures import Executor

from chronon_beam.fetcher.server.served import ServedFeatures


class CatalogRefresh:
    """Refreshes what a server serves; one read of the catalog runs at a time.

    Args:
        executor: the threads to read in.
        silence_s: how long the store may take to answer before it counts as unreadable.
    """

    def __init__(self, served: ServedFeatures, executor: Executor, silence_s: float) -> None:
        self._served, self._executor, self._silence_s = served, executor, silence_s
        self._running: asyncio.Future[None] | None = None

    async def once(self) -> None:
        """Refresh; returns when that is done, or when the store has not answered for too long.

        A read that the store has not answered goes on, and the next call waits for it.
        """
        loop = asyncio.get_running_loop()
        refresh = self._running or loop.run_in_executor(self._executor, self._served.refresh)
        self._running = refresh
        while not (await asyncio.wait((refresh,), timeout=self._silence_s))[0]:
            # Planning derivations may take as long, and does not read the store.
            if self._served.is_reading:
                self._served.mark_unreadable(f"it has not answered for {self._silence_s:g} s")
                return
        self._running = None
        refresh.result()

    async def repeat(self, every_s: float) -> None:
        """Refresh every so many seconds, until this is cancelled."""
        while True:
            await asyncio.sleep(every_s)
            await self.once()
