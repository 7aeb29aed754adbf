"""What a server serves: the GroupBys of a store, taken up as jobs and uploads note them; joins."""

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
from chronon_beam.fetcher.rows import Outcome, Row, RowAnswer
from chronon_beam.fetcher.server.metrics import Metrics, NamedMetrics
from chronon_beam.fetcher.server.served_group_by import ServedGroupBy
from chronon_beam.fetcher.server.served_join import ServedJoin

_log = logging.getLogger(__name__)

Derivations = Callable[[Plan], Derive | None]
"""What evaluates a GroupBy's derivations: `pipeline.derive.spark_derivations`."""


class ServedName(Protocol):
    """A GroupBy or a join that is served."""

    @property
    def kind(self) -> str:
        """`groupby` or `join`, as in paths."""
        ...

    @property
    def name(self) -> str:
        """By which it is asked for."""
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
    def asks_others(self) -> bool:
        """Whether more is asked than the store, so that only `fetch_async` may be called."""
        ...

    @property
    def measured(self) -> NamedMetrics:
        """Its metrics."""
        ...

    def fetch(self, rows: Sequence[Row], at_ms: int) -> list[Outcome]:
        """The outcome of each row."""
        ...

    async def fetch_async(self, rows: Sequence[Row], at_ms: int) -> list[Outcome]:
        """`fetch` for an event loop."""
        ...

    def features(self, found: RowAnswer) -> Features | None:
        """The features of a row; None to leave them out."""
        ...


JoinDerivations = Callable[[Join, Fetchers], Derive | None]
"""What evaluates a join's derivations: `pipeline.joined.spark_join_derivations`."""


class ServableJoin(NamedTuple):
    """A join with what it needs beside the store.

    Attributes:
        handlers: of its external sources.
        derivations: makes what evaluates derivations that are not renames.
    """

    join: Join
    handlers: Handlers
    derivations: JoinDerivations | None = None


class Declarations(NamedTuple):
    """What a server is given in files.

    Attributes:
        group_bys: their declarations take the place of those in the store; if there are any, only
            they are served.
        joins: are served beside them.
    """

    group_bys: tuple[GroupBy, ...] = ()
    joins: tuple[ServableJoin, ...] = ()

    @property
    def all_group_bys(self) -> tuple[GroupBy, ...]:
        """Those that are given, and those of the joins' parts."""
        of_joins = (part.group_by for each in self.joins for part in each.join.parts)
        return (*of_joins, *self.group_bys)


NOTHING = Declarations()


class ServedFeatures:
    """All that a server serves.

    Args:
        store: has the catalog.
        reads: what fetches read: the store, or a cache before it.
        derivations: makes what evaluates derivations that are not renames.
        compat: whether Chronon's own answers are given.
        merged: remembers what tiles merge to.

    Attributes:
        group_bys, joins: by name.
        ready: whether the last read of the catalog has succeeded.
        is_reading: whether the catalog is being read.
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
        """Take up what is new in the store; what was served stays, if the store cannot be read."""
        before = {name: each.entry for name, each in self._known.items()}
        self.is_reading = True
        try:
            entries = catalog(self._store, self._declared.all_group_bys, before)
        except Exception as error:
            self.lose(str(error))
            return
        finally:
            self.is_reading = False
        known = {name: self._served(name, entry) for name, entry in entries.items()}
        if known != self._known or not self.ready:
            only = {each.name for each in self._declared.group_bys} or known.keys()
            self.joins = {
                each.join.name: self._joined(each, known) for each in self._declared.joins
            }
            self.group_bys = {name: each for name, each in known.items() if name in only}
        self._known, self.ready = known, True
        self._say("")

    def lose(self, reason: str) -> None:
        """The catalog cannot be read: what was served stays, and its rows may fail."""
        self.ready = False
        self._metrics.catalog_failures.inc()
        self._say(f"the store cannot be read: {reason}")

    def _served(self, name: str, entry: CatalogEntry) -> ServedGroupBy:
        known = self._known.get(name)
        if known is not None and known.entry is entry:
            return known
        measured = known.measured if known else self._metrics.named("groupby", entry.name)
        fetcher, reason = self._fetcher(entry)
        if reason:
            _log.warning("not served: %s", ascii(reason))
        if fetcher is not None and fetcher.batch is not None:
            measured.batch_ends(fetcher.batch.end_ms)
        return ServedGroupBy(entry, fetcher, reason, measured, self._compat)

    def _fetcher(self, entry: CatalogEntry) -> tuple[Fetcher | None, str]:
        if entry.info is None:
            return None, entry.reason
        try:
            derive = self._derivations(entry.info.plan) if self._derivations else None
        except Exception as error:
            return None, f"{entry.name}: its derivations cannot be evaluated: {error}"
        return Fetcher.of(entry.info, self._reads, derive, self._merged), ""

    def _joined(self, each: ServableJoin, known: Mapping[str, ServedGroupBy]) -> ServedJoin:
        before = self.joins.get(each.join.name)
        names = {part.group_by.name for part in each.join.parts}
        parts: Fetchers = {
            name: found.fetcher or GroupByError(found.reason)
            for name, found in known.items()
            if name in names
        }
        if before is not None and _are_same(before.fetcher.parts, parts):
            return before
        measured = before.measured if before else self._metrics.named("join", each.join.name)
        derive = _join_derive(each, parts)
        fetcher = JoinFetcher(each.join, self._reads, parts, each.handlers, derive)
        return ServedJoin(fetcher, measured, self._compat)

    def _say(self, failure: str) -> None:
        """Log a failure once, and that it is over."""
        if failure != self._failure:
            _log.warning("%s", ascii(failure) if failure else "the store can be read again")
            self._failure = failure


def _are_same(before: Fetchers, now: Fetchers) -> bool:
    """Whether nothing has changed of a join's parts: what is derived need not be planned again."""
    return before.keys() == now.keys() and all(before[name] is now[name] for name in now)


def _join_derive(each: ServableJoin, parts: Fetchers) -> Derive | GroupByError | None:
    """What evaluates a join's derivations, or why nothing does."""
    try:
        return each.derivations(each.join, parts) if each.derivations else None
    except Exception as error:
        reason = f"{each.join.name}: its derivations cannot be evaluated: {error}"
        _log.warning("%s", ascii(reason))
        return GroupByError(reason)


def names_of(served: Iterable[ServedName]) -> list[str]:
    """The names of what can be served."""
    return [each.name for each in served if not each.reason]
