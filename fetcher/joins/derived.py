"""The derivations of a join, over the columns of its parts and the keys of its left side."""

from collections.abc import Mapping, Sequence

from chronon_beam.api.derivations import rename_only, renamed
from chronon_beam.api.group_by import GroupByError
from chronon_beam.api.join import Join
from chronon_beam.fetcher.failed_derivation import DERIVATION_FAILED
from chronon_beam.fetcher.fetch import Derive, Features

Known = Mapping[str, object]
"""The columns of a row's parts, its keys, and the query's `ts` and `ds`."""


def derived(
    join: Join, derive: Derive | GroupByError | None, known: Sequence[Known]
) -> list[Features]:
    """What a join gives out for each row.

    A row that cannot be derived has the renames, and `derivation_fetch_exception`; so have all
    rows where `derive` is the reason why nothing can be derived.

    Raises:
        GroupByError: a derivation needs Spark, and there is no `derive`.
    """
    if not join.derivations:
        return [{name: row[name] for name in join.columns} for row in known]
    if rename_only(join.derivations):
        return [renamed(join.derivations, row, join.columns) for row in known]
    if derive is None:
        raise GroupByError(
            f"{join.name}: its derivations are Spark expressions: give the fetcher "
            "derive=join_derivations(join, parts) of chronon_beam.pipeline.joined"
        )
    if isinstance(derive, GroupByError):
        return [_renamed(join, row, str(derive)) for row in known]
    try:
        return derive(known)
    except Exception:  # a value that is not of its column's type fails all rows
        return [_one(join, derive, row) for row in known]


def _one(join: Join, derive: Derive, row: Known) -> Features:
    try:
        return derive([row])[0]
    except Exception as error:
        reason = f"the row cannot be derived: {error or type(error).__name__}"
        return _renamed(join, row, reason)


def _renamed(join: Join, row: Known, reason: str) -> Features:
    """The renames of a row, and why there is nothing else."""
    return {**renamed(join.derivations, row, join.columns), DERIVATION_FAILED: reason}
