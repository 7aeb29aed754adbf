"""A feature server on a free port of this machine, in a thread of the test's process."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import httpx
import uvicorn

from chronon_beam.aggregator.merged_tiles import MergedTiles
from chronon_beam.fetcher.batch_cache import BatchCache
from chronon_beam.fetcher.server.app import feature_server
from chronon_beam.fetcher.server.compat import DatasetsStore
from chronon_beam.fetcher.server.fetch_runner import Caches
from chronon_beam.fetcher.server.metrics import Metrics
from chronon_beam.fetcher.server.served import NOTHING, Declarations, Derivations, ServedFeatures
from chronon_beam.fetcher.server.settings import Settings
from chronon_beam.io.kv_store import KVStore
from chronon_beam.pipeline.serving import listen, server_config

WAIT_S = 300.0
"""Longer than any busy machine makes a request wait."""


class Started(uvicorn.Server):
    """A server that says when it accepts connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepts = Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepts.set()


@contextmanager
def running(
    store: KVStore,
    settings: Settings,
    derivations: Derivations | None = None,
    declared: Declarations = NOTHING,
) -> Iterator[httpx.Client]:
    """A client of a server of `store`; the server has stopped when this ends."""
    cache, merged, metrics = BatchCache(store), MergedTiles(1 << 20), Metrics()
    reads = DatasetsStore(cache) if settings.compat else cache
    served = ServedFeatures(store, reads, metrics, declared, derivations, settings.compat, merged)
    app = feature_server(settings, served, Caches(cache, merged), metrics)
    server = Started(server_config(app, settings.limits, factory=False))
    listening = listen("127.0.0.1", 0)
    thread = Thread(target=lambda: asyncio.run(server.serve([listening])))
    thread.start()
    try:
        assert server.accepts.wait(WAIT_S)
        base = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with httpx.Client(base_url=base, timeout=WAIT_S) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(WAIT_S)
        listening.close()
