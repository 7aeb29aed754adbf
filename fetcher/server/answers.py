"""The bodies of answers: each row with its status, its keys, and its features or its error.

This project's own answers have one result per row. Chronon's answers, which `--compat` gives, leave
out rows of null keys, and do not say that batch values are too old.

Source: `ai.chronon.service.model.GetFeaturesResponse`, whose absent members are left out.
"""

import base64
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

from chronon_beam.api.join import EXCEPTION
from chronon_beam.fetcher.fetch import Features
from chronon_beam.fetcher.rows import RequestRow, RowFailure, RowOutcome
from chronon_beam.fetcher.server.compat import RowResult, check_any_read, is_left_out
from chronon_beam.fetcher.server.served import ServedName

Members = Callable[[ServedName, Features | None], RowResult]
"""Makes the members of a result that hold the features of its row."""


def json_members(_: ServedName, features: Features | None) -> RowResult:
    """Features as a JSON object; no member for a row without features."""
    return {} if features is None else {"features": features}


class Answers:
    """Makes the results of rows from their outcomes.

    Args:
        compat: whether to answer as Chronon does.
        members: makes the form of the features.
    """

    def __init__(self, compat: bool, members: Members = json_members) -> None:
        self._compat, self._members = compat, members

    def results(
        self,
        served: ServedName,
        rows: Sequence[RequestRow],
        outcomes: Sequence[RowOutcome],
        features: tuple[str, ...] | None,
    ) -> list[RowResult]:
        """The results of rows.

        Args:
            served: the GroupBy or join of the request.
            rows: of the request.
            outcomes: one per row.
            features: the features to give; None for all.

        Raises:
            Refusal: with `compat`, if no row could be read.
        """
        if self._compat:
            check_any_read(outcomes)
        return [
            self._result(served, row, outcome, features)
            for row, outcome in zip(rows, outcomes, strict=True)
            if not (self._compat and is_left_out(outcome))
        ]

    def _result(
        self,
        served: ServedName,
        row: RequestRow,
        outcome: RowOutcome,
        features: tuple[str, ...] | None,
    ) -> RowResult:
        if isinstance(outcome, RowFailure):
            return {"status": "Failure", "entityKeys": row, "error": outcome.reason}
        values = served.features(outcome)
        if features is not None and values is not None:
            values = {name: values[name] for name in values if _is_wanted(name, features)}
        members = self._members(served, values)
        result: RowResult = {"status": "Success", "entityKeys": row, **members}
        if outcome.late_batch_ms is not None and not self._compat:
            result["warnings"] = [_late_warning(outcome.late_batch_ms)]
        return result


def _is_wanted(name: str, features: tuple[str, ...]) -> bool:
    """Whether a request wants a feature; the reasons for missing features are always given."""
    return name in features or name.endswith(EXCEPTION)


def _late_warning(end_ms: int) -> str:
    end = datetime.fromtimestamp(end_ms / 1000, UTC).isoformat(timespec="minutes")
    return (
        f"the batch values end at {end}, more than two days before the query: windows longer than "
        "that reach too far back"
    )


def dumps(answer: object) -> bytes:
    """An answer as JSON: NaN and infinities are null, bytes base64, decimals numbers as text."""
    return orjson.dumps(answer, _plain, orjson.OPT_NON_STR_KEYS)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return str(value)
    return list(value) if isinstance(value, (set, frozenset, tuple)) else str(value)
