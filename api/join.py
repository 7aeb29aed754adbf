"""What a user declares of a join: which GroupBys and external sources are fetched together.

A request for a join has the columns of the join's left side. Each part takes its keys from them, by
their own names or as `key_mapping` says, and gives columns that begin with the part's prefix.
The fields that only Chronon's batch jobs use (left source, bootstraps, labels, skew keys) are kept
in `Join.conf`.

Source: `JoinPartOps`, `ExternalPartOps` and `JoinOps` of `ai.chronon.api.Extensions`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from chronon_beam.api.data_types import DataType, StructType
from chronon_beam.api.derivations import Derivation, projection
from chronon_beam.api.dialect import AIRBNB, Dialect
from chronon_beam.api.group_by import GroupBy

CONTEXTUAL = "contextual"
"""The name of Chronon's source that gives back the columns of the request."""

EXCEPTION = "_exception"
"""How the name of a column ends that gives the reason why a part failed."""

KeyMapping = tuple[tuple[str, str], ...]
"""Pairs of a column of the left side, and the part's key that it is."""


@dataclass(frozen=True)
class JoinPart:
    """A GroupBy whose features are columns of a join.

    Attributes:
        prefix: what its columns begin with, so that one GroupBy can be joined more than once.
        long_names: see `Dialect.short_names`.
    """

    group_by: GroupBy
    key_mapping: KeyMapping = ()
    prefix: str | None = None
    long_names: bool = False

    @property
    def left_columns(self) -> dict[str, str]:
        """For each key of the GroupBy, the column of the left side that it is taken from."""
        mapped = {right: left for left, right in self.key_mapping}
        return {key: mapped.get(key, key) for key in self.group_by.keys}

    @property
    def full_name(self) -> str:
        """The name of the part in messages, `[prefix_]team_file_variable`."""
        return self._prefixed(self.group_by.clean_name)

    @property
    def column_prefix(self) -> str:
        """What its columns begin with, for example `buyer_shop_purchases_v1_`."""
        name = self.group_by.clean_name
        if self.group_by.dialect.short_names:
            short = "_".join(self.group_by.keys)
            name = re.sub(r"__v\d+$", "", name) if self.long_names else short
        return f"{self._prefixed(name)}_"

    @property
    def columns(self) -> dict[str, str]:
        """Its columns, with the name that the GroupBy has for each."""
        return {self.column_prefix + name: name for name in self.group_by.output_names}

    def _prefixed(self, name: str) -> str:
        return name if self.prefix is None else f"{self.prefix}_{name}"


@dataclass(frozen=True)
class ExternalSource:
    """A service that is asked for columns when a join is fetched.

    Attributes:
        name: the name of the installed source.
        keys: the columns of a request to the source.
        values: the columns of its answer.
        factory: the name of the installed factory that makes the source; None without a factory.
        parameters: for the factory.
    """

    name: str
    keys: StructType
    values: StructType
    factory: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def is_contextual(self) -> bool:
        """Whether it gives back columns of the request."""
        return self.name == CONTEXTUAL


@dataclass(frozen=True)
class ExternalPart:
    """An external source whose values are columns of a join."""

    source: ExternalSource
    key_mapping: KeyMapping = ()
    prefix: str | None = None

    @property
    def left_columns(self) -> dict[str, str]:
        """For each key of the source, the column of the left side that it is taken from."""
        mapped = {right: left for left, right in self.key_mapping}
        return {key: mapped.get(key, key) for key, _ in self.source.keys.fields}

    @property
    def full_name(self) -> str:
        """`ext_[prefix_]name`."""
        prefix = "" if self.prefix is None else f"{self.prefix}_"
        return f"ext_{prefix}{re.sub(r'[^a-zA-Z0-9_]', '_', self.source.name)}"

    @property
    def column_prefix(self) -> str:
        """What its columns begin with, for example `ext_accounts_`."""
        return f"{self.full_name}_"

    @property
    def types(self) -> dict[str, DataType]:
        """Its columns with their types."""
        return {self.column_prefix + name: kind for name, kind in self.source.values.fields}


@dataclass(frozen=True)
class Join:
    """Parts that are fetched together, and what is derived of their columns.

    Attributes:
        online: whether it is marked for serving.
        conf: the Thrift JSON that it was read from, with the fields that are not used here.
    """

    name: str
    parts: tuple[JoinPart, ...]
    external_parts: tuple[ExternalPart, ...] = ()
    derivations: tuple[Derivation, ...] = ()
    online: bool = False
    dialect: Dialect = AIRBNB
    conf: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def named(self, name: str) -> "Join":
        """The same join under another name."""
        return replace(self, name=name)

    def with_names(self, name_of: Callable[[GroupBy], str]) -> "Join":
        """The same join; `name_of` gives the names of GroupBys that have no name yet."""
        parts = tuple(
            part
            if part.group_by.name
            else replace(part, group_by=part.group_by.named(name_of(part.group_by)))
            for part in self.parts
        )
        return replace(self, parts=parts)

    @cached_property
    def left_columns(self) -> tuple[str, ...]:
        """The columns that a request may have, in the order of the parts, each once."""
        parts = (*self.parts, *self.external_parts)
        names = (name for part in parts for name in part.left_columns.values())
        return tuple(dict.fromkeys(names))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns of all parts, before derivations."""
        of_parts = [name for part in self.parts for name in part.columns]
        return (*of_parts, *(name for part in self.external_parts for name in part.types))

    @cached_property
    def output_names(self) -> tuple[str, ...]:
        """The names of the values that a reader gets: of columns, or of derived columns."""
        derived = projection(self.derivations, self.columns)
        return tuple(derived) if self.derivations else self.columns
