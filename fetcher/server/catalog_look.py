"""Looks at the store from time to time: takes up what is new, and sees whether it answers."""

import asyncio
from concurrent.futures import Executor

from chronon_beam.fetcher.server.served import ServedFeatures


class CatalogLook:
    """The look that is under way, of which there is one at a time.

    Args:
        executor: the threads to read in.
        silence_s: how long the store may take to answer before it counts as lost.
    """

    def __init__(self, served: ServedFeatures, executor: Executor, silence_s: float) -> None:
        self._served, self._executor, self._silence_s = served, executor, silence_s
        self._under_way: asyncio.Future[None] | None = None

    async def once(self) -> None:
        """Look; returns when that is done, or when the store has been silent for too long.

        A look that meets silence stays under way, and the next one goes on with it.
        """
        loop = asyncio.get_running_loop()
        look = self._under_way or loop.run_in_executor(self._executor, self._served.refresh)
        self._under_way = look
        while not (await asyncio.wait((look,), timeout=self._silence_s))[0]:
            # To plan derivations may take as long; the store is not asked then.
            if self._served.is_reading:
                self._served.lose(f"it has not answered for {self._silence_s:g} s")
                return
        self._under_way = None
        look.result()

    async def again_and_again(self, every_s: float) -> None:
        """Look every so many seconds, until this is cancelled."""
        while True:
            await asyncio.sleep(every_s)
            await self.once()
