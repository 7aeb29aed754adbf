"""Rows of a request to features: one outcome per row, in the order of the rows.

A row has its keys as JSON has them, and may fail alone: what is wrong with one row, or with the
bytes that the store has for it, is no failure of the others. A row whose read of the store has
failed has failed, whole: tiles without batch values, or batch values without tiles, are not an
answer.

Source: `ai.chronon.online.fetcher.GroupByFetcher.fetchGroupBys`, which leaves rows of null keys
out, and takes a failed read of the stream for an empty one.
"""

import asyncio
from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

from chronon_beam.aggregator.sawtooth import is_degraded
from chronon_beam.api.group_by import GroupBy, GroupByError
from chronon_beam.api.records import GetRequest, TimedValue
from chronon_beam.fetcher.fetch import (
    Features,
    Fetcher,
    Key,
    QueryBeforeBatch,
    Reading,
)
from chronon_beam.fetcher.key_cast import UncastKey, cast_key
from chronon_beam.fetcher.readable_store import ReadableStore

Row = Mapping[str, object]
"""One row of a request: values by column, of the types that JSON has."""


class Cause(StrEnum):
    """What has failed of a row."""

    KEY = "key"
    MISSING_KEY = "missing_key"
    NULL_KEY = "null_key"
    QUERY = "query"
    STORE = "store"
    VALUE = "value"
    DERIVATION = "derivation"
    EXTERNAL = "external"


class Found(NamedTuple):
    """The answer to a row.

    Attributes:
        features: the values of `Fetcher.fetch`, None where there is no value.
        key: the row's key, cast to the types of the GroupBy.
        known: whether the store has anything for this key in the windows.
        newest_ms: the start of the newest tile, or the time of the newest row, that was read; None
            without one.
        late_batch_ms: where the batch values are too old for exact windows, their end; else None.
    """

    features: Features
    key: Key
    known: bool = True
    newest_ms: int | None = None
    late_batch_ms: int | None = None


class Failed(NamedTuple):
    """Why a row has no answer: a sentence, and its kind."""

    reason: str
    cause: Cause


NULL_KEY = Failed("the key is null", Cause.NULL_KEY)

Outcome = Found | Failed
Asked = tuple[Fetcher, Sequence[Row]]
"""A GroupBy's fetcher, and the rows that are asked of it."""

_Read = list[list[TimedValue]] | BaseException
"""What the store gave to the requests of a GroupBy, or why it did not."""


def fetch_rows(store: ReadableStore, asked: Sequence[Asked], at_ms: int) -> list[list[Outcome]]:
    """The outcome of each row of each GroupBy, by one read of the store.

    If that read fails and there are several GroupBys, each of them is read once by itself, so that
    only those fail which cannot be read.

    Args:
        store: holds the values of all these GroupBys.
        asked: the rows of each GroupBy.
        at_ms: the time of the query.
    """
    parts = [_prepared(fetcher, rows, at_ms) for fetcher, rows in asked]
    try:
        together = store.multi_get(_requests(parts))
    except Exception as error:
        reads = [error] if len(parts) == 1 else [_alone(store, part) for part in parts]
    else:
        reads = _divided(parts, together)
    return [part.outcomes(read) for part, read in zip(parts, reads, strict=True)]


async def fetch_rows_async(
    store: ReadableStore, asked: Sequence[Asked], at_ms: int
) -> list[list[Outcome]]:
    """`fetch_rows` for an event loop, which runs other tasks while the store answers."""
    parts = [_prepared(fetcher, rows, at_ms) for fetcher, rows in asked]
    try:
        together = await store.multi_get_async(_requests(parts))
    except Exception as error:
        alone = (store.multi_get_async(part.requests) for part in parts)
        reads = [error] if len(parts) == 1 else await asyncio.gather(*alone, return_exceptions=True)
    else:
        reads = _divided(parts, together)
    return [part.outcomes(read) for part, read in zip(parts, reads, strict=True)]


def _alone(store: ReadableStore, part: "_Part") -> _Read:
    try:
        return store.multi_get(part.requests)
    except Exception as error:
        return error


def _requests(parts: Sequence["_Part"]) -> list[GetRequest]:
    return [request for part in parts for request in part.requests]


def _divided(parts: Sequence["_Part"], together: list[list[TimedValue]]) -> list[_Read]:
    found = iter(together)
    return [list(islice(found, len(part.requests))) for part in parts]


