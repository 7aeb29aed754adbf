"""A join that is served."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from chronon_beam.aggregator.codecs import RecordCodec
from chronon_beam.api.join import Join
from chronon_beam.fetcher.fetch import Features
from chronon_beam.fetcher.joins.answer import JoinAnswer
from chronon_beam.fetcher.joins.codecs import value_codec
from chronon_beam.fetcher.joins.fetch import JoinFetcher
from chronon_beam.fetcher.rows import RequestRow, RowAnswer, RowOutcome
from chronon_beam.fetcher.server.metrics import NamedMetrics


@dataclass(frozen=True)
class ServedJoin:
    """A join that is served.

    Attributes:
        fetcher: fetches the join; a part that cannot be served fails in every row.
        metrics: its metrics.
        compat: whether Chronon's own answers are given.
    """

    fetcher: JoinFetcher
    metrics: NamedMetrics
    compat: bool = False

    kind = "join"
    reason = ""

    @property
    def join(self) -> Join:
        """The join that is served."""
        return self.fetcher.join

    @property
    def name(self) -> str:
        """The join's name."""
        return self.join.name

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of its columns."""
        return self.join.output_names

    @property
    def derives(self) -> bool:
        """Whether Spark evaluates derivations, its own or those of its parts."""
        parts = self.fetcher.parts.values()
        return callable(self.fetcher.derive) or any(getattr(p, "derive", None) for p in parts)

    @property
    def asks_external_sources(self) -> bool:
        """Whether a fetch asks external sources, too."""
        return bool(self.join.external_parts)

    @cached_property
    def values(self) -> RecordCodec:
        """The codec of its columns; raises GroupByError as `value_codec` does."""
        return value_codec(self.fetcher)

    def fetch(self, rows: Sequence[RequestRow], at_ms: int) -> list[RowOutcome]:
        """The outcome of each row; not for joins that ask external sources."""
        return self._outcomes(self.fetcher.fetch(rows, at_ms))

    async def fetch_async(self, rows: Sequence[RequestRow], at_ms: int) -> list[RowOutcome]:
        """`fetch` for an event loop."""
        return self._outcomes(await self.fetcher.fetch_async(rows, at_ms))

    def _outcomes(self, answers: Sequence[JoinAnswer]) -> list[RowOutcome]:
        self.metrics.part_failures(sum(len(each.failures) for each in answers if each.answered))
        if self.compat:
            return [self.fetcher.as_chronon(each) for each in answers]
        return [each.outcome for each in answers]

    def features(self, found: RowAnswer) -> Features:
        """The columns of a row, and the failures of parts under Chronon's names."""
        return found.features
