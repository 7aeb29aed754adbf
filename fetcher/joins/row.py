"""One row of a join: collects the answers of the join's parts."""

from collections.abc import Mapping

from chronon_beam.api.derivations import has_star, own, rename_only
from chronon_beam.api.dialect import ZIPLINE
from chronon_beam.api.join import ExternalPart, JoinPart
from chronon_beam.fetcher.entity_key import Key
from chronon_beam.fetcher.failed_derivation import DERIVATION_FAILED
from chronon_beam.fetcher.fetch import Features
from chronon_beam.fetcher.joins.answer import (
    JoinAnswer,
    Lineage,
    failure_name,
    missing_key_name,
)
from chronon_beam.fetcher.rows import Cause, RowAnswer, RowFailure, RowOutcome


class JoinRow:
    """The columns that the parts have given to a row so far, and the parts that have failed.

    Attributes:
        key: see `JoinAnswer`.
        columns: the columns of all parts that were added; those of a failed part are null.
    """

    def __init__(self, key: Key) -> None:
        self.key = key
        self.columns: Features = {}
        self._failures: dict[str, RowFailure] = {}
        self._failed: set[str] = set()
        self._unknown: set[str] = set()
        self._newest_ms: list[int] = []
        self._late_ms: list[int] = []
        self._answered = self._known = False

    def add(self, part: JoinPart, outcome: RowOutcome) -> None:
        """Add the features of a part, or why it has none."""
        if isinstance(outcome, RowAnswer):
            self._add_found(part, outcome)
        elif outcome.cause is Cause.NULL_KEY:
            # A row may have no such entity: an order without a voucher.
            self._answered = True
            self.columns.update(dict.fromkeys(part.columns))
            self._unknown.update(part.columns)
        else:
            missing = outcome.cause is Cause.MISSING_KEY
            name = missing_key_name(part) if missing else failure_name(part)
            self._add_failure(name, outcome, part.columns)

    def add_external(self, part: ExternalPart, values: Mapping[str, object] | RowFailure) -> None:
        """Add the values of an external source, or why it has none."""
        if isinstance(values, RowFailure):
            self._add_failure(failure_name(part), values, part.types)
        else:
            self._answered = self._known = True
            self.columns.update(values)

    def answer(self, lineage: Lineage, features: Features) -> JoinAnswer:
        """The answer to the row.

        Args:
            lineage: of the join.
            features: the columns that the join gives out, derived of `columns`.
        """
        reason = features.pop(DERIVATION_FAILED, None)
        if reason is not None:
            self._failures[DERIVATION_FAILED] = RowFailure(str(reason), Cause.DERIVATION)
        certain, doubtful = lineage.split(features, frozenset(self._failed))
        return JoinAnswer(
            certain,
            self.key,
            self._failures,
            doubtful,
            frozenset(self._unknown),
            self._answered,
            self._known,
            max(self._newest_ms, default=None),
            min(self._late_ms, default=None),
        )

    def _add_found(self, part: JoinPart, found: RowAnswer) -> None:
        self._answered = True
        features = found.features
        reason = features.get(DERIVATION_FAILED)
        if reason is not None:
            failure = RowFailure(str(reason), Cause.DERIVATION)
            self._failures[part.column_prefix + DERIVATION_FAILED] = failure
            self._failed.update(n for n, feature in part.columns.items() if feature not in features)
        self.columns.update({n: features.get(feature) for n, feature in part.columns.items()})
        self._known |= found.known
        if not found.known:
            self._unknown.update(_left_out(part))
        if found.newest_ms is not None:
            self._newest_ms.append(found.newest_ms)
        if found.late_batch_ms is not None:
            self._late_ms.append(found.late_batch_ms)

    def _add_failure(self, name: str, failure: RowFailure, columns: Mapping[str, object]) -> None:
        self._failures[name] = failure
        self._failed.update(columns)
        self.columns.update(dict.fromkeys(columns))


def _left_out(part: JoinPart) -> list[str]:
    """The columns that Chronon leaves out where the store has nothing of a part's key.

    Airbnb's Fetcher leaves out all features of such a key, zipline's those of accuracy SNAPSHOT
    alone. Derived columns are not left out: they are derived of nulls. If all derivations are
    renames, columns that `*` keeps are left out nevertheless.
    """
    derivations = part.group_by.derivations
    if part.group_by.dialect is ZIPLINE and not part.group_by.is_snapshot:
        return []
    if not derivations:
        return list(part.columns)
    if not (rename_only(derivations) and has_star(derivations)):
        return []
    named = {each.name for each in own(derivations)}
    return [name for name, feature in part.columns.items() if feature not in named]