class _Part(NamedTuple):
    """The rows of one GroupBy, ready to be read.

    Attributes:
        rows: of each row its key, or why it failed already.
        reading: the reads of the keys; None if all rows failed.
    """

    fetcher: Fetcher
    rows: list[Key | Failed]
    reading: Reading | None
    at_ms: int

    @property
    def requests(self) -> list[GetRequest]:
        """What the keys need of the store."""
        return [] if self.reading is None else self.reading.requests

    def outcomes(self, read: _Read) -> list[Outcome]:
        """The outcome of each row, from what the store gave or why it did not."""
        keys = [row for row in self.rows if not isinstance(row, Failed)]
        made = iter(self._of_keys(keys, read) if keys else ())
        return [row if isinstance(row, Failed) else next(made) for row in self.rows]

    def _of_keys(self, keys: list[Key], read: _Read) -> list[Outcome]:
        assert self.reading is not None
        if isinstance(read, BaseException):
            return [Failed(f"the store could not be read: {_said(read)}", Cause.STORE)] * len(keys)
        try:
            values = self.reading.values(read)
        except Exception:
            return self._each(keys, read)
        return self._found(keys, values, read)

    def _found(
        self, keys: list[Key], values: list[Features], read: list[list[TimedValue]]
    ) -> list[Outcome]:
        """The answers to keys, from their features and from what was read for each."""
        assert self.reading is not None
        each, late_ms = self.reading.requests_per_key, self._late_batch_ms()
        first = 1 if self.fetcher.batch is not None else 0
        outcomes: list[Outcome] = []
        for number, (key, features) in enumerate(zip(keys, values, strict=True)):
            answers = read[number * each : (number + 1) * each]
            newest = [timed[-1].ts_ms for timed in answers[first:] if timed]
            newest_ms = max(newest) if newest else None
            known = newest_ms is not None or bool(first and answers[0])
            outcomes.append(Found(features, key, known, newest_ms, late_ms))
        return outcomes

    def _each(self, keys: list[Key], read: list[list[TimedValue]]) -> list[Outcome]:
        """The outcomes where not all keys have features: each by itself."""
        assert self.reading is not None
        each, outcomes = self.reading.requests_per_key, list[Outcome]()
        for number, key in enumerate(keys):
            answers = read[number * each : (number + 1) * each]
            reading = self.fetcher.reading([key], self.at_ms)
            try:
                features = reading.features(answers)
            except Exception as error:
                outcomes.append(
                    Failed(f"a stored value cannot be read: {_said(error)}", Cause.VALUE)
                )
                continue
            try:
                outcomes += self._found([key], reading.derived([features]), answers)
            except Exception as error:
                outcomes.append(Failed(_said(error), Cause.DERIVATION))
        return outcomes

    def _late_batch_ms(self) -> int | None:
        batch, group_by = self.fetcher.batch, self.fetcher.plan.group_by
        if batch is None or batch.snapshot or not is_degraded(group_by, batch.end_ms, self.at_ms):
            return None
        return batch.end_ms


def _prepared(fetcher: Fetcher, rows: Sequence[Row], at_ms: int) -> _Part:
    made = [_key(fetcher, row) for row in rows]
    try:
        return _Part(fetcher, made, _reading(fetcher, made, at_ms), at_ms)
    except Exception:  # maybe of a key that has the type of its column and cannot be written
        made = [_writable(fetcher, row) for row in made]
    try:
        return _Part(fetcher, made, _reading(fetcher, made, at_ms), at_ms)
    except (QueryBeforeBatch, GroupByError) as error:
        failed = Failed(_said(error), Cause.QUERY)
    return _Part(fetcher, [r if isinstance(r, Failed) else failed for r in made], None, at_ms)


def _reading(fetcher: Fetcher, rows: Sequence[Key | Failed], at_ms: int) -> Reading | None:
    keys = [row for row in rows if not isinstance(row, Failed)]
    return fetcher.reading(keys, at_ms) if keys else None


def _key(fetcher: Fetcher, row: Row) -> Key | Failed:
    try:
        key = cast_key(row, fetcher.plan.keys.columns)
    except UncastKey as error:
        return Failed(str(error), Cause.KEY)
    return NULL_KEY if is_null(key, fetcher.plan.group_by) else key


def is_null(key: Key, group_by: GroupBy) -> bool:
    """Whether a key is one of nothing, of which the store is not asked.

    Airbnb's Fetcher asks for no key that has a null, zipline's for none of nulls alone.
    """
    nulls = [value is None for value in key.values()]
    return any(nulls) if group_by.dialect.name == "airbnb" else all(nulls)


def _writable(fetcher: Fetcher, key: Key | Failed) -> Key | Failed:
    if isinstance(key, Failed):
        return key
    try:
        fetcher.key_bytes(key)
    except Exception as error:
        return Failed(f"the key cannot be written: {_said(error)}", Cause.KEY)
    return key


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
