"""Opens a join over the GroupBys of a store, and makes the lines that `fetch --join` prints."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chronon_beam.api.derivations import rename_only
from chronon_beam.api.group_by import GroupByError
from chronon_beam.api.join import Join
from chronon_beam.fetcher.fetch import Derive, Fetcher
from chronon_beam.fetcher.joins.answer import JoinAnswer
from chronon_beam.fetcher.joins.external import open_handlers
from chronon_beam.fetcher.joins.fetch import JoinFetcher
from chronon_beam.fetcher.joins.types import Fetchers, column_types, left_types
from chronon_beam.fetcher.readable_store import ReadableStore
from chronon_beam.fetcher.rows import RowFailure
from chronon_beam.fetcher.serving_info import load
from chronon_beam.pipeline.lazy_derive import LazyDerivations, lazy_derivations

if TYPE_CHECKING:
    from chronon_beam.pipeline.derive import Derivable


def open_join(join: Join, store: ReadableStore) -> JoinFetcher:
    """The fetcher of a join, by what jobs and uploads have noted in the store.

    Raises:
        GroupByError: the store has nothing of one of its GroupBys, or no installed package offers
            one of its external sources.
    """
    parts: dict[str, Fetcher | GroupByError] = {}
    for group_by in {part.group_by.name: part.group_by for part in join.parts}.values():
        try:
            info = load(store, group_by)
        except GroupByError as error:
            raise GroupByError(f"{join.name}: {error}") from None
        parts[group_by.name] = Fetcher.of(info, store, lazy_derivations(info.plan))
    return JoinFetcher(join, store, parts, open_handlers(join), join_derivations(join, parts))


def join_derivations(join: Join, parts: Fetchers) -> LazyDerivations | None:
    """The function for `JoinFetcher.derive`; None if the derivations do not need Spark.

    Spark starts, and refuses expressions, when the function is first called.
    """
    if rename_only(join.derivations):
        return None
    return LazyDerivations(lambda: _derivable(join, parts))


def spark_join_derivations(join: Join, parts: Fetchers) -> Derive | None:
    """As `join_derivations`, but Spark starts at once.

    Raises:
        GroupByError: Spark refuses an expression.
    """
    if rename_only(join.derivations):
        return None
    from chronon_beam.pipeline.derive import derivations_of

    return derivations_of(_derivable(join, parts))


def _derivable(join: Join, parts: Fetchers) -> "Derivable":
    from chronon_beam.pipeline.derive import Derivable

    columns, keys = column_types(join, parts), left_types(join, parts)
    setups = (each for part in join.parts for each in part.group_by.source.query.setups)
    return Derivable(join.name, join.derivations, columns, keys, tuple(dict.fromkeys(setups)))


class JoinedLines:
    """The lines that answers are printed as.

    Args:
        status: the name of the field that says whether a row was found, if it is wanted.

    Attributes:
        failed: how many parts have failed, by the reason of their failure.
    """

    def __init__(self, status: str | None) -> None:
        self.failed: dict[str, int] = {}
        self._status = status

    def line(self, row: Mapping[str, Any], answer: JoinAnswer) -> dict[str, Any]:
        """What is printed of a row: its columns, its features, and why others are not there."""
        outcome = answer.outcome
        for name, failure in answer.failures.items():
            reason = f"{name}: {failure.reason}"
            self.failed[reason] = self.failed.get(reason, 0) + 1
        reasons = {name: failure.reason for name, failure in answer.failures.items()}
        features = reasons if isinstance(outcome, RowFailure) else outcome.features
        known = (
            "failed" if isinstance(outcome, RowFailure) else "found" if outcome.known else "unknown"
        )
        return {**row, **features, **({self._status: known} if self._status else {})}

    def tell(self) -> None:
        """Print to stderr which parts have failed, and in how many rows."""
        for reason, rows in self.failed.items():
            print(f"chronon-beam: {reason} (in {rows:,} rows)", file=sys.stderr)
