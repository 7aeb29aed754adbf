"""From the rows of a request to features: one outcome per row, in the order of the rows.

The keys of a row have the types of JSON. A row fails alone: a wrong key, or bytes in the store that
cannot be read, do not fail other rows. If the store cannot be read for a row, the whole row fails:
tiles without batch values, or batch values without tiles, would give wrong features.

Source: `ai.chronon.online.fetcher.GroupByFetcher.fetchGroupBys`, which leaves out rows of null
keys, and takes a failed read of the stream for an empty one.
"""

import asyncio
from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

from chronon_beam.aggregator.sawtooth import is_degraded
from chronon_beam.api.group_by import GroupBy, GroupByError
from chronon_beam.api.records import GetRequest, TimedValue
from chronon_beam.fetcher.entity_key import Key
from chronon_beam.fetcher.fetch import Features, Fetcher, QueryBeforeBatch, Reading
from chronon_beam.fetcher.key_cast import KeyCastError, cast_key
from chronon_beam.fetcher.readable_store import ReadableStore

RequestRow = Mapping[str, object]
"""One row of a request: values by column, of the types that JSON has."""


class Cause(StrEnum):
    """Which part of a row's answer has failed."""

    KEY = "key"
    MISSING_KEY = "missing_key"
    NULL_KEY = "null_key"
    QUERY = "query"
    STORE = "store"
    VALUE = "value"
    DERIVATION = "derivation"
    EXTERNAL = "external"


class RowAnswer(NamedTuple):
    """The answer to a row.

    Attributes:
        features: the values of `Fetcher.fetch`, None where there is no value.
        key: the row's key, cast to the types of the GroupBy.
        known: whether the store has anything for this key in the windows.
        newest_ms: the start of the newest tile, or the time of the newest row, that was read; None
            if nothing was read.
        late_batch_ms: the end of the batch values if they are too old for exact windows; else None.
    """

    features: Features
    key: Key
    known: bool = True
    newest_ms: int | None = None
    late_batch_ms: int | None = None


class RowFailure(NamedTuple):
    """Why a row, or a part of it, has no answer: a sentence for the caller, and its kind."""

    reason: str
    cause: Cause


NULL_KEY = RowFailure("the key is null", Cause.NULL_KEY)

RowOutcome = RowAnswer | RowFailure


class GroupByRows(NamedTuple):
    """The rows to fetch of one GroupBy."""

    fetcher: Fetcher
    rows: Sequence[RequestRow]


_Read = list[list[TimedValue]] | BaseException
"""The store's answers to the requests of a GroupBy, or the error of reading them."""


def reason_of(error: BaseException) -> str:
    """The text of an error; the name of its type if it has no text."""
    return str(error) or type(error).__name__


def fetch_rows(
    store: ReadableStore, wanted: Sequence[GroupByRows], at_ms: int
) -> list[list[RowOutcome]]:
    """The outcome of each row of each GroupBy, by one read of the store.

    If that read fails and there are several GroupBys, each GroupBy is read once by itself, so that
    only the GroupBys that cannot be read fail.

    Args:
        store: holds the values of all these GroupBys.
        wanted: the rows of each GroupBy.
        at_ms: the time of the query.
    """
    parts = [_prepare(fetcher, rows, at_ms) for fetcher, rows in wanted]
    try:
        together = store.multi_get(_requests(parts))
    except Exception as error:
        reads = [error] if len(parts) == 1 else [_read_alone(store, part) for part in parts]
    else:
        reads = _divide(parts, together)
    return [part.outcomes(read) for part, read in zip(parts, reads, strict=True)]


async def fetch_rows_async(
    store: ReadableStore, wanted: Sequence[GroupByRows], at_ms: int
) -> list[list[RowOutcome]]:
    """`fetch_rows` for an event loop, which runs other tasks while the store answers."""
    parts = [_prepare(fetcher, rows, at_ms) for fetcher, rows in wanted]
    try:
        together = await store.multi_get_async(_requests(parts))
    except Exception as error:
        alone = (store.multi_get_async(part.requests) for part in parts)
        reads = [error] if len(parts) == 1 else await asyncio.gather(*alone, return_exceptions=True)
    else:
        reads = _divide(parts, together)
    return [part.outcomes(read) for part, read in zip(parts, reads, strict=True)]


def _read_alone(store: ReadableStore, part: "_PreparedRows") -> _Read:
    try:
        return store.multi_get(part.requests)
    except Exception as error:
        return error


def _requests(parts: Sequence["_PreparedRows"]) -> list[GetRequest]:
    return [request for part in parts for request in part.requests]


def _divide(parts: Sequence["_PreparedRows"], together: list[list[TimedValue]]) -> list[_Read]:
    found = iter(together)
    return [list(islice(found, len(part.requests))) for part in parts]


