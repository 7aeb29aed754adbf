"""What a server serves: the GroupBys of a store, taken up as jobs and uploads note them."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.derivations import projection
from chronon_beam.api.group_by import GroupBy
from chronon_beam.fetcher.catalog import CatalogEntry, catalog
from chronon_beam.fetcher.fetch import Derive, Fetcher
from chronon_beam.fetcher.readable_store import ListedStore, ReadableStore
from chronon_beam.fetcher.rows import Outcome, Row, fetch_rows, fetch_rows_async
from chronon_beam.fetcher.server.metrics import Metrics, NamedMetrics

_log = logging.getLogger(__name__)

Derivations = Callable[[Plan], Derive | None]
"""What evaluates a GroupBy's derivations: `pipeline.derive.spark_derivations`."""


@dataclass(frozen=True)
class ServedGroupBy:
    """A GroupBy that is served, or why it is not.

    Attributes:
        entry: of the catalog.
        fetcher: None if the GroupBy cannot be served.
        reason: why not, and what to do; empty otherwise.
        features: the names of its features.
        measured: its metrics.
    """

    entry: CatalogEntry
    fetcher: Fetcher | None
    reason: str
    features: frozenset[str]
    measured: NamedMetrics

    kind = "groupby"

    @property
    def name(self) -> str:
        """The GroupBy's name."""
        return self.entry.name

    @property
    def waits(self) -> bool:
        """Whether a fetch does more than read: its derivations are evaluated by Spark."""
        return self.fetcher is not None and self.fetcher.derive is not None

    @property
    def of_zipline(self) -> bool:
        """Whether it is written for zipline's Chronon."""
        return self.fetcher is not None and self.fetcher.plan.group_by.dialect.name == "zipline"

    def fetch(self, store: ReadableStore, rows: Sequence[Row], at_ms: int) -> list[Outcome]:
        """The outcome of each row."""
        assert self.fetcher is not None
        return fetch_rows(store, [(self.fetcher, rows)], at_ms)[0]

    async def fetch_async(
        self, store: ReadableStore, rows: Sequence[Row], at_ms: int
    ) -> list[Outcome]:
        """`fetch` for an event loop."""
        assert self.fetcher is not None
        return (await fetch_rows_async(store, [(self.fetcher, rows)], at_ms))[0]


class ServedFeatures:
    """All that a server serves.

    Args:
        store: has the catalog.
        reads: what fetches read: the store, or a cache before it.
        declared: GroupBys whose declarations take the place of those in the store; if there are
            any, only they are served.
        derivations: makes what evaluates derivations that are not renames.

    Attributes:
        group_bys: by name.
        ready: whether the last read of the catalog has succeeded.
    """

    def __init__(
        self,
        store: ListedStore,
        reads: ReadableStore,
        metrics: Metrics,
        declared: Iterable[GroupBy] = (),
        derivations: Derivations | None = None,
    ) -> None:
        self.group_bys: dict[str, ServedGroupBy] = {}
        self.ready = False
        self.reads = reads
        self._store, self._metrics = store, metrics
        self._declared = tuple(declared)
        self._derivations = derivations
        self._entries: Mapping[str, CatalogEntry] = {}
        self._failure = ""

    def group_by(self, name: str) -> ServedGroupBy | None:
        """The GroupBy of a name, which may have `/` after the team, as Chronon's files have."""
        return self.group_bys.get(name) or self.group_bys.get(name.replace("/", ".", 1))

    def refresh(self) -> None:
        """Take up what is new in the store; what was served stays, if the store cannot be read."""
        try:
            entries = catalog(self._store, self._declared, self._entries)
        except Exception as error:
            self.ready = False
            self._metrics.catalog_failures.inc()
            self._say(f"the store cannot be read: {error}")
            return
        only = {each.name for each in self._declared}
        known = self.group_bys
        self.group_bys = {
            name: self._served(known.get(name), entry)
            for name, entry in entries.items()
            if not only or name in only
        }
        self._entries, self.ready = entries, True
        self._say("")

    def _served(self, known: ServedGroupBy | None, entry: CatalogEntry) -> ServedGroupBy:
        if known is not None and known.entry is entry:
            return known
        measured = known.measured if known else self._metrics.named("groupby", entry.name)
        fetcher, reason = self._fetcher(entry)
        if reason:
            _log.warning("not served: %s", ascii(reason))
        if fetcher is not None and fetcher.batch is not None:
            measured.batch_ends(fetcher.batch.end_ms)
        return ServedGroupBy(entry, fetcher, reason, _features(fetcher), measured)

    def _fetcher(self, entry: CatalogEntry) -> tuple[Fetcher | None, str]:
        if entry.info is None:
            return None, entry.reason
        try:
            derive = self._derivations(entry.info.plan) if self._derivations else None
        except Exception as error:
            return None, f"{entry.name}: its derivations cannot be evaluated: {error}"
        return Fetcher.of(entry.info, self.reads, derive), ""

    def _say(self, failure: str) -> None:
        """Log a failure once, and that it is over."""
        if failure != self._failure:
            _log.warning("%s", ascii(failure) if failure else "the store can be read again")
            self._failure = failure

    async def keep_fresh(self, every_s: float, executor: Executor) -> None:
        """Refresh again and again, until this is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(every_s)
            await loop.run_in_executor(executor, self.refresh)


def _features(fetcher: Fetcher | None) -> frozenset[str]:
    if fetcher is None:
        return frozenset()
    group_by = fetcher.plan.group_by
    names = [feature.name for feature in group_by.features]
    return frozenset(projection(group_by.derivations, names) if group_by.derivations else names)
