"""How the failure of a derivation is named among the features that are answered.

Source: `ai.chronon.online.fetcher.Fetcher` of both dialects: `fetchGroupBys`, `fetchDerivations`.
"""

from chronon_beam.api.dialect import ZIPLINE, Dialect
from chronon_beam.fetcher.fetch import Features

DERIVATION_FAILED = "derivation_fetch_exception"
"""Chronon's name of the failure, beside which our answers have the renames."""

_RENAMES = "Chronon makes no renames beside derivations that are no renames"


def failed_join(reason: object) -> Features:
    """What Chronon answers to a row whose derivations have failed: no renames, but why not."""
    return {DERIVATION_FAILED: reason, "derivation_rename_exception": _RENAMES}


def failed_group_by(reason: object, dialect: Dialect) -> Features:
    """The same of a GroupBy, by itself or as a part of a join, after the part's prefix."""
    return {"derivation_exception": reason} if dialect is ZIPLINE else failed_join(reason)
