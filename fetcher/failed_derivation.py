"""The names under which an answer reports, among its features, that a derivation has failed.

Source: `ai.chronon.online.fetcher.Fetcher` of both dialects: `fetchGroupBys`, `fetchDerivations`.
"""

from chronon_beam.api.dialect import ZIPLINE, Dialect
from chronon_beam.fetcher.fetch import Features

DERIVATION_FAILED = "derivation_fetch_exception"
"""Chronon's name of the failure; this project's answers use it too, and keep the renames."""

_RENAMES = "Chronon makes no renames beside derivations that are no renames"


def failed_join(reason: object) -> Features:
    """Chronon's answer to a row whose derivations have failed: two reasons, and no renames."""
    return {DERIVATION_FAILED: reason, "derivation_rename_exception": _RENAMES}


def failed_group_by(reason: object, dialect: Dialect) -> Features:
    """Chronon's answer for a GroupBy; as a part of a join, its names follow the part's prefix."""
    return {"derivation_exception": reason} if dialect is ZIPLINE else failed_join(reason)
