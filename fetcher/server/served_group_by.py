"""A GroupBy that is served."""

from collections.abc import Sequence
from dataclasses import dataclass

from chronon_beam.fetcher.catalog import CatalogEntry
from chronon_beam.fetcher.failed_derivation import DERIVATION_FAILED, failed_group_by
from chronon_beam.fetcher.fetch import Features, Fetcher
from chronon_beam.fetcher.rows import (
    GroupByRows,
    RequestRow,
    RowAnswer,
    RowOutcome,
    fetch_rows,
    fetch_rows_async,
)
from chronon_beam.fetcher.server.metrics import NamedMetrics


@dataclass(frozen=True)
class ServedGroupBy:
    """A GroupBy that is served, or why it is not.

    Attributes:
        entry: the GroupBy's entry in the catalog.
        fetcher: fetches the features; None if the GroupBy cannot be served.
        reason: why the GroupBy cannot be served, and what to do; empty if it can be.
        metrics: its metrics.
        compat: whether Chronon's own answers are given.
    """

    entry: CatalogEntry
    fetcher: Fetcher | None
    reason: str
    metrics: NamedMetrics
    compat: bool = False

    kind = "groupby"
    asks_external_sources = False

    @property
    def name(self) -> str:
        """The GroupBy's name."""
        return self.entry.name

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of its features."""
        return () if self.fetcher is None else self.fetcher.plan.group_by.output_names

    @property
    def derives(self) -> bool:
        """Whether Spark evaluates its derivations."""
        return self.fetcher is not None and self.fetcher.derive is not None

    def fetch(self, rows: Sequence[RequestRow], at_ms: int) -> list[RowOutcome]:
        """The outcome of each row."""
        assert self.fetcher is not None
        return fetch_rows(self.fetcher.store, [GroupByRows(self.fetcher, rows)], at_ms)[0]

    async def fetch_async(self, rows: Sequence[RequestRow], at_ms: int) -> list[RowOutcome]:
        """`fetch` for an event loop."""
        assert self.fetcher is not None
        wanted = [GroupByRows(self.fetcher, rows)]
        return (await fetch_rows_async(self.fetcher.store, wanted, at_ms))[0]

    def features(self, found: RowAnswer) -> Features | None:
        """The features of a row.

        Chronon's own answers have no features for an unknown key, unless the GroupBy derives; and
        if a derivation fails, they have its failure alone.
        """
        if not self.compat:
            return found.features
        assert self.fetcher is not None
        group_by, features = self.fetcher.plan.group_by, found.features
        if not found.known and not group_by.derivations:
            return None
        if DERIVATION_FAILED in features:
            return failed_group_by(features[DERIVATION_FAILED], group_by.dialect)
        return features
