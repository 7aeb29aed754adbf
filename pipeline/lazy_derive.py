"""Derivations that start Spark when they are first evaluated: a fetch without them needs none."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.data_types import DataType
from chronon_beam.api.derivations import rename_only
from chronon_beam.fetcher.fetch import Features

if TYPE_CHECKING:
    from chronon_beam.pipeline.derive import Derivable, SparkDerivations


class LazyDerivations:
    """A `Derive` that plans its query at the first call.

    Args:
        derivable: gives what is derived, which needs Spark.
    """

    def __init__(self, derivable: "Callable[[], Derivable]") -> None:
        self._derivable = derivable

    def __call__(self, known: Sequence[Mapping[str, object]]) -> list[Features]:
        """See `Derive`; raises GroupByError if Spark refuses an expression."""
        return self._made(known)

    @property
    def types(self) -> Mapping[str, DataType]:
        """The types of the derived features, by their names."""
        return self._made.types

    @cached_property
    def _made(self) -> "SparkDerivations":
        from chronon_beam.pipeline.derive import derivations_of

        made = derivations_of(self._derivable())
        assert made is not None, "derivations that are not renames"
        return made


def lazy_derivations(plan: Plan) -> LazyDerivations | None:
    """The function for `Fetcher.derive`; None if the derivations do not need Spark."""
    if rename_only(plan.group_by.derivations):
        return None

    def derivable() -> "Derivable":
        from chronon_beam.pipeline.derive import derivable_of

        return derivable_of(plan)

    return LazyDerivations(derivable)
