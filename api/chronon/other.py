"""Stands in for names of Chronon that have nothing to do with a GroupBy: any use of them works.

A file that declares GroupBys also declares joins, staging queries, models and settings of clusters.
Whatever it does with these names must not stop it. Of a join and of a staging query the name of its
output table is kept, since GroupBys read from such tables.
"""

from collections.abc import Iterator
from typing import Any


class Other:
    """The value of such a name: it can be called, indexed and iterated over."""

    def __init__(self, full_name: str, /, *values: object, **named: object) -> None:
        """Keep what is given by name.

        Args:
            full_name: in Chronon, for example `ai.chronon.join.Join`.
            values: not kept.
            named: found again as attributes.
        """
        self.__dict__.update(named)
        self.__full_name = full_name

    def __call__(self, *values: object, **named: object) -> "Other":
        """Something else of the same name, whatever it is called with."""
        return Other(self.__full_name, *values, **named)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return Other(f"{self.__full_name}.{name}")

    def __getitem__(self, key: object) -> "Other":
        return Other(f"{self.__full_name}[{key!r}]")

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def keys(self) -> tuple[str, ...]:
        """Nothing, so that `**settings()` is taken."""
        return ()

    def __repr__(self) -> str:
        return self.__full_name
