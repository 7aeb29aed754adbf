"""The feature server as an ASGI application.

Source: `ai.chronon.service.FetcherVerticle` of zipline, `WebServiceVerticle` of airbnb.
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from chronon_beam.api.group_by import GroupByError
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.fetcher.server.answers import dumps
from chronon_beam.fetcher.server.bodies import Bodies
from chronon_beam.fetcher.server.catalog_refresh import CatalogRefresh
from chronon_beam.fetcher.server.fetch_endpoint import FetchContext, FetchEndpoint
from chronon_beam.fetcher.server.fetch_runner import Caches, FetchRunner
from chronon_beam.fetcher.server.front import App, Front
from chronon_beam.fetcher.server.join_avro import avro_members, join_schema
from chronon_beam.fetcher.server.metrics import Metrics
from chronon_beam.fetcher.server.openapi import document
from chronon_beam.fetcher.server.schemas import group_by_schema, group_by_status
from chronon_beam.fetcher.server.served import ServedFeatures, names_of
from chronon_beam.fetcher.server.settings import ServerLimits, Settings

_GC = (50_000, 20, 20)
"""Requests make few cycles: the collector looks for them less often than Python's default."""

TEXT = "text/plain; version=0.0.4; charset=utf-8"


class _AnyName(Convertor[str]):
    """A name in a path: any characters, also slashes and line ends (`path` stops at a line end)."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("any", _AnyName())


def feature_server(
    settings: Settings,
    served: ServedFeatures,
    caches: Caches,
    metrics: Metrics,
    further: Sequence[BaseRoute] = (),
    close: Callable[[], None] = lambda: None,
) -> App:
    """The server's application.

    Args:
        settings: how the server answers.
        served: the GroupBys and joins that it serves.
        caches: the caches that `served` reads.
        metrics: the metrics that `served` counts in.
        further: routes beside those of Chronon, for pages.
        close: called when the server has stopped.
    """
    threads = ThreadPoolExecutor(settings.threads, "fetch")
    runner = FetchRunner(settings, caches, metrics, threads)
    context = FetchContext(served, settings, Bodies(settings.limits), runner)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, ServerLimits]]:
        asyncio.get_running_loop().set_default_executor(threads)
        refresh = CatalogRefresh(served, threads, settings.silence_s)
        await refresh.once()
        refreshing = asyncio.create_task(refresh.repeat(settings.refresh_s))
        gc.collect()
        gc.freeze()  # the objects of the start live as long as the server
        gc.set_threshold(*_GC)
        yield {"limits": settings.limits}
        refreshing.cancel()
        close()

    info = _InfoEndpoints(settings, served, metrics)
    routes = [*_fetch_routes(context), *info.routes(), *further]
    handlers = {HTTPException: _refused, Exception: _failed}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    # A redirect would put the path of a request into a header.
    app.router.redirect_slashes = False
    return Front(app, settings, metrics)


def _fetch_routes(context: FetchContext) -> list[BaseRoute]:
    group_by, join = (FetchEndpoint(context, kind) for kind in ("groupby", "join"))
    endpoints = {
        "/v1/features/groupby/{name:any}": group_by,
        "/v1/fetch/groupby/{name:any}": group_by,
        "/v1/features/join/{name:any}": join,
        "/v1/fetch/join/{name:any}": join,
        "/v2/fetch/join/{name:any}": FetchEndpoint(context, "join", avro_members),
    }
    return [Route(path, endpoint, methods=["POST"]) for path, endpoint in endpoints.items()]


class _InfoEndpoints:
    """The endpoints that describe the server and what it serves."""

    def __init__(self, settings: Settings, served: ServedFeatures, metrics: Metrics) -> None:
        self._settings, self._served, self._metrics = settings, served, metrics

    def routes(self) -> list[BaseRoute]:
        """The paths; those with a name come last, since a name may have slashes."""
        endpoints = {
            "/ping": self.ping,
            "/config": self.config,
            "/healthz": self.health,
            "/readyz": self.readiness,
            "/metrics": self.exposition,
            "/openapi.json": self.openapi,
            "/v1/groupbys": self.group_bys,
            "/v1/joins": self.joins,
            "/v1/join/{name:any}/schema": self.join_schema,
            "/v1/groupby/{name:any}/schema": self.schema,
            "/v1/groupby/{name:any}/status": self.status,
        }
        return [Route(path, endpoint, methods=["GET"]) for path, endpoint in endpoints.items()]

    async def ping(self, _: Request) -> Response:
        return _json("Pong!")

    async def config(self, _: Request) -> Response:
        settings, limits = self._settings, vars(self._settings.limits)
        return _json(
            {"compat": settings.compat, "refresh_s": settings.refresh_s, "limits": dict(limits)}
        )

    async def health(self, _: Request) -> Response:
        return _json({"healthy": True})

    async def readiness(self, _: Request) -> Response:
        if not self._served.ready:
            return _errors("the store cannot be read", 503)
        return _json({"ready": True})

    async def exposition(self, _: Request) -> Response:
        # A thread, since the files of several processes may have to be read.
        body = await asyncio.to_thread(self._metrics.exposition)
        return Response(body, media_type=TEXT)

    async def openapi(self, _: Request) -> Response:
        return _json(document(self._settings))

    async def group_bys(self, _: Request) -> Response:
        return _json({"groupByNames": names_of(self._served.group_bys.values())})

    async def joins(self, _: Request) -> Response:
        # Chronon's service lists only the joins that are marked as online.
        served = self._served.joins.values()
        listed = [each for each in served if each.join.online or not self._settings.compat]
        return _json({"joinNames": names_of(listed)})

    async def join_schema(self, request: Request) -> Response:
        name = request.path_params["name"]
        served = self._served.join(name)
        if served is None:
            return self._missing(name)
        try:
            return _json(join_schema(served))
        except GroupByError as error:
            return _errors(str(error), 503)

    async def schema(self, request: Request) -> Response:
        return self._of_group_by(request, lambda fetcher: group_by_schema(fetcher.plan))

    async def status(self, request: Request) -> Response:
        return self._of_group_by(request, group_by_status)

    def _of_group_by(
        self, request: Request, answer: Callable[[Fetcher], Mapping[str, object]]
    ) -> Response:
        name = request.path_params["name"]
        served = self._served.group_by(name)
        if served is None:
            return self._missing(name)
        if served.fetcher is None:
            return _errors(served.reason, 503)
        return _json(answer(served.fetcher))

    def _missing(self, name: str) -> Response:
        # Chronon's services fail for a name that they do not serve.
        status = 500 if self._settings.compat else 404
        return _errors(f"nothing of the name {name[:200]!r} is served", status)


def _json(answer: object, status: int = 200) -> Response:
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    return Response(dumps(answer), status, headers, "application/json")


def _errors(reason: str, status: int) -> Response:
    return _json({"errors": [reason]}, status)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = _errors(error.detail, error.status_code)
    response.headers.update(error.headers or {})
    return response


async def _failed(_: Request, error: Exception) -> Response:
    return _errors(f"the server has failed: {type(error).__name__}", 500)