class _PreparedRows(NamedTuple):
    """The rows of one GroupBy, checked before the store is read.

    Attributes:
        rows: for each row its key, or why the row has failed already.
        reading: the reads of the keys; None if all rows have failed.
        at_ms: the time of the query.
    """

    fetcher: Fetcher
    rows: Sequence[Key | RowFailure]
    reading: Reading | None
    at_ms: int

    @property
    def requests(self) -> list[GetRequest]:
        """The requests to the store for all keys."""
        return [] if self.reading is None else self.reading.requests

    def outcomes(self, read: _Read) -> list[RowOutcome]:
        """The outcome of each row, from the store's answers or the error of reading them."""
        keys = [row for row in self.rows if not isinstance(row, RowFailure)]
        of_keys = iter(self._of_keys(keys, read) if keys else ())
        return [row if isinstance(row, RowFailure) else next(of_keys) for row in self.rows]

    def _of_keys(self, keys: list[Key], read: _Read) -> list[RowOutcome]:
        assert self.reading is not None
        if isinstance(read, BaseException):
            reason = f"the store could not be read: {reason_of(read)}"
            return [RowFailure(reason, Cause.STORE)] * len(keys)
        try:
            values = self.reading.values(read)
        except Exception:
            return self._one_by_one(keys, read)
        return self._answers(keys, values, read)

    def _answers(
        self, keys: list[Key], values: list[Features], read: list[list[TimedValue]]
    ) -> list[RowOutcome]:
        """The answers to keys, from their features and from what was read for each key."""
        assert self.reading is not None
        each, late_ms = self.reading.requests_per_key, self._late_batch_ms()
        first = 1 if self.fetcher.batch is not None else 0
        outcomes: list[RowOutcome] = []
        for number, (key, features) in enumerate(zip(keys, values, strict=True)):
            answers = read[number * each : (number + 1) * each]
            newest = [timed[-1].ts_ms for timed in answers[first:] if timed]
            newest_ms = max(newest) if newest else None
            known = newest_ms is not None or bool(first and answers[0])
            outcomes.append(RowAnswer(features, key, known, newest_ms, late_ms))
        return outcomes

    def _one_by_one(self, keys: list[Key], read: list[list[TimedValue]]) -> list[RowOutcome]:
        """The outcomes if the features of some key cannot be made: each key by itself."""
        assert self.reading is not None
        each, outcomes = self.reading.requests_per_key, list[RowOutcome]()
        for number, key in enumerate(keys):
            answers = read[number * each : (number + 1) * each]
            reading = self.fetcher.reading([key], self.at_ms)
            try:
                features = reading.features(answers)
            except Exception as error:
                reason = f"a stored value cannot be read: {reason_of(error)}"
                outcomes.append(RowFailure(reason, Cause.VALUE))
                continue
            try:
                outcomes += self._answers([key], reading.derive([features]), answers)
            except Exception as error:
                outcomes.append(RowFailure(reason_of(error), Cause.DERIVATION))
        return outcomes

    def _late_batch_ms(self) -> int | None:
        batch, group_by = self.fetcher.batch, self.fetcher.plan.group_by
        if (
            batch is None
            or batch.is_snapshot
            or not is_degraded(group_by, batch.end_ms, self.at_ms)
        ):
            return None
        return batch.end_ms


def _prepare(fetcher: Fetcher, rows: Sequence[RequestRow], at_ms: int) -> _PreparedRows:
    keys = [_key(fetcher, row) for row in rows]
    try:
        return _PreparedRows(fetcher, keys, _reading(fetcher, keys, at_ms), at_ms)
    except Exception:  # perhaps one key has the types of its columns and no Avro form
        keys = [_writable(fetcher, key) for key in keys]
    try:
        return _PreparedRows(fetcher, keys, _reading(fetcher, keys, at_ms), at_ms)
    except (QueryBeforeBatch, GroupByError) as error:
        failure = RowFailure(reason_of(error), Cause.QUERY)
    failures = [key if isinstance(key, RowFailure) else failure for key in keys]
    return _PreparedRows(fetcher, failures, None, at_ms)


def _reading(fetcher: Fetcher, keys: Sequence[Key | RowFailure], at_ms: int) -> Reading | None:
    fetched = [key for key in keys if not isinstance(key, RowFailure)]
    return fetcher.reading(fetched, at_ms) if fetched else None


def _key(fetcher: Fetcher, row: RequestRow) -> Key | RowFailure:
    try:
        key = cast_key(row, fetcher.plan.keys.columns)
    except KeyCastError as error:
        return RowFailure(str(error), Cause.KEY)
    return NULL_KEY if is_null_key(key, fetcher.plan.group_by) else key


def is_null_key(key: Key, group_by: GroupBy) -> bool:
    """Whether the nulls in a key are so many that Chronon does not read the store for it.

    Airbnb's Fetcher leaves out a key with any null, zipline's a key with nothing but nulls.
    """
    nulls = [value is None for value in key.values()]
    return any(nulls) if group_by.dialect.name == "airbnb" else all(nulls)


def _writable(fetcher: Fetcher, key: Key | RowFailure) -> Key | RowFailure:
    """The key itself; the reason if Avro cannot hold it."""
    if isinstance(key, RowFailure):
        return key
    try:
        fetcher.key_bytes(key)
    except Exception as error:
        return RowFailure(f"the key cannot be written: {reason_of(error)}", Cause.KEY)
    return key
