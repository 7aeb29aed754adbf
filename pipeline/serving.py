"""Runs the feature server: in this process, or in several that share a socket."""

import logging
import os
import resource
import signal
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from chronon_beam.aggregator.merged_tiles import MergedTiles
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.derivations import rename_only
from chronon_beam.api.group_by import GroupBy
from chronon_beam.api.join import Join
from chronon_beam.fetcher.fetch import Derive
from chronon_beam.fetcher.server.settings import ServerLimits, Settings
from chronon_beam.io.kv_store import KVStore, open_store

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import BaseRoute

    from chronon_beam.fetcher.server.front import App

LOCAL = ("sqlite:", "memory:")
"""Stores that are read in the server's process, without a network."""

_BACKLOG = 2_048
_SPARE_FILES = 256
"""Open files of a process that are not connections of clients: of the store, of threads."""

_SILENCE_S = 60
"""How long a worker may not answer its supervisor: its Python may be starting on a busy machine."""

_LOG = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        "uvicorn.error": {"handlers": ["stderr"], "level": "ERROR", "propagate": False},
        "chronon_beam": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
    },
}


@dataclass(frozen=True)
class AppFactory:
    """Makes the feature server's application, in each of its processes, with a store of its own.

    Attributes:
        store: its URI.
        group_bys: GroupBys from files; if there are any, only they are served.
        cached: the most batch values that a process keeps.
        merged_bytes: the most memory that a process keeps merged tiles in.
        inspect: whether the inspector page is at `/inspect/`.
        joins: joins from files, which are served beside GroupBys.
    """

    store: str
    settings: Settings
    group_bys: tuple[GroupBy, ...] = ()
    cached: int = 10_000
    merged_bytes: int = 64 << 20
    inspect: bool = False
    joins: tuple[Join, ...] = ()

    def __call__(self) -> "App":
        """The application of this process."""
        # Imported here: the metrics look for `PROMETHEUS_MULTIPROC_DIR` when they are imported.
        from chronon_beam.fetcher.batch_cache import BatchCache
        from chronon_beam.fetcher.joins.external import open_handlers
        from chronon_beam.fetcher.server.app import feature_server
        from chronon_beam.fetcher.server.compat import DatasetsStore
        from chronon_beam.fetcher.server.fetch_runner import Caches
        from chronon_beam.fetcher.server.metrics import Metrics
        from chronon_beam.fetcher.server.served import Declarations, ServableJoin, ServedFeatures
        from chronon_beam.pipeline.joined import spark_join_derivations

        store = open_store(self.store)
        merged = MergedTiles(self.merged_bytes)
        kept = merged if self.merged_bytes else None
        cache, metrics = BatchCache(store, self.cached), Metrics()
        compat = self.settings.compat
        reads = DatasetsStore(cache) if compat else cache
        joins = tuple(
            ServableJoin(join, open_handlers(join), spark_join_derivations) for join in self.joins
        )
        declared = Declarations(self.group_bys, joins)
        served = ServedFeatures(store, reads, metrics, declared, derivations, compat, kept)
        further = self._pages(store) if self.inspect else ()
        caches = Caches(cache, merged)
        return feature_server(self.settings, served, caches, metrics, further, store.close)

    def _pages(self, store: KVStore) -> "list[BaseRoute]":
        from chronon_beam.fetcher.inspector.routes import mounted_routes
        from chronon_beam.pipeline.inspecting import StoreFetchers

        fetchers = StoreFetchers(store, self.group_bys, derivations)
        return mounted_routes(fetchers, fetchers.entities, self.store)


def derivations(plan: Plan) -> Derive | None:
    """The function for `Fetcher.derive`; if it needs Spark, Spark starts here."""
    if rename_only(plan.group_by.derivations):
        return None
    from chronon_beam.pipeline.derive import spark_derivations

    return spark_derivations(plan)


def listen(host: str, port: int) -> socket.socket:
    """The socket that all processes accept connections from.

    Raises:
        OSError: the port is taken, or the host is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(f"--host={host} --port={port}: {reason}: choose another port") from error


def url_of(listening: socket.socket) -> str:
    """The URL of what listens at a socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(factory: AppFactory, listening: socket.socket, workers: int) -> None:
    """Serve until SIGTERM or Ctrl-C; requests that were received by then are still answered.

    Args:
        factory: makes the application of each process.
        listening: where clients connect.
        workers: how many processes serve; one is this process.

    Raises:
        WorkersFailed: with several processes, one could not start.
    """
    limits = factory.settings.limits
    allow_files(limits.connections)
    if workers == 1:
        serve_here(server_config(factory, limits), [listening])
        return
    from chronon_beam.pipeline.server_workers import serve_in_several

    configured = partial(server_config, limits=limits, workers=workers)
    with tempfile.TemporaryDirectory(prefix="chronon-beam-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        serve_in_several(factory, configured, [listening])


def server_config(
    app: "App | Callable[[], App] | Starlette",
    limits: ServerLimits,
    factory: bool = True,
    workers: int = 1,
) -> "uvicorn.Config":
    """The settings of uvicorn.

    Args:
        app: an application, or what makes one in each process.
        limits: see `ServerLimits`.
        factory: whether `app` makes the application.
        workers: how many processes serve.
    """
    import uvicorn

    from chronon_beam.fetcher.server.protocol import BoundedProtocol

    return uvicorn.Config(
        app,
        factory=factory,
        workers=workers,
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=_LOG,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=limits.idle_s,
        timeout_graceful_shutdown=limits.drain_s,
        timeout_worker_healthcheck=_SILENCE_S,
        backlog=_BACKLOG,
    )


def serve_here(config: "uvicorn.Config", sockets: list[socket.socket]) -> None:
    """Serve in this process until SIGTERM or Ctrl-C."""
    import uvicorn

    # uvicorn raises the signal again that has stopped it: this process has then done its work.
    before = {each: signal.signal(each, _nothing) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        uvicorn.Server(config).run(sockets)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _nothing(*_: Any) -> None:
    """Ends no process."""


def allow_files(connections: int) -> None:
    """Let this process have as many open files as connections and store need, if it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + _SPARE_FILES
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < needed:
        logging.getLogger(__name__).warning(
            "this process may have %d open files: %d connections need more (ulimit -n)",
            most,
            connections,
        )
