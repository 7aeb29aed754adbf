"""Serves the inspector page: which GroupBys it shows, and how it is run."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.group_by import GroupBy, GroupByError
from chronon_beam.fetcher.catalog import CatalogEntry, catalog
from chronon_beam.fetcher.entity_key import Key
from chronon_beam.fetcher.fetch import Derive, Fetcher
from chronon_beam.fetcher.inspector.routes import routes
from chronon_beam.fetcher.server.settings import ServerLimits
from chronon_beam.io.kv_store import KVStore

LIMITS = ServerLimits(connections=100)
"""The page is for people, who are fewer than programs."""

_MOST_ENTITIES = 12
_MOST_SCANNED = 20_000
"""A scan for entities ends after that many values: a key may have a value per tile."""


@dataclass
class StoreFetchers:
    """The GroupBys of a store, as its notes have them at each request.

    Attributes:
        declared: GroupBys from files; if there are any, only they are shown.
        derivations: makes what evaluates a GroupBy's derivations, see `Fetcher.derive`.
    """

    store: KVStore
    declared: Sequence[GroupBy] = ()
    derivations: Callable[[Plan], Derive | None] = lambda plan: None
    _known: Mapping[str, CatalogEntry] = field(default_factory=dict)
    _made: dict[str, tuple[CatalogEntry, Fetcher]] = field(default_factory=dict)

    def names(self) -> list[str]:
        """See `GroupByFetchers`."""
        self._known = catalog(self.store, self.declared, self._known)
        return [each.name for each in self.declared] or list(self._known)

    def fetcher(self, name: str) -> Fetcher:
        """See `GroupByFetchers`."""
        entry = self._known[name]
        if entry.info is None:
            raise GroupByError(entry.reason)
        known = self._made.get(name)
        if known is None or known[0] is not entry:
            derive = self.derivations(entry.info.plan)
            known = self._made[name] = entry, Fetcher.of(entry.info, self.store, derive)
        return known[1]

    def entities(self, fetcher: Fetcher) -> list[Key]:
        """The first keys that a scan of the store finds."""
        plan = fetcher.plan
        group_by = plan.group_by
        dataset = group_by.streaming_dataset if fetcher.streamed else group_by.batch_dataset
        scanned = islice(self.store.scan(dataset), _MOST_SCANNED)
        keys = dict.fromkeys(value.key_bytes for value in scanned)
        columns = list(plan.keys.columns)
        return [
            dict(zip(columns, plan.keys.decode(key), strict=True))
            for key in islice(keys, _MOST_ENTITIES)
        ]


def inspector_app(fetchers: StoreFetchers, store_uri: str, hosts: Sequence[str]) -> Starlette:
    """The page as an application of its own.

    Args:
        fetchers: finds the GroupBys that it shows.
        store_uri: what it calls the store.
        hosts: by which names a browser may ask for it: a page of another site, whose name was made
            to lead here, is refused.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, ServerLimits]]:
        yield {"limits": LIMITS}

    trusted = Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    pages = routes(fetchers, fetchers.entities, store_uri)
    return Starlette(routes=pages, middleware=[trusted], lifespan=lifespan)
