"""The derivations of a join, over the columns of its parts and the keys of its left side."""

from collections.abc import Mapping, Sequence

from chronon_beam.api.derivations import rename_only, renamed
from chronon_beam.api.group_by import GroupByError
from chronon_beam.api.join import Join
from chronon_beam.fetcher.failed_derivation import DERIVATION_FAILED
from chronon_beam.fetcher.fetch import Derive, Features
from chronon_beam.fetcher.rows import reason_of

Inputs = Mapping[str, object]
"""What derivations of a row are made of: columns of the parts, keys, and the query's times."""


def derive_rows(
    join: Join, derive: Derive | GroupByError | None, inputs: Sequence[Inputs]
) -> list[Features]:
    """The columns that a join gives out for each row.

    A row that cannot be derived has the renames, and the reason as `derivation_fetch_exception`.

    Args:
        join: its derivations.
        derive: evaluates derivations that are not renames; or why nothing can evaluate them.
        inputs: one per row.

    Raises:
        GroupByError: a derivation needs Spark, and there is no `derive`.
    """
    if not join.derivations:
        return [{name: row[name] for name in join.columns} for row in inputs]
    if rename_only(join.derivations):
        return [renamed(join.derivations, row, join.columns) for row in inputs]
    if derive is None:
        raise GroupByError(
            f"{join.name}: its derivations are Spark expressions: give the fetcher "
            "derive=join_derivations(join, parts) of chronon_beam.pipeline.joined"
        )
    if isinstance(derive, GroupByError):
        return [_renamed(join, row, str(derive)) for row in inputs]
    try:
        return derive(inputs)
    except Exception:  # one value that is not of its column's type fails the call for all rows
        return [_derive_one(join, derive, row) for row in inputs]


def _derive_one(join: Join, derive: Derive, row: Inputs) -> Features:
    try:
        return derive([row])[0]
    except Exception as error:
        reason = f"the row cannot be derived: {reason_of(error)}"
        return _renamed(join, row, reason)


def _renamed(join: Join, row: Inputs, reason: str) -> Features:
    """The renames of a row, and the reason why the other derivations are missing."""
    return {**renamed(join.derivations, row, join.columns), DERIVATION_FAILED: reason}
