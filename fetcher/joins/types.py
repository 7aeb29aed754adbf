"""The types of what a join gives out, also of what is derived."""

from collections.abc import Mapping, Sequence
from typing import Protocol, cast

from chronon_beam.api.data_types import LONG, STRING, DataType
from chronon_beam.api.derivations import TIME_COLUMNS, Derivation, projection, rename_only
from chronon_beam.api.group_by import GroupByError
from chronon_beam.api.join import Join, JoinPart
from chronon_beam.fetcher.fetch import Derive, Features, Fetcher

Types = Mapping[str, DataType]
Fetchers = Mapping[str, Fetcher | GroupByError]
"""See `JoinFetcher.parts`."""

_TIMES: dict[str, DataType] = dict(zip(TIME_COLUMNS, (LONG, STRING), strict=True))


class TypedDerive(Protocol):
    """A `Derive` that knows the types of what it derives; `pipeline.derive` makes such."""

    @property
    def types(self) -> Types:
        """By the names of the derived features."""
        ...

    def __call__(self, known: Sequence[Mapping[str, object]], /) -> list[Features]:
        """See `Derive`."""
        ...


def derived_types(
    derivations: Sequence[Derivation], columns: Types, keys: Types, derive: Derive | None
) -> dict[str, DataType]:
    """The types of derived columns; those of `columns` themselves without derivations.

    Args:
        derivations: renames, or expressions that `derive` evaluates.
        columns: the columns that may be derived of, with their types.
        keys: further columns that derivations may use, with their types.
        derive: a `TypedDerive`; not needed for renames.
    """
    if not derivations:
        return dict(columns)
    if not rename_only(derivations):
        return dict(cast(TypedDerive, derive).types)
    known = {**keys, **columns, **_TIMES}
    return {name: known[text] for name, text in projection(derivations, [*columns]).items()}


def part_types(part: JoinPart, fetcher: Fetcher) -> dict[str, DataType]:
    """The columns of a part with their types."""
    plan, derivations = fetcher.plan, part.group_by.derivations
    made = derived_types(derivations, plan.output_types, plan.keys.columns, fetcher.derive)
    return {name: made[own] for name, own in part.columns.items()}


def column_types(join: Join, fetchers: Fetchers) -> dict[str, DataType]:
    """The columns of a join's parts with their types, without parts that have no fetcher."""
    types: dict[str, DataType] = {}
    for part in join.parts:
        fetcher = fetchers.get(part.group_by.name)
        if isinstance(fetcher, Fetcher):
            types.update(part_types(part, fetcher))
    for part in join.external_parts:
        types.update(part.types)
    return types


def left_types(join: Join, fetchers: Fetchers) -> dict[str, DataType]:
    """The columns of the left side, each with the type of the first key that is taken from it."""
    types: dict[str, DataType] = {}
    for part in join.parts:
        fetcher = fetchers.get(part.group_by.name)
        columns = fetcher.plan.keys.columns if isinstance(fetcher, Fetcher) else {}
        for key, left in part.left_columns.items():
            if key in columns:
                types.setdefault(left, columns[key])
    for part in join.external_parts:
        for key, kind in part.source.keys.fields:
            types.setdefault(part.left_columns[key], kind)
    return types
