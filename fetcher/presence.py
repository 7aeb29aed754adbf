"""Why a fetch has found nothing: the store does not know the key, or knows it at other times."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from chronon_beam.api.records import MAX_MS, MIN_MS, GetRequest, TimedValue
from chronon_beam.fetcher.entity_key import Key
from chronon_beam.fetcher.fetch import Features, Fetcher


class Presence(StrEnum):
    """What the store has of a key at the time of a query."""

    FOUND = "found"
    OUTSIDE = "outside_window"
    UNKNOWN = "unknown"


class Answer(NamedTuple):
    """The features of a key, and where they come from.

    Attributes:
        key: the key's columns.
        values: the result of `Fetcher.fetch`.
        presence: whether the store had anything to read.
        last_ms: if nothing was found in the windows, the beginning of the key's last tile or row.
        until_ms: the end of the tile that the time of the query lies in, if there is one: the whole
            tile counts, so the values may have events up to its end.
    """

    key: Key
    values: Features
    presence: Presence
    last_ms: int | None = None
    until_ms: int | None = None


def fetch_answers(fetcher: Fetcher, keys: Sequence[Key], at_ms: int) -> list[Answer]:
    """The result of `Fetcher.fetch`, and whether the store knows each key; raises as `fetch` does.

    A second read looks for the keys without anything in their windows, at all times.
    """
    reading = fetcher.reading(keys, at_ms)
    found = fetcher.store.multi_get(reading.requests)
    each = len(found) // len(keys) if keys else 0
    known = [any(found[at * each : (at + 1) * each]) for at in range(len(keys))]
    missed = [key for key, is_known in zip(keys, known, strict=True) if not is_known]
    last = iter(last_times(fetcher, missed))
    answers = []
    for key, values, is_known in zip(keys, reading.values(found), known, strict=True):
        last_ms = None if is_known else next(last)
        elsewhere = Presence.UNKNOWN if last_ms is None else Presence.OUTSIDE
        presence = Presence.FOUND if is_known else elsewhere
        start = len(answers) * each
        read = zip(reading.requests[start : start + each], found[start:], strict=False)
        until_ms = _end_around(fetcher, list(read), at_ms)
        answers.append(Answer(key, values, presence, last_ms, until_ms))
    return answers


def _end_around(
    fetcher: Fetcher, read: Sequence[tuple[GetRequest, Sequence[TimedValue]]], at_ms: int
) -> int | None:
    """The end of the last tile that begins before `at_ms` and ends after it; None without one."""
    dataset = fetcher.plan.group_by.streaming_dataset
    ends = [
        value.ts_ms + request.tile_size_ms
        for request, values in read
        if request.dataset == dataset
        for value in values
        if value.ts_ms < at_ms < value.ts_ms + request.tile_size_ms
    ]
    return max(ends, default=None)


def last_times(fetcher: Fetcher, keys: Sequence[Key]) -> list[int | None]:
    """When the last tile or row of each key begins, at any time; None for an unknown key."""
    if not keys or not fetcher.streamed:
        return [None] * len(keys)
    dataset = fetcher.plan.group_by.streaming_dataset
    sizes = [spec.size_ms for spec in fetcher.plan.specs] if fetcher.tiled else [0]
    requests = [
        GetRequest(fetcher.key_bytes(key), dataset, MIN_MS, MAX_MS, size_ms)
        for key in keys
        for size_ms in sizes
    ]
    found = fetcher.store.multi_get(requests)
    starts = range(0, len(found), len(sizes))
    return [_last(found[at : at + len(sizes)]) for at in starts]


def _last(answers: Sequence[Sequence[TimedValue]]) -> int | None:
    return max((value.ts_ms for timed in answers for value in timed), default=None)
