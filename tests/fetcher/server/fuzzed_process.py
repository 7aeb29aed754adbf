"""A process that serves a store within limits that no busy machine reaches, and tells how it grows.

It is started with the path of the store, which it fills, and prints its port.
"""

import asyncio
import gc
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
from declarations import group_by, windows
from sockets import PATIENT, WAIT_S
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from stores import ANN, TYPES, join, plan, put_batch, put_tiles

from chronon_beam.aggregator.merged_tiles import MergedTiles
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import Aggregation, Operation
from chronon_beam.api.data_types import BINARY, BOOLEAN, DOUBLE, INT, LONG, STRING
from chronon_beam.fetcher.batch_cache import BatchCache
from chronon_beam.fetcher.server.app import feature_server
from chronon_beam.fetcher.server.fetch_runner import Caches
from chronon_beam.fetcher.server.metrics import Metrics
from chronon_beam.fetcher.server.served import Declarations, ServableJoin, ServedFeatures
from chronon_beam.fetcher.server.settings import Settings
from chronon_beam.io.kv_store import KVStore, open_store
from chronon_beam.pipeline.serving import listen, serve_here, server_config

WIDE = {"b": BINARY, "i": INT, "l": LONG, "d": DOUBLE, "s": STRING, "t": BOOLEAN}
"""The keys of GroupBy `t.wide`: one of each type."""

CACHED = 1_000
CACHED_BYTES = 1 << 20
LIMITS = replace(PATIENT, body_bytes=1 << 20, in_flight=100, connections=100, head_bytes=1 << 20)


def fill(store: KVStore) -> None:
    """Put GroupBys with tiles, with batch values, and with a key column of each type."""
    store.create("CHRONON_METADATA")
    put_tiles(store, plan("t.tiles"), ANN)
    put_tiles(store, plan("t.both"), ANN)
    put_batch(store, plan("t.both"), ANN)
    aggregations = [Aggregation("n", Operation.SUM, windows("1h", "7d"))]
    wide = Plan(group_by("t.wide", [*WIDE], aggregations), {**WIDE, **TYPES})
    key = {"b": b"b", "i": 1, "l": 2, "d": 0.5, "s": "s", "t": True}
    put_tiles(store, wide, key)


async def _grown(_: Request) -> JSONResponse:
    gc.collect()
    return JSONResponse(
        {
            "tasks": len(asyncio.all_tasks()),
            "threads": threading.active_count(),
            "files": len(os.listdir("/dev/fd")),
            "memory_kb": _memory_kb(),
        }
    )


def _memory_kb() -> int:
    """What the process has in memory; 0 where the system does not tell."""
    statm = Path("/proc/self/statm")
    pages = int(statm.read_text().split()[1]) if statm.is_file() else 0
    return pages * resource.getpagesize() // 1024


def _serve(path: str) -> None:
    store = open_store(f"sqlite:{path}")
    fill(store)
    cache, merged, metrics = BatchCache(store, CACHED), MergedTiles(CACHED_BYTES), Metrics()
    declared = Declarations(joins=(ServableJoin(join("t.join"), {}),))
    served = ServedFeatures(store, cache, metrics, declared, merged=merged)
    settings = Settings(local=True, access_log=False, limits=LIMITS)
    routes = [Route("/grown", _grown)]
    app = feature_server(settings, served, Caches(cache, merged), metrics, routes, store.close)
    listening = listen("127.0.0.1", 0)
    print(listening.getsockname()[1], flush=True)
    serve_here(server_config(app, LIMITS, factory=False), [listening])


@contextmanager
def fuzzed(path: str) -> Iterator[httpx.Client]:
    """A client of such a process."""
    process = subprocess.Popen(
        [sys.executable, __file__, path],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        text=True,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=WAIT_S) as client:
            yield client
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    _serve(sys.argv[1])
