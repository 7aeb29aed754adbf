"""Names of Chronon that have nothing to do with a GroupBy: they may be used, and do nothing.

A file that declares GroupBys also declares joins, staging queries, models and settings of clusters.
Whatever it does with these names must not stop it. Of a join and of a staging query the name of its
output table is kept, since GroupBys read from such tables.
"""

from collections.abc import Iterator
from typing import Any

from chronon_beam.api.chronon.structs import Struct


class Other:
    """Something that Chronon's name made: takes any use, and gives what it was made of.

    Attributes:
        name: the full name in Chronon, for example `ai.chronon.join.Join`.
    """

    def __init__(self, name: str, *values: object, **named: object) -> None:
        self.__dict__.update(named)
        self.name = name
        self.values = values

    def __call__(self, *values: object, **named: object) -> "Other":
        """Something else of the same name, whatever it is called with."""
        return Other(self.name, *values, **named)

    def __getattr__(self, name: str) -> Struct:
        if name.startswith("__"):
            raise AttributeError(name)
        return Other(f"{self.name}.{name}")

    def __getitem__(self, key: object) -> "Other":
        return Other(f"{self.name}[{key!r}]")

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def keys(self) -> tuple[str, ...]:
        """Nothing, so that `**settings()` is taken."""
        return ()

    def __repr__(self) -> str:
        return self.name
