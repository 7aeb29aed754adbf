"""Chronon's own answers, where ours are more honest: what `--compat` asks for.

Source: `ai.chronon.online.fetcher.GroupByFetcher` of zipline, `ai.chronon.online.FetcherBase` of
airbnb; docs/serving.md has all differences in a table.
"""

from collections.abc import Sequence

from chronon_beam.api.records import GetRequest, TimedValue
from chronon_beam.fetcher.readable_store import ReadableStore
from chronon_beam.fetcher.rows import Cause, Failed, Found, Outcome
from chronon_beam.fetcher.server.refusal import Refused

_OF_FETCH, _OF_GROUP_BY = "derivation_fetch_exception", "derivation_exception"


class BatchAloneStore:
    """A store that gives batch values alone, without saying so, where the stream cannot be read."""

    def __init__(self, store: ReadableStore) -> None:
        self._store = store

    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        """See `ReadableStore.multi_get`; raises what that raises for batch values."""
        try:
            return self._store.multi_get(requests)
        except Exception:
            batch = _batch(requests)
            if not batch:
                raise
        return _completed(requests, self._store.multi_get(batch))

    async def multi_get_async(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        """See `multi_get`."""
        try:
            return await self._store.multi_get_async(requests)
        except Exception:
            batch = _batch(requests)
            if not batch:
                raise
        return _completed(requests, await self._store.multi_get_async(batch))


def _batch(requests: list[GetRequest]) -> list[GetRequest]:
    return [each for each in requests if each.dataset.endswith("_BATCH")]


def _completed(requests: list[GetRequest], batch: list[list[TimedValue]]) -> list[list[TimedValue]]:
    found = iter(batch)
    return [next(found) if each.dataset.endswith("_BATCH") else [] for each in requests]


def check_any_read(outcomes: Sequence[Outcome]) -> None:
    """Where no row could be read, Chronon's services answer with 500; raises Refused."""
    reasons = [o.reason for o in outcomes if isinstance(o, Failed) and o.cause is Cause.STORE]
    if reasons and len(reasons) == len(outcomes):
        raise Refused(500, reasons[0])


def is_left_out(outcome: Outcome) -> bool:
    """Whether a row has no result at all: its key is null."""
    return isinstance(outcome, Failed) and outcome.cause is Cause.NULL_KEY


def without_renames(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Outcomes of a GroupBy of zipline: where derivations have failed, that is all they say."""
    return [
        outcome._replace(features={_OF_GROUP_BY: outcome.features[_OF_FETCH]})
        if isinstance(outcome, Found) and _OF_FETCH in outcome.features
        else outcome
        for outcome in outcomes
    ]
