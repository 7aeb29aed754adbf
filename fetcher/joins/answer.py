"""What a join answers to a row: the columns of its parts, and which parts have failed.

Where a part fails, the answer lacks the part's columns and what is derived of them; it has all
other columns. Chronon names a failure among the features, and the same names are used here. Apart
from that, Chronon's answers differ: `chronon_answer` is the one place where they are made.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from chronon_beam.api.derivations import own, rename_only
from chronon_beam.api.join import EXCEPTION, ExternalPart, Join, JoinPart
from chronon_beam.fetcher.entity_key import Key
from chronon_beam.fetcher.failed_derivation import (
    DERIVATION_FAILED,
    failed_group_by,
    failed_join,
)
from chronon_beam.fetcher.fetch import Features
from chronon_beam.fetcher.rows import RowAnswer, RowFailure, RowOutcome

CODEC_FAILED = f"join_codec_fetch{EXCEPTION}"
"""Chronon's name of the failure of a whole answer, where the types of its columns are not known."""

_IDENTIFIER = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class JoinAnswer(NamedTuple):
    """The answer to a row.

    Attributes:
        features: the columns that the join gives out, without those that depend on a part that
            has failed; None where there is no value.
        key: the columns of the left side, cast to the types of the keys.
        failures: by Chronon's names, for example `shop_purchases_v1_exception`.
        doubtful: the columns that depend on a part that has failed, derived as if the columns of
            that part were null.
        unknown: columns of parts for whose key the store has nothing, or whose key is null.
        answered: whether any part has not failed; a part that finds nothing has not failed.
        known: whether any part has found something.
        newest_ms: the start of the newest tile or row that was read; None if nothing was read.
        late_batch_ms: the end of the oldest batch values that are too old for exact windows; None
            if there are no such values.
    """

    features: Features
    key: Key
    failures: Mapping[str, RowFailure]
    doubtful: Features
    unknown: frozenset[str] = frozenset()
    answered: bool = True
    known: bool = True
    newest_ms: int | None = None
    late_batch_ms: int | None = None

    @property
    def outcome(self) -> RowOutcome:
        """The features, and the reasons for missing ones under Chronon's names.

        If all parts have failed, the row has failed.
        """
        if not self.answered:
            return next(iter(self.failures.values()))
        return self.with_features({**self.features, **_reasons(self.failures)})

    def with_features(self, features: Features) -> RowAnswer:
        """The outcome of the row with these features."""
        return RowAnswer(features, self.key, self.known, self.newest_ms, self.late_batch_ms)


def _reasons(failures: Mapping[str, RowFailure]) -> Features:
    return {name: failure.reason for name, failure in failures.items()}


def failure_name(part: JoinPart | ExternalPart) -> str:
    """Chronon's name of a part's failure."""
    return part.column_prefix.removesuffix("_") + EXCEPTION


def missing_key_name(part: JoinPart) -> str:
    """Chronon's name of the failure where a row lacks the part's keys."""
    return part.full_name + EXCEPTION


@dataclass(frozen=True)
class Lineage:
    """Of which columns of the parts each column is made that a join gives out."""

    join: Join

    @cached_property
    def columns(self) -> dict[str, frozenset[str]]:
        """By output column: the columns in its derivation; itself if it is not derived."""
        columns = frozenset(self.join.columns)
        texts = {each.name: each.expression for each in own(self.join.derivations)}
        return {
            name: columns & set(_IDENTIFIER.findall(texts.get(name, name)))
            for name in self.join.output_names
        }

    def split(self, features: Features, failed: frozenset[str]) -> tuple[Features, Features]:
        """Two parts of `features`: those made of no column in `failed`, and the others."""
        if not failed:
            return features, {}
        doubtful = {n: v for n, v in features.items() if self.columns.get(n, _NONE) & failed}
        return {n: v for n, v in features.items() if n not in doubtful}, doubtful


_NONE: frozenset[str] = frozenset()


def chronon_answer(join: Join, answer: JoinAnswer) -> Features:
    """The features that Chronon's Fetcher gives for a row, also if all of its parts have failed.

    Chronon leaves out the columns of an entity that the store does not know; in this project's own
    answers they are null. Chronon leaves out a derived feature if its name begins with the name of
    a failed part. It derives all others, as if the columns of the failed part were null. Where an
    expression fails, Chronon leaves out the renames, too.
    """
    reasons, lost = _chronon_reasons(join, answer)
    if not join.derivations:
        absent = answer.unknown | lost
        return {**{n: v for n, v in answer.features.items() if n not in absent}, **reasons}
    if DERIVATION_FAILED in reasons:
        return {**reasons, **failed_join(reasons[DERIVATION_FAILED])}
    certain, without = Lineage(join).split(answer.features, lost)
    features = {**certain, **dict.fromkeys(without), **answer.doubtful}
    if rename_only(join.derivations):
        # Chronon's renames keep the columns that are there; Spark gives all columns.
        derived = {each.name for each in own(join.derivations)}
        absent = (answer.unknown | answer.doubtful.keys() | without.keys()) - derived
        features = {n: v for n, v in features.items() if n not in absent}
    names = tuple(name.removesuffix(EXCEPTION) for name in reasons)
    kept = {n: value for n, value in features.items() if not names or not n.startswith(names)}
    return {**kept, **reasons}


def _chronon_reasons(join: Join, answer: JoinAnswer) -> tuple[Features, frozenset[str]]:
    """The failures by Chronon's names, and the columns that Chronon does not give because of them.

    If a derivation of a part's GroupBy fails, Chronon does not give the renames of that part.
    """
    reasons, lost = _reasons(answer.failures), frozenset[str]()
    for part in join.parts:
        reason = reasons.pop(part.column_prefix + DERIVATION_FAILED, None)
        if reason is not None:
            named = failed_group_by(reason, part.group_by.dialect)
            reasons |= {part.column_prefix + name: why for name, why in named.items()}
            lost |= frozenset(part.columns)
    return reasons, lost
