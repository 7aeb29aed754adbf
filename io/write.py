"""Writes PutRequests to a KV store: with retries, and a dead letter per request that still fails.

A store that waits and repeats writes itself (`KVStore.tries_again`, for example Bigtable's) is
called once: the requests that it gives back have failed for good. For any other store, a request is
tried up to three times, with the pauses `PAUSES_S`. If the bundle fails later, the runner does it
again, so a request may be written more than once; a second write of it changes nothing.
"""

import base64
import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow, GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from chronon_beam.aggregator.codecs import is_complete
from chronon_beam.api.counts import Count, Metric, dead
from chronon_beam.api.records import FAILURES, Correction, Failure, Form, Phase, PutRequest
from chronon_beam.io.at_launch import Given, value_of
from chronon_beam.io.kv_store import Bounds, KVStore, failures_of, open_store
from chronon_beam.io.metrics import GroupByMetrics

R = TypeVar("R")
Requests = PutRequest | list[PutRequest]
Output = int | TaggedOutput
"""How many requests were written, or a Failure."""

STEP = "Write"
PAUSES_S = (0.1, 0.4)
"""Seconds before the second and the third attempt."""

_log = logging.getLogger(__name__)


class Written(NamedTuple):
    """The outputs of `Write`, in the global window."""

    written: beam.PCollection[int]
    """How many requests each call of the store has written."""
    failures: beam.PCollection[Failure]


@dataclass
class Write(beam.PTransform):
    """Writes PutRequests, or lists of them, to the store.

    The requests of a bundle are collected until the store's `bounds` are reached.

    Attributes:
        store_uri: see `open_store`.
        dataset: created if it does not exist; None leaves that to the store.
        count: counts what is written, retried and dead; by default in Beam's metrics.
        enter: for the job of a template, which enters the dataset's ledger at run time: called with
            the store before a worker writes to it; an error that it raises fails the job.
    """

    store_uri: Given
    dataset: str | None = None
    count: Count = GroupByMetrics()
    enter: Callable[[KVStore], Any] | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, requests: beam.PCollection[Requests]) -> Written:
        """One step, with the store opened once per worker thread."""
        unwindowed: Any = requests
        if not isinstance(requests.windowing.windowfn, GlobalWindows):
            unwindowed = requests | "Global" >> beam.WindowInto(GlobalWindows())
        write = beam.ParDo(WriteFn(self.store_uri, self.dataset, self.count, self.enter))
        return Written(*(unwindowed | "Write" >> write.with_outputs(FAILURES, main="written")))


class Attempts(NamedTuple):
    """The outcome of several attempts.

    Attributes:
        failed: the reason by index of each request that has failed at all attempts.
        retried: how many requests were sent again.
    """

    failed: dict[int, str]
    retried: int


def write_all(
    store: KVStore,
    requests: list[R],
    pauses_s: tuple[float, ...] = PAUSES_S,
    sleep: Callable[[float], None] = time.sleep,
    write: Callable[[list[R]], list[str | None]] | None = None,
) -> Attempts:
    """Write requests, and write those again that failed.

    Args:
        store: the store to write to.
        requests: the arguments of `write`.
        pauses_s: see `with_retries`; a store that tries again by itself is called once.
        sleep: how to pause.
        write: for each request None if it is written, else the reason; `store.multi_put` by
            default.

    Returns:
        See `Attempts`; `retried` includes the requests that the store itself has sent again.
    """
    before = store.retried
    put: Callable[..., list[str | None]] = write or store.multi_put
    failed, retried = with_retries(
        lambda asked: put([requests[index] for index in asked]),
        len(requests),
        () if store.tries_again else pauses_s,
        sleep,
    )
    return Attempts(failed, retried + store.retried - before)


def create_dataset(store: KVStore, dataset: str) -> None:
    """Create the dataset; a store that is down does not end the job if the store tries again.

    Raises:
        Exception: the client's error, if the store does not try again by itself.
    """
    try:
        store.create(dataset)
    except Exception as error:  # every client fails in ways of its own
        if not store.tries_again:
            raise
        # Writes wait for such a store, and create what is missing.
        _log.warning("dataset %s: %s", dataset, error)


def with_retries(
    attempt: Callable[[list[int]], list[str | None]],
    number: int,
    pauses_s: tuple[float, ...] = PAUSES_S,
    sleep: Callable[[float], None] = time.sleep,
) -> Attempts:
    """Attempt `number` things, then again those that failed, with pauses in between.

    Args:
        attempt: takes the indices of the things to attempt; gives for each None if it is done,
            else the reason. An error that it raises is the reason for each of them.
        number: how many things there are.
        pauses_s: seconds before the second attempt and each further one.
        sleep: how to pause.
    """
    failed = _attempt_once(attempt, list(range(number)))
    retried = 0
    for pause_s in pauses_s:
        if not failed:
            break
        sleep(pause_s)
        retried += len(failed)
        failed = _attempt_once(attempt, list(failed))
    return Attempts(failed, retried)


def _attempt_once(
    attempt: Callable[[list[int]], list[str | None]], indices: list[int]
) -> dict[int, str]:
    try:
        reasons = attempt(indices)
    except Exception as error:  # every client fails in ways of its own
        return dict.fromkeys(indices, f"{type(error).__name__}: {error}")
    return failures_of(indices, reasons)


