"""What a join answers to a row: the columns of its parts, and which parts have failed.

A part that fails takes its columns with it, and what is derived of them; the others stay. Chronon
names the failure among the features, by the names that are used here, and differs in the rest: see
`chronon_answer`, the one place where its answers are made.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from chronon_beam.api.derivations import own, rename_only
from chronon_beam.api.join import EXCEPTION, ExternalPart, Join, JoinPart
from chronon_beam.fetcher.failed_derivation import (
    DERIVATION_FAILED,
    failed_group_by,
    failed_join,
)
from chronon_beam.fetcher.fetch import Features, Key
from chronon_beam.fetcher.rows import Failed, Found, Outcome

CODEC_FAILED = f"join_codec_fetch{EXCEPTION}"
"""Chronon's name of the failure of all of an answer, whose types are not known."""

_IDENTIFIER = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Joined(NamedTuple):
    """The answer to a row.

    Attributes:
        features: what the join gives out, None where there is no value, without what depends on a
            part that has failed.
        key: the columns of the left side, cast to the types of the keys.
        failures: by Chronon's names, for example `shop_purchases_v1_exception`.
        doubtful: what was derived with the columns of parts that have failed, as if these columns
            were null.
        unknown: columns of parts of which the store has nothing, or whose key is null.
        answered: whether any part has given an answer, which may be that it has nothing.
        known: whether any part has found something.
        newest_ms: the start of the newest tile or row that was read; None without one.
        late_batch_ms: where batch values are too old for exact windows, the end of the oldest.
    """

    features: Features
    key: Key
    failures: Mapping[str, Failed]
    doubtful: Features
    unknown: frozenset[str] = frozenset()
    answered: bool = True
    known: bool = True
    newest_ms: int | None = None
    late_batch_ms: int | None = None

    @property
    def outcome(self) -> Outcome:
        """The features, and why others are not there, by Chronon's names.

        A row of which all parts have failed has failed.
        """
        if not self.answered:
            return next(iter(self.failures.values()))
        return self.found({**self.features, **_reasons(self.failures)})

    def found(self, features: Features) -> Found:
        """The outcome of the row with these features."""
        return Found(features, self.key, self.known, self.newest_ms, self.late_batch_ms)


def _reasons(failures: Mapping[str, Failed]) -> Features:
    return {name: failed.reason for name, failed in failures.items()}


def failure_name(part: JoinPart | ExternalPart) -> str:
    """Chronon's name of a part's failure."""
    return part.column_prefix.removesuffix("_") + EXCEPTION


def missing_key_name(part: JoinPart) -> str:
    """Chronon's name of the failure where a row lacks the part's keys."""
    return part.full_name + EXCEPTION


@dataclass(frozen=True)
class Uses:
    """Which columns of the parts each column that a join gives out is made of."""

    join: Join

    @cached_property
    def of(self) -> dict[str, frozenset[str]]:
        """For each output the columns that its derivation names; the column itself without one."""
        columns = frozenset(self.join.columns)
        texts = {each.name: each.expression for each in own(self.join.derivations)}
        return {
            name: columns & set(_IDENTIFIER.findall(texts.get(name, name)))
            for name in self.join.output_names
        }

    def split(self, features: Features, failed: frozenset[str]) -> tuple[Features, Features]:
        """The features that are not made of the columns `failed`, and those that are."""
        if not failed:
            return features, {}
        doubtful = {n: v for n, v in features.items() if self.of.get(n, _NONE) & failed}
        return {n: v for n, v in features.items() if n not in doubtful}, doubtful


_NONE: frozenset[str] = frozenset()


def chronon_answer(join: Join, joined: Joined) -> Features:
    """The features that Chronon's Fetcher gives for a row, also if all of its parts have failed.

    Columns of an entity that the store does not know are left out, not null. Of derived features,
    those are left out whose names begin with the name of a part that failed, and no others: a
    feature that is made of a failed part's columns is computed as if these were null. Where an
    expression fails, the renames are missing, too.
    """
    reasons, lost = _chronon_reasons(join, joined)
    if not join.derivations:
        absent = joined.unknown | lost
        return {**{n: v for n, v in joined.features.items() if n not in absent}, **reasons}
    if DERIVATION_FAILED in reasons:
        return {**reasons, **failed_join(reasons[DERIVATION_FAILED])}
    certain, without = Uses(join).split(joined.features, lost)
    features = {**certain, **dict.fromkeys(without), **joined.doubtful}
    if rename_only(join.derivations):
        # Chronon's renames keep the columns that are there; Spark gives all columns.
        derived = {each.name for each in own(join.derivations)}
        absent = (joined.unknown | joined.doubtful.keys() | without.keys()) - derived
        features = {n: v for n, v in features.items() if n not in absent}
    names = tuple(name.removesuffix(EXCEPTION) for name in reasons)
    kept = {n: value for n, value in features.items() if not names or not n.startswith(names)}
    return {**kept, **reasons}


def _chronon_reasons(join: Join, joined: Joined) -> tuple[Features, frozenset[str]]:
    """The failures by the names that Chronon gives them, and the columns that it has lost by them.

    Of a part whose GroupBy has a derivation that fails, Chronon gives not even the renames.
    """
    reasons, lost = _reasons(joined.failures), frozenset[str]()
    for part in join.parts:
        reason = reasons.pop(part.column_prefix + DERIVATION_FAILED, None)
        if reason is not None:
            named = failed_group_by(reason, part.group_by.dialect)
            reasons |= {part.column_prefix + name: why for name, why in named.items()}
            lost |= frozenset(part.columns)
    return reasons, lost
