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
from chronon_beam.fetcher.joins.answer import CODEC_FAILED, Joined, Uses, chronon_answer
from chronon_beam.fetcher.joins.derived import derived
from chronon_beam.fetcher.joins.external import Handlers, Values, ask
from chronon_beam.fetcher.joins.row import JoinRow
from chronon_beam.fetcher.joins.types import left_types
from chronon_beam.fetcher.key_cast import UncastKey, cast_key
from chronon_beam.fetcher.readable_store import ReadableStore
from chronon_beam.fetcher.rows import (
    NULL_KEY,
    Asked,
    Cause,
    Failed,
    Outcome,
    Row,
    fetch_rows,
    fetch_rows_async,
    is_null,
)


class _AskedPart(NamedTuple):
    """The rows of one part.

    Attributes:
        rows: of each row the key of the part, or why it is not asked for.
        fetcher: of the part's GroupBy; None where no row is asked for.
    """

    part: JoinPart
    rows: list[Row | Failed]
    fetcher: Fetcher | None

    @property
    def asked(self) -> Iterator[Asked]:
        """What is asked of the GroupBy, if anything is."""
        if self.fetcher is not None:
            yield self.fetcher, [row for row in self.rows if not isinstance(row, Failed)]

    def outcomes(self, found: Iterator[list[Outcome]]) -> list[Outcome]:
        """The outcome of each row, from the outcomes of those that are asked for."""
        answers = iter(next(found) if self.fetcher is not None else ())
        return [row if isinstance(row, Failed) else next(answers) for row in self.rows]


@dataclass(frozen=True)
class JoinFetcher:
    """Fetches the rows of one join.

    Attributes:
        join: what is fetched.
        store: holds the values of all its GroupBys.
        parts: the fetchers of its GroupBys by their names, or why there is none: such a part fails
            in every row.
        handlers: of its external sources, see `open_handlers`.
        derive: makes the features that the join derives, or why they cannot be made; not needed
            for renames.
    """

    join: Join
    store: ReadableStore
    parts: Mapping[str, Fetcher | GroupByError]
    handlers: Handlers = field(default_factory=dict)
    derive: Derive | GroupByError | None = None

    def fetch(self, rows: Sequence[Row], at_ms: int) -> list[Joined]:
        """The answer to each row at `at_ms`; not to be called while an event loop runs.

        Args:
            rows: values by column of the left side as JSON has them; other columns are ignored.
            at_ms: the time of the query.

        Raises:
            GroupByError: a derivation needs Spark, and there is no `derive`.
        """
        parts = [self._asked(part, rows) for part in self.join.parts]
        found = fetch_rows(self.store, [asked for part in parts for asked in part.asked], at_ms)
        external = asyncio.run(self._external(rows)) if self.join.external_parts else []
        return self._joined(rows, parts, found, external, at_ms)

    async def fetch_async(self, rows: Sequence[Row], at_ms: int) -> list[Joined]:
        """`fetch` for an event loop, which runs other tasks while store and sources answer."""
        parts = [self._asked(part, rows) for part in self.join.parts]
        asked = [asked for part in parts for asked in part.asked]
        found, external = await asyncio.gather(
            fetch_rows_async(self.store, asked, at_ms), self._external(rows)
        )
        return self._joined(rows, parts, found, external, at_ms)

    def as_chronon(self, joined: Joined) -> Outcome:
        """What Chronon's Fetcher answers instead of `joined.outcome`: see `chronon_answer`.

        Where nothing at all could be read, Chronon's call fails: the row has failed here, too.
        """
        causes = {failed.cause for failed in joined.failures.values()}
        if not joined.answered and causes == {Cause.STORE}:
            return joined.outcome
        failure = self._codec_failure
        if failure:
            return joined.found({CODEC_FAILED: failure})
        return joined.found(chronon_answer(self.join, joined))

    @cached_property
    def _codec_failure(self) -> str:
        """Why Chronon cannot derive at all: a derivation is of what has no type that it knows."""
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
                    if column := next(iter(self._uses.of[name] & lost), None):
                        return f"{name} is derived of {column}, whose type is not known"
        return ""

    @cached_property
    def left_types(self) -> dict[str, DataType]:
        """The columns of the left side with the types of the first keys that they are."""
        return left_types(self.join, self.parts)

    async def _external(self, rows: Sequence[Row]) -> list[list[Values | Failed]]:
        return await ask(self.join.external_parts, self.handlers, rows)

    def _asked(self, part: JoinPart, rows: Sequence[Row]) -> _AskedPart:
        lefts = part.left_columns
        keys = [_mapped(lefts, row) for row in rows]
        fetcher = self.parts.get(part.group_by.name)
        if isinstance(fetcher, Fetcher):
            return _AskedPart(part, keys, fetcher)
        reason = f"GroupBy {part.group_by.name!r} is not known" if fetcher is None else fetcher
        failed = Failed(str(reason), Cause.QUERY)
        return _AskedPart(part, [_unasked(key, part, failed) for key in keys], None)

    def _joined(
        self,
        rows: Sequence[Row],
        parts: Sequence[_AskedPart],
        found: list[list[Outcome]],
        external: list[list[Values | Failed]],
        at_ms: int,
    ) -> list[Joined]:
        made = [JoinRow(self._key(row)) for row in rows]
        answers = iter(found)
        for asked in parts:
            for row, outcome in zip(made, asked.outcomes(answers), strict=True):
                row.add(asked.part, outcome)
        for part, values in zip(self.join.external_parts, external, strict=True):
            for row, value in zip(made, values, strict=True):
                row.add_external(part, value)
        times = time_values(at_ms)
        known = [{**row.key, **row.columns, **times} for row in made]
        answered = derived(self.join, self.derive, known) if known else []
        return [
            row.joined(self._uses, features) for row, features in zip(made, answered, strict=True)
        ]

    @cached_property
    def _uses(self) -> Uses:
        return Uses(self.join)

    def _key(self, row: Row) -> dict[str, object]:
        """The columns of the left side, cast to the types of keys; null where that is not so."""
        return {left: _cast(left, row, kind) for left, kind in self.left_types.items()}


def _mapped(lefts: Mapping[str, str], row: Row) -> Row | Failed:
    """The key of a part, by the names that its GroupBy has for its columns."""
    missing = [left for left in lefts.values() if left not in row]
    if missing:
        return Failed(f"key column {', '.join(missing)} is missing", Cause.MISSING_KEY)
    return {key: row[left] for key, left in lefts.items()}


def _unasked(key: Row | Failed, part: JoinPart, failed: Failed) -> Failed:
    """Why a row has nothing of a part that has no fetcher."""
    if isinstance(key, Failed):
        return key
    return NULL_KEY if is_null(key, part.group_by) else failed


def _cast(left: str, row: Row, kind: DataType) -> object:
    if left not in row or not is_scalar(kind):
        return row.get(left)
    try:
        return cast_key(row, {left: kind})[left]
    except UncastKey:
        return None
