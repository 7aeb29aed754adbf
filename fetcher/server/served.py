"""What a server serves: the GroupBys that jobs and uploads have noted in a store, and joins."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from chronon_beam.aggregator.merged_tiles import MergedTiles
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.group_by import GroupBy, GroupByError
from chronon_beam.api.join import Join
from chronon_beam.fetcher.catalog import CatalogEntry, catalog
from chronon_beam.fetcher.fetch import Derive, Features, Fetcher
from chronon_beam.fetcher.joins.external import Handlers
from chronon_beam.fetcher.joins.fetch import JoinFetcher
from chronon_beam.fetcher.joins.types import Fetchers
from chronon_beam.fetcher.readable_store import ListedStore, ReadableStore
from chronon_beam.fetcher.rows import RequestRow, RowAnswer, RowOutcome
from chronon_beam.fetcher.server.metrics import Metrics, NamedMetrics
from chronon_beam.fetcher.server.served_group_by import ServedGroupBy
from chronon_beam.fetcher.server.served_join import ServedJoin

_log = logging.getLogger(__name__)

Derivations = Callable[[Plan], Derive | None]
"""Makes the function that evaluates a GroupBy's derivations, or None if only renames are needed."""


class ServedName(Protocol):
    """A GroupBy or a join that is served."""

    @property
    def kind(self) -> str:
        """`groupby` or `join`, as in paths."""
        ...

    @property
    def name(self) -> str:
        """The name in the paths of requests."""
        ...

    @property
    def reason(self) -> str:
        """Why it cannot be served; empty if it can be."""
        ...

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of its features."""
        ...

    @property
    def derives(self) -> bool:
        """Whether Spark evaluates derivations."""
        ...

    @property
    def asks_external_sources(self) -> bool:
        """Whether a fetch asks external sources, too; then only `fetch_async` may be called."""
        ...

    @property
    def metrics(self) -> NamedMetrics:
        """Its metrics."""
        ...

    def fetch(self, rows: Sequence[RequestRow], at_ms: int) -> list[RowOutcome]:
        """The outcome of each row."""
        ...

    async def fetch_async(self, rows: Sequence[RequestRow], at_ms: int) -> list[RowOutcome]:
        """`fetch` for an event loop."""
        ...

    def features(self, found: RowAnswer) -> Features | None:
        """The features of a row; None if its result has no member for features."""
        ...


JoinDerivations = Callable[[Join, Fetchers], Derive | None]
"""Makes the function that evaluates a join's derivations, or None if only renames are needed."""


class ServableJoin(NamedTuple):
    """A join with what it needs beside the store.

    Attributes:
        handlers: of its external sources.
        derivations: makes the function that evaluates derivations which are not renames.
    """

    join: Join
    handlers: Handlers
    derivations: JoinDerivations | None = None


class Declarations(NamedTuple):
    """The GroupBys and joins that a server has from files.

    Attributes:
        group_bys: take the place of the declarations in the store; if there are any, no other
            GroupBys are served.
        joins: the joins to serve.
    """

    group_bys: tuple[GroupBy, ...] = ()
    joins: tuple[ServableJoin, ...] = ()

    @property
    def all_group_bys(self) -> tuple[GroupBy, ...]:
        """The GroupBys of the joins' parts, and `group_bys`."""
        of_joins = (part.group_by for each in self.joins for part in each.join.parts)
        return (*of_joins, *self.group_bys)


NOTHING = Declarations()


