"""Chronon's own answers, which `--compat` gives, where this project's answers differ.

Source: `ai.chronon.online.fetcher.GroupByFetcher` of zipline, `ai.chronon.online.FetcherBase` of
airbnb; docs/serving.md has all differences in a table.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

from chronon_beam.api.records import GetRequest, TimedValue
from chronon_beam.fetcher.readable_store import ReadableStore
from chronon_beam.fetcher.rows import Cause, RequestRow, RowFailure, RowOutcome
from chronon_beam.fetcher.server.refusal import Refusal

DatasetRead = list[list[TimedValue]] | None
"""The store's answers to the requests to one dataset; None if it could not be read."""

RowResult = dict[str, object]
"""One of an answer's results, which is a JSON object."""


class DatasetsStore:
    """A store that hides the failure of a dataset as long as another dataset can be read.

    If a read fails, each dataset is read by itself, and a dataset that cannot be read counts as
    empty. A GroupBy may then have tiles without batch values, or batch values without tiles.
    """

    def __init__(self, store: ReadableStore) -> None:
        self._store = store

    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        """See `ReadableStore.multi_get`; raises the store's error if no dataset can be read."""
        try:
            return self._store.multi_get(requests)
        except Exception as error:
            parts = {name: self._read(part) for name, part in _datasets(requests).items()}
            return _completed(requests, parts, error)

    async def multi_get_async(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        """See `multi_get`."""
        try:
            return await self._store.multi_get_async(requests)
        except Exception as error:
            divided = _datasets(requests)
            found = await asyncio.gather(*map(self._read_async, divided.values()))
            return _completed(requests, dict(zip(divided, found, strict=True)), error)

    def _read(self, requests: list[GetRequest]) -> DatasetRead:
        with suppress(Exception):
            return self._store.multi_get(requests)
        return None

    async def _read_async(self, requests: list[GetRequest]) -> DatasetRead:
        with suppress(Exception):
            return await self._store.multi_get_async(requests)
        return None


def _datasets(requests: list[GetRequest]) -> dict[str, list[GetRequest]]:
    """The requests of each dataset; empty for a single dataset, which has failed already."""
    divided: dict[str, list[GetRequest]] = {}
    for each in requests:
        divided.setdefault(each.dataset, []).append(each)
    return divided if len(divided) > 1 else {}


def _completed(
    requests: list[GetRequest], parts: Mapping[str, DatasetRead], error: Exception
) -> list[list[TimedValue]]:
    if all(part is None for part in parts.values()):
        raise error
    found = {name: None if part is None else iter(part) for name, part in parts.items()}
    answers = (found[each.dataset] for each in requests)
    return [[] if answer is None else next(answer) for answer in answers]


def check_any_read(outcomes: Sequence[RowOutcome]) -> None:
    """Raise Refusal if no row could be read: Chronon's services answer with status 500 then."""
    reasons = [o.reason for o in outcomes if isinstance(o, RowFailure) and o.cause is Cause.STORE]
    if reasons and len(reasons) == len(outcomes):
        raise Refusal(500, reasons[0])


def is_left_out(outcome: RowOutcome) -> bool:
    """Whether Chronon gives no result for a row: its key is null."""
    return isinstance(outcome, RowFailure) and outcome.cause is Cause.NULL_KEY


def unknown_names(kind: str, path: str, rows: Sequence[RequestRow]) -> list[RowResult]:
    """The results of a request whose name is not served.

    Args:
        kind: `groupby` or `join`.
        path: of the request.
        rows: of the request.

    Raises:
        Refusal: a join at a path of airbnb's service, which fails as a whole.
    """
    if kind == "groupby":
        error = "Couldn't fetch group by serving info: nothing is served under this name"
        return [{"status": "Failure", "entityKeys": row, "error": error} for row in rows]
    error = "Couldn't fetch the join: nothing is served under this name"
    if path.startswith("/v1/features/"):
        raise Refusal(500, error)
    features = {"join_codec_fetch_exception": error}
    return [{"status": "Success", "entityKeys": row, "features": features} for row in rows]
