"""Fetches joins: all parts of all rows by one read of the store, beside the external sources.

Source: `ai.chronon.online.fetcher.JoinPartFetcher.fetchJoins` and `Fetcher.fetchJoin`.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from chronon_beam.api.data_types import DataType, is_scalar
from chronon_beam.api.derivations import own, rename_only, time_values
from chronon_beam.api.dialect import ZIPLINE
from chronon_beam.api.group_by import GroupByError
from chronon_beam.api.join import Join, JoinPart
from chronon_beam.fetcher.fetch import Derive, Fetcher
from chronon_beam.fetcher.joins.answer import CODEC_FAILED, JoinAnswer, Lineage, chronon_answer
from chronon_beam.fetcher.joins.derivations import derive_rows
from chronon_beam.fetcher.joins.external import Handlers, Values, ask
from chronon_beam.fetcher.joins.row import JoinRow
from chronon_beam.fetcher.joins.types import left_types
from chronon_beam.fetcher.key_cast import KeyCastError, cast_key
from chronon_beam.fetcher.readable_store import ReadableStore
from chronon_beam.fetcher.rows import (
    NULL_KEY,
    Cause,
    GroupByRows,
    RequestRow,
    RowFailure,
    RowOutcome,
    fetch_rows,
    fetch_rows_async,
    is_null_key,
)


class _PartRows(NamedTuple):
    """The rows of one part.

    Attributes:
        rows: for each row the key of the part, or why it is not fetched.
        fetcher: of the part's GroupBy; None if no row is fetched.
    """

    part: JoinPart
    rows: list[RequestRow | RowFailure]
    fetcher: Fetcher | None

    @property
    def to_fetch(self) -> Iterator[GroupByRows]:
        """The rows to fetch of the GroupBy; nothing without a fetcher."""
        if self.fetcher is not None:
            rows = [row for row in self.rows if not isinstance(row, RowFailure)]
            yield GroupByRows(self.fetcher, rows)

    def outcomes(self, found: Iterator[list[RowOutcome]]) -> list[RowOutcome]:
        """The outcome of each row; `found` gives next the outcomes of the rows to fetch."""
        answers = iter(next(found) if self.fetcher is not None else ())
        return [row if isinstance(row, RowFailure) else next(answers) for row in self.rows]


@dataclass(frozen=True)
class JoinFetcher:
    """Fetches the rows of one join.

    Attributes:
        join: what is fetched.
        store: holds the values of all its GroupBys.
        parts: for the name of each of its GroupBys the fetcher, or why it has none; a part without
            a fetcher fails in every row.
        handlers: of its external sources, see `open_handlers`.
        derive: evaluates the derivations of the join, or why nothing can evaluate them; not needed
            for renames.
    """

    join: Join
    store: ReadableStore
    parts: Mapping[str, Fetcher | GroupByError]
    handlers: Handlers = field(default_factory=dict)
    derive: Derive | GroupByError | None = None

    def fetch(self, rows: Sequence[RequestRow], at_ms: int) -> list[JoinAnswer]:
        """The answer to each row at `at_ms`; not to be called while an event loop runs.

        Args:
            rows: values by column of the left side as JSON has them; other columns are ignored.
            at_ms: the time of the query.

        Raises:
            GroupByError: a derivation needs Spark, and there is no `derive`.
        """
        parts = [self._part_rows(part, rows) for part in self.join.parts]
        wanted = [group_by for part in parts for group_by in part.to_fetch]
        found = fetch_rows(self.store, wanted, at_ms)
        external = asyncio.run(self._external(rows)) if self.join.external_parts else []
        return self._answers(rows, parts, found, external, at_ms)

    async def fetch_async(self, rows: Sequence[RequestRow], at_ms: int) -> list[JoinAnswer]:
        """`fetch` for an event loop, which runs other tasks while store and sources answer."""
        parts = [self._part_rows(part, rows) for part in self.join.parts]
        wanted = [group_by for part in parts for group_by in part.to_fetch]
        found, external = await asyncio.gather(
            fetch_rows_async(self.store, wanted, at_ms), self._external(rows)
        )
        return self._answers(rows, parts, found, external, at_ms)

    def as_chronon(self, answer: JoinAnswer) -> RowOutcome:
        """What Chronon's Fetcher answers instead of `answer.outcome`: see `chronon_answer`.

        Chronon's call fails if nothing can be read; the row fails here in that case, too.
        """
        causes = {failure.cause for failure in answer.failures.values()}
        if not answer.answered and causes == {Cause.STORE}:
            return answer.outcome
        failure = self._codec_failure
        if failure:
            return answer.with_features({CODEC_FAILED: failure})
        return answer.with_features(chronon_answer(self.join, answer))

    @cached_property
    def _codec_failure(self) -> str:
        """Why Chronon cannot answer: a column has no type that Chronon knows; empty if it can."""
        if isinstance(self.derive, GroupByError):
            return str(self.derive)
        renames = own(self.join.derivations)
        if self.join.dialect is ZIPLINE and rename_only(renames):
            # Zipline's renames know the types of columns alone, not those of keys and times.
            for each in renames:
                if each.expression not in self.join.columns:
                    return f"{each.name} is derived of {each.expression}, which is no column"
        for part in self.join.parts:
            if not isinstance(self.parts.get(part.group_by.name), Fetcher):
                lost = frozenset(part.columns)
                for name in (each.name for each in own(self.join.derivations)):
                    if column := next(iter(self._lineage.columns[name] & lost), None):
                        return f"{name} is derived of {column}, whose type is not known"
        return ""

    @cached_property
    def left_types(self) -> dict[str, DataType]:
        """The columns of the left side, each with the type of the first key taken from it."""
        return left_types(self.join, self.parts)

    async def _external(self, rows: Sequence[RequestRow]) -> list[list[Values | RowFailure]]:
        return await ask(self.join.external_parts, self.handlers, rows)

    def _part_rows(self, part: JoinPart, rows: Sequence[RequestRow]) -> _PartRows:
        lefts = part.left_columns
        keys = [_part_key(lefts, row) for row in rows]
        fetcher = self.parts.get(part.group_by.name)
        if isinstance(fetcher, Fetcher):
            return _PartRows(part, keys, fetcher)
        reason = f"GroupBy {part.group_by.name!r} is not known" if fetcher is None else fetcher
        failure = RowFailure(str(reason), Cause.QUERY)
        return _PartRows(part, [_failure_of(key, part, failure) for key in keys], None)

    def _answers(
        self,
        rows: Sequence[RequestRow],
        parts: Sequence[_PartRows],
        found: list[list[RowOutcome]],
        external: list[list[Values | RowFailure]],
        at_ms: int,
    ) -> list[JoinAnswer]:
        made = [JoinRow(self._key(row)) for row in rows]
        fetched = iter(found)
        for of_part in parts:
            for row, outcome in zip(made, of_part.outcomes(fetched), strict=True):
                row.add(of_part.part, outcome)
        for part, values in zip(self.join.external_parts, external, strict=True):
            for row, value in zip(made, values, strict=True):
                row.add_external(part, value)
        times = time_values(at_ms)
        inputs = [{**row.key, **row.columns, **times} for row in made]
        derived = derive_rows(self.join, self.derive, inputs) if inputs else []
        return [
            row.answer(self._lineage, features) for row, features in zip(made, derived, strict=True)
        ]

    @cached_property
    def _lineage(self) -> Lineage:
        return Lineage(self.join)

    def _key(self, row: RequestRow) -> dict[str, object]:
        """The columns of the left side, cast to the types of keys; null if a cast fails."""
        return {left: _cast(left, row, kind) for left, kind in self.left_types.items()}


def _part_key(lefts: Mapping[str, str], row: RequestRow) -> RequestRow | RowFailure:
    """The key of a part, with the key columns of its GroupBy."""
    missing = [left for left in lefts.values() if left not in row]
    if missing:
        return RowFailure(f"key column {', '.join(missing)} is missing", Cause.MISSING_KEY)
    return {key: row[left] for key, left in lefts.items()}


def _failure_of(key: RequestRow | RowFailure, part: JoinPart, failure: RowFailure) -> RowFailure:
    """Why a row has nothing of a part without a fetcher; `failure` unless the key is at fault."""
    if isinstance(key, RowFailure):
        return key
    return NULL_KEY if is_null_key(key, part.group_by) else failure


def _cast(left: str, row: RequestRow, kind: DataType) -> object:
    if left not in row or not is_scalar(kind):
        return row.get(left)
    try:
        return cast_key(row, {left: kind})[left]
    except KeyCastError:
        return None