def request_failure(
    request: PutRequest, reason: str, correction: Correction | None = None
) -> Failure:
    """The request as a Failure; its payload is JSON with the bytes in base64.

    The payload of a `correction` also has the phase and the event.
    """
    payload = request._asdict()
    for name in ("key_bytes", "value_bytes"):
        payload[name] = base64.b64encode(payload[name]).decode()
    if correction is not None:
        payload |= {"phase": correction.phase.name, "event": correction.event}
    whole = json.dumps(payload).encode()
    time_ms = request.ts_ms
    return Failure(STEP, reason, whole, request.dataset, -1, Form.REQUEST, event_time_ms=time_ms)


def failed_write(payload: bytes) -> PutRequest | Correction:
    """The request or correction that `request_failure` has made this payload of."""
    found = json.loads(payload)
    phase, event = found.pop("phase", None), found.pop("event", "")
    for name in ("key_bytes", "value_bytes"):
        found[name] = base64.b64decode(found[name])
    request = PutRequest(**found)
    return request if phase is None else Correction(request, Phase[phase], event)


class Pending:
    """Requests that are collected, to be written together.

    Args:
        bounds: how many, how large and how old they may become.
        clock: gives seconds.
    """

    def __init__(self, bounds: Bounds, clock: Callable[[], float] = time.monotonic) -> None:
        self.requests: list[PutRequest] = []
        self._bounds, self._clock = bounds, clock
        self._bytes = 0
        self._since_s = 0.0

    def add(self, requests: list[PutRequest]) -> bool:
        """Add requests; gives whether all pending requests must be written now."""
        if not self.requests:
            self._since_s = self._clock()
        self.requests += requests
        if len(self.requests) >= self._bounds.rows:
            return True
        self._bytes += sum(len(each.value_bytes) for each in requests)
        waited_ms = (self._clock() - self._since_s) * 1000
        return self._bytes >= self._bounds.bytes or waited_ms >= self._bounds.age_ms

    def take(self) -> list[PutRequest]:
        """Remove all pending requests, and give them."""
        taken, self.requests, self._bytes = self.requests, [], 0
        return taken


_VALUE = attrgetter("value_bytes")
_TIME = attrgetter("ts_ms")


def newest_age_ms(requests: list[PutRequest], now_ms: int) -> int | None:
    """How old the newest event of the requests is; None if a closing tile has it.

    A tile closes long after its last event, so its age would not be the job's delay.
    """
    newest = max(requests, key=_TIME)
    is_closing = newest.tile_size_ms > 0 and is_complete(newest.value_bytes)
    return None if is_closing else max(now_ms - newest.ts_ms, 0)


@beam.typehints.with_output_types(int)
class WriteFn(beam.DoFn):
    """Writes PutRequests, or lists of them, to the store; see `Write`."""

    def __init__(
        self,
        store_uri: Given,
        dataset: str | None,
        count: Count,
        enter: Callable[[KVStore], Any] | None = None,
    ) -> None:
        self._store_uri = store_uri
        self._dataset = dataset
        self._count = count
        self._enter = enter
        self._sent = 0

    def setup(self) -> None:
        self._store = open_store(value_of(self._store_uri))
        self._multi_put = self._store.multi_put
        if self._dataset is not None:
            create_dataset(self._store, self._dataset)
        self._entered = self._enter(self._store) if self._enter else None
        self._pending = Pending(self._store.bounds)

    def teardown(self) -> None:
        self._store.close()

    def start_bundle(self) -> None:
        self._pending.take()  # drops requests of a bundle that has failed: they come again
        self._sent = 0

    # Beam takes the annotations of `process` for the types of its outputs.
    def process(self, requests: Requests) -> Iterator[Any]:
        if self._pending.add([requests] if isinstance(requests, PutRequest) else requests):
            yield from self._flush()

    def finish_bundle(self) -> Iterator[Any]:
        for output in self._flush_pending():
            if isinstance(output, TaggedOutput):
                yield TaggedOutput(output.tag, _at_the_end(output.value))
            else:
                yield _at_the_end(output)
        if self._sent:
            self._count(Metric.BUNDLE, self._sent)

    def _flush_pending(self) -> Iterator[Output]:
        if self._pending.requests:
            yield from self._flush()

    def _flush(self) -> Iterator[Output]:
        requests = self._pending.take()
        yield from self._write(requests, self._multi_put, request_failure)
        if requests:
            self._measure(requests)

    def _measure(self, requests: list[PutRequest]) -> None:
        """Record how much was sent, and how old it is by now."""
        self._count(Metric.WRITTEN_BYTES, sum(map(len, map(_VALUE, requests))))
        if (age_ms := newest_age_ms(requests, int(time.time() * 1000))) is not None:
            self._count(Metric.CREATED_TO_SINK, age_ms)
            self._count(Metric.FRESHNESS, age_ms)

    def _write(
        self,
        requests: list[R],
        write: Callable[[list[R]], list[str | None]],
        failure: Callable[[R, str], Failure],
    ) -> Iterator[Output]:
        """Write and count; yields the failures, then how many requests were written."""
        began_s = time.monotonic()
        failed, retried = write_all(self._store, requests, write=write)
        self._count(Metric.WRITE_TIME, int((time.monotonic() - began_s) * 1000))
        self._count(Metric.WRITE_BATCH, len(requests))
        self._sent += len(requests)
        self._count(Metric.WRITTEN, len(requests) - len(failed))
        self._count(Metric.RETRIED, retried)
        self._count(dead(STEP), len(failed))
        for index, reason in failed.items():
            yield TaggedOutput(FAILURES, failure(requests[index], reason))
        yield len(requests) - len(failed)


def _at_the_end(value: object) -> WindowedValue:
    window = GlobalWindow()
    return WindowedValue(value, window.max_timestamp(), (window,))