class ServedFeatures:
    """All GroupBys and joins that a server serves.

    Args:
        store: the store that has the catalog.
        reads: the store that fetches read: `store`, or a cache of it.
        metrics: of the process.
        declared: what the server has from files.
        derivations: makes the functions that evaluate derivations which are not renames.
        compat: whether Chronon's own answers are given.
        merged: a cache of the IRs of merged tiles.

    Attributes:
        group_bys, joins: what is served, by name.
        ready: whether the last read of the catalog has succeeded.
        is_reading: whether the catalog is being read now.
    """

    def __init__(
        self,
        store: ListedStore,
        reads: ReadableStore,
        metrics: Metrics,
        declared: Declarations = NOTHING,
        derivations: Derivations | None = None,
        compat: bool = False,
        merged: MergedTiles | None = None,
    ) -> None:
        self.group_bys: dict[str, ServedGroupBy] = {}
        self.joins: dict[str, ServedJoin] = {}
        self.ready = self.is_reading = False
        self._store, self._reads, self._metrics = store, reads, metrics
        self._declared, self._derivations, self._compat = declared, derivations, compat
        self._merged = merged
        self._known: dict[str, ServedGroupBy] = {}
        self._failure = ""

    def group_by(self, name: str) -> ServedGroupBy | None:
        """The GroupBy of a name, which may have `/` after the team, as Chronon's files have."""
        return self.group_bys.get(name) or self.group_bys.get(name.replace("/", ".", 1))

    def join(self, name: str) -> ServedJoin | None:
        """The join of a name; see `group_by`."""
        return self.joins.get(name) or self.joins.get(name.replace("/", ".", 1))

    def refresh(self) -> None:
        """Serve what the catalog has now; if it cannot be read, what was served stays."""
        before = {name: each.entry for name, each in self._known.items()}
        self.is_reading = True
        try:
            entries = catalog(self._store, self._declared.all_group_bys, before)
        except Exception as error:
            self.mark_unreadable(str(error))
            return
        finally:
            self.is_reading = False
        known = {name: self._served_group_by(name, entry) for name, entry in entries.items()}
        if known != self._known or not self.ready:
            only = {each.name for each in self._declared.group_bys} or known.keys()
            self.joins = {
                each.join.name: self._served_join(each, known) for each in self._declared.joins
            }
            self.group_bys = {name: each for name, each in known.items() if name in only}
        self._known, self.ready = known, True
        self._log_failure("")

    def mark_unreadable(self, reason: str) -> None:
        """Note that the catalog cannot be read: what was served stays, and its rows may fail."""
        self.ready = False
        self._metrics.catalog_failures.inc()
        self._log_failure(f"the store cannot be read: {reason}")

    def _served_group_by(self, name: str, entry: CatalogEntry) -> ServedGroupBy:
        known = self._known.get(name)
        if known is not None and known.entry is entry:
            return known
        metrics = known.metrics if known else self._metrics.named("groupby", entry.name)
        fetcher, reason = self._fetcher(entry)
        if reason:
            _log.warning("not served: %s", ascii(reason))
        if fetcher is not None and fetcher.batch is not None:
            metrics.batch_ends(fetcher.batch.end_ms)
        return ServedGroupBy(entry, fetcher, reason, metrics, self._compat)

    def _fetcher(self, entry: CatalogEntry) -> tuple[Fetcher | None, str]:
        if entry.info is None:
            return None, entry.reason
        try:
            derive = self._derivations(entry.info.plan) if self._derivations else None
        except Exception as error:
            return None, f"{entry.name}: its derivations cannot be evaluated: {error}"
        return Fetcher.of(entry.info, self._reads, derive, self._merged), ""

    def _served_join(self, each: ServableJoin, known: Mapping[str, ServedGroupBy]) -> ServedJoin:
        before = self.joins.get(each.join.name)
        names = {part.group_by.name for part in each.join.parts}
        parts: Fetchers = {
            name: found.fetcher or GroupByError(found.reason)
            for name, found in known.items()
            if name in names
        }
        if before is not None and _are_same(before.fetcher.parts, parts):
            return before
        metrics = before.metrics if before else self._metrics.named("join", each.join.name)
        derive = _join_derive(each, parts)
        fetcher = JoinFetcher(each.join, self._reads, parts, each.handlers, derive)
        return ServedJoin(fetcher, metrics, self._compat)

    def _log_failure(self, failure: str) -> None:
        """Log a failure when it begins, and when it is over; empty for no failure."""
        if failure != self._failure:
            _log.warning("%s", ascii(failure) if failure else "the store can be read again")
            self._failure = failure


def _are_same(before: Fetchers, now: Fetchers) -> bool:
    """Whether the parts of a join have not changed, so that its derivations stay planned."""
    return before.keys() == now.keys() and all(before[name] is now[name] for name in now)


def _join_derive(each: ServableJoin, parts: Fetchers) -> Derive | GroupByError | None:
    """The function that evaluates a join's derivations, or why there cannot be one."""
    try:
        return each.derivations(each.join, parts) if each.derivations else None
    except Exception as error:
        reason = f"{each.join.name}: its derivations cannot be evaluated: {error}"
        _log.warning("%s", ascii(reason))
        return GroupByError(reason)


def names_of(served: Iterable[ServedName]) -> list[str]:
    """The names of what can be served."""
    return [each.name for each in served if not each.reason]
