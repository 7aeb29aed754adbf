"""PutRequests to a KV store: retried, and dead-lettered when it will not take them."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

from chronon_beam.api.records import Failure, PutRequest
from chronon_beam.io.kv_store import KVStore, open_store

STEP = "Write"
FAILURES = "failures"
PAUSES_S = (0.1, 0.4)
"""Before the second and third attempt."""


@dataclass
class Write(beam.PTransform):
    """Lists of PutRequests to the store: `written` counts one a list, `failures` beside them.

    Attributes:
        store_uri: see `open_store`.
        dataset: made if there is none.
    """

    store_uri: str
    dataset: str

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, requests: beam.PCollection[list[PutRequest]]) -> Any:
        """One step, with the store opened once a worker thread."""
        return requests | "Write" >> beam.ParDo(
            _WriteFn(self.store_uri, self.dataset)
        ).with_outputs(FAILURES, main="written")


def write_all(
    store: KVStore,
    requests: list[PutRequest],
    pauses_s: tuple[float, ...] = PAUSES_S,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[dict[int, str], int]:
    """Write, and write again what failed.

    Returns:
        The reason by index of those requests that failed at each attempt, and how many requests
        were retried.
    """
    return with_retries(
        lambda asked: store.multi_put([requests[index] for index in asked]),
        len(requests),
        pauses_s,
        sleep,
    )


def with_retries(
    attempt: Callable[[list[int]], list[str | None]],
    number: int,
    pauses_s: tuple[float, ...] = PAUSES_S,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[dict[int, str], int]:
    """Attempt `number` things, and again those that failed, with pauses between.

    Args:
        attempt: takes the indices of the things to attempt; for each None if it is done, else
            the reason. What it raises is the reason for each of them.
        number: how many things there are.
        pauses_s: seconds before the second attempt and each further one.
        sleep: how to pause.

    Returns:
        The reason by index of those that failed at each attempt, and how many were retried.
    """
    failed = _attempted(attempt, list(range(number)))
    retried = 0
    for pause_s in pauses_s:
        if not failed:
            break
        sleep(pause_s)
        retried += len(failed)
        failed = _attempted(attempt, list(failed))
    return failed, retried


def _attempted(
    attempt: Callable[[list[int]], list[str | None]], indices: list[int]
) -> dict[int, str]:
    try:
        reasons = attempt(indices)
    except Exception as error:  # every client fails in ways of its own
        return dict.fromkeys(indices, f"{type(error).__name__}: {error}")
    return {i: reason for i, reason in zip(indices, reasons, strict=True) if reason is not None}


def request_failure(request: PutRequest, reason: str) -> Failure:
    """The request as a Failure; its payload is JSON with the bytes in base64."""
    payload = request._asdict()
    for name in ("key_bytes", "value_bytes"):
        payload[name] = base64.b64encode(payload[name]).decode()
    return Failure(STEP, reason, json.dumps(payload).encode(), request.dataset, -1)


class _WriteFn(beam.DoFn):
    def __init__(self, store_uri: str, dataset: str) -> None:
        self._store_uri = store_uri
        self._dataset = dataset

    def setup(self) -> None:
        self._store = open_store(self._store_uri)
        self._store.create(self._dataset)
        self._requests, self._written, self._retried, self._failed = (
            Metrics.counter(STEP, name) for name in ("requests", "written", "retried", "failed")
        )

    def teardown(self) -> None:
        self._store.close()

    def process(self, requests: list[PutRequest]) -> Iterator[Any]:
        failed, retried = write_all(self._store, requests)
        self._requests.inc(len(requests))
        self._written.inc(len(requests) - len(failed))
        if retried:
            self._retried.inc(retried)
            self._failed.inc(len(failed))
        for index, reason in failed.items():
            yield TaggedOutput(FAILURES, request_failure(requests[index], reason))
        yield len(requests) - len(failed)
