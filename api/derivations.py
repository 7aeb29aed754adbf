"""Derivations: features made of features when they are read, by renaming or by Spark SQL.

Source: `Extensions.DerivationOps` and `ai.chronon.online.DerivationUtils`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

STAR = "*"
TIME_COLUMNS = ("ts", "ds")
"""What expressions may use besides keys and features: the query's time and day."""

_EPOCH = datetime.fromtimestamp(0, UTC)
_IDENTIFIER = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True)
class Derivation:
    """A feature as an expression over features and keys.

    The name and expression `*` keep all features that no other derivation renames.
    """

    name: str
    expression: str

    @property
    def is_rename(self) -> bool:
        """Whether the expression is no more than a name."""
        return _IDENTIFIER.fullmatch(self.expression) is not None


def time_values(at_ms: int) -> dict[str, object]:
    """The values of `TIME_COLUMNS` in a query at `at_ms`.

    >>> time_values(86_400_000)
    {'ts': 86400000, 'ds': '1970-01-02'}
    """
    day = (_EPOCH + timedelta(milliseconds=at_ms)).date().isoformat()
    return dict(zip(TIME_COLUMNS, (at_ms, day), strict=True))


def has_star(derivations: Sequence[Derivation]) -> bool:
    """Whether features that are not renamed are kept."""
    return any(each.name == STAR for each in derivations)


def own(derivations: Sequence[Derivation]) -> list[Derivation]:
    """The derivations without `*`."""
    return [each for each in derivations if each.name != STAR]


def rename_only(derivations: Sequence[Derivation]) -> bool:
    """Whether no derivation needs Spark."""
    return all(each.is_rename for each in own(derivations))


def projection(derivations: Sequence[Derivation], features: Sequence[str]) -> dict[str, str]:
    """The expression of each output by its name, in Chronon's order: kept features first."""
    used = {each.expression for each in derivations}
    kept = [name for name in features if name not in used] if has_star(derivations) else []
    names = {**{name: name for name in kept}, **{d.name: d.expression for d in own(derivations)}}
    return {name: text for name, text in names.items() if name not in TIME_COLUMNS}


def renamed(
    derivations: Sequence[Derivation], known: Mapping[str, Any], features: Sequence[str]
) -> dict[str, Any]:
    """The values of renames and of kept features.

    Args:
        derivations: all that are not renames are left out.
        known: values of keys, features and `TIME_COLUMNS`.
        features: names of the features.
    """
    computed = {each.name for each in own(derivations) if not each.is_rename}
    wanted = projection(derivations, features)
    return {name: known.get(text) for name, text in wanted.items() if name not in computed}
