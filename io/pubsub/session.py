"""A reader of a subscription, kept from bundle to bundle."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import pyarrow as pa

from chronon_beam.api.records import Envelopes, Messages
from chronon_beam.io.batches import ROWS, cuts
from chronon_beam.io.live import LiveSettings
from chronon_beam.io.pubsub.attributes import (
    attributes_of,
    envelope_of,
    position_of,
    publish_time_ms,
)
from chronon_beam.io.pubsub.leases import Leases, MessageLease
from chronon_beam.io.pubsub.publish_times import PublishTimes
from chronon_beam.io.pubsub.puller import Puller
from chronon_beam.io.pubsub.subscription import Subscription

_FORGET_S = 600.0


class PulledBatch(NamedTuple):
    """Messages to give out in one go, and their leases."""

    messages: list[Messages]
    leases: list[MessageLease]
    number: int


class PubsubSession:
    """Pulls messages, and acknowledges them once the runner keeps what bundles have made of them.

    The runner keeps a reader's `moment`, the time of the last batch that was given out, and each
    bundle begins with it. If it differs from the session's, the runner has gone back to an earlier
    state, or another process has read meanwhile. Then the session gives the messages that were
    given out and not acknowledged back to the server, which gives them again.

    Args:
        subscription: what is read.
        live: the job's settings of time and latency.
        columns: what the job reads; attributes that are not among them are not made.
    """

    def __init__(self, subscription: Subscription, live: LiveSettings, columns: pa.Schema) -> None:
        self._subscription = subscription
        self._live = live
        self._columns = columns
        self._leases = Leases()
        self._puller = Puller(subscription, self._leases)
        self._times = PublishTimes(live.disorder_ms, live.idle_ms, time.monotonic())
        self._moment: int | None = None
        self._given: list[MessageLease] = []
        self._final: list[MessageLease] = []
        self._acknowledges_at: float | None = None

    def begin(self, moment: int) -> None:
        """Begin a bundle, with the `moment` that the runner keeps."""
        if self._moment not in (None, moment):
            self._give_back([*self._leases.pop_taken(), *self._given, *self._final])
            self._given, self._final, self._acknowledges_at = [], [], None
        self._moment = moment

    def batches(self, promised_ms: int, wait_s: float, within_s: float) -> Iterator[PulledBatch]:
        """The messages that are there: until a pull finds no backlog, or `within_s` have passed.

        Args:
            promised_ms: the watermark that the runner has been given.
            wait_s: how long to wait for a first message.
            within_s: the most seconds to pull.

        Raises:
            PermissionError: the server refuses to give messages.
        """
        deadline = time.monotonic() + within_s
        batch = self._batch(promised_ms, wait_s)
        while batch is not None:
            yield batch
            if batch.number < ROWS // 2 or time.monotonic() > deadline:
                return
            batch = self._batch(promised_ms, 0)

    def take(self, batch: PulledBatch, moment: int) -> None:
        """Note that the bundle gives out a batch, and that the runner keeps `moment`."""
        self._leases.take(batch.leases)
        self._moment = moment

    def leave(self, batch: PulledBatch) -> None:
        """Give a batch that the bundle does not take back to the server."""
        self._give_back(batch.leases)

    def watermark_ms(self) -> int:
        """The watermark of the reader; `MIN_MS` promises nothing."""
        now_s = time.monotonic()
        if self._puller.is_down:
            self._times.not_quiet(now_s)
        return self._times.promised_ms(int(time.time() * 1000), now_s)

    def acknowledge_when_final(self, finalizer: Any) -> None:
        """Acknowledge the messages given out so far, when this bundle and a later one are final.

        When a checkpoint is complete, Flink makes all bundles final that have ended, also those
        that ended after the checkpoint had taken the state. If their messages were acknowledged
        now, a failure would lose them. The next checkpoint has them for sure.

        One bundle at a time waits to be final, since Beam's worker cannot use its steps until then.
        Messages of later bundles wait for the next one: with a bundle, all before it are final.
        """
        now = time.monotonic()
        if self._acknowledges_at is not None and now < self._acknowledges_at + _FORGET_S:
            return
        given = [*self._given, *self._leases.pop_taken()]
        if not given and not self._final:
            return
        self._given, self._acknowledges_at = given, now

        def acknowledge() -> None:
            if self._given is not given:
                return  # the runner went back meanwhile
            with suppress(ConnectionError):  # then they come again, and are known
                self._subscription.acknowledge(self._leases.end(self._final))
            self._final, self._given, self._acknowledges_at = given, [], None

        finalizer.register(acknowledge)

    def close(self) -> None:
        """Give back the messages that are not acknowledged, and close the connection."""
        self._puller.close()
        self._subscription.end_pulls()
        self._give_back(self._leases.all())
        self._subscription.close()

    def _batch(self, promised_ms: int, wait_s: float) -> PulledBatch | None:
        """The first pull, and those that come until the linger is over or there are enough."""
        pulled = self._puller.next(wait_s)
        if pulled is None:
            return None
        messages, leases = list(pulled.messages), [pulled.lease]
        until = time.monotonic() + self._live.linger_ms / 1000
        while len(messages) < ROWS // 2 and (left := until - time.monotonic()) > 0:
            if (pulled := self._puller.next(left)) is None:
                break
            messages += pulled.messages
            leases.append(pulled.lease)
        self._times.add(min(map(publish_time_ms, messages)), time.monotonic())
        return PulledBatch(list(self._messages(messages, promised_ms)), leases, len(messages))

    def _messages(self, messages: Sequence[Any], promised_ms: int) -> Iterator[Messages]:
        payloads = [each.data for each in messages]
        for start, stop in cuts(list(map(len, payloads))):
            part = messages[start:stop]
            yield Messages(
                self._subscription.path,
                [position_of(each.message_id) for each in part],
                payloads[start:stop],
                promised_ms=pa.array([promised_ms] * (stop - start), pa.int64()),
                attributes=attributes_of(part, self._columns),
                envelopes=Envelopes(part, envelope_of),
            )

    def _give_back(self, leases: Sequence[MessageLease]) -> None:
        with suppress(ConnectionError):
            self._subscription.give_back(self._leases.end(leases))
