"""A reader of a subscription, kept from bundle to bundle."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import pyarrow as pa

from chronon_beam.api.records import Envelopes, Messages
from chronon_beam.io.batches import ROWS, cuts
from chronon_beam.io.live import Live
from chronon_beam.io.pubsub.attributes import (
    attributes_of,
    envelope_of,
    position_of,
    publish_time_ms,
)
from chronon_beam.io.pubsub.leases import Held, Leases
from chronon_beam.io.pubsub.publish_times import PublishTimes
from chronon_beam.io.pubsub.puller import Puller
from chronon_beam.io.pubsub.subscription import Subscription

_FORGET_S = 600.0


class PulledBatch(NamedTuple):
    """Messages to give out in one go, and their leases."""

    messages: list[Messages]
    leases: list[Held]
    number: int


class PubsubSession:
    """Pulls, and acknowledges messages once the runner keeps what bundles have made of them.

    A bundle names its reader's `moment`, which the runner keeps: the time of the last batch that
    was given out. If it is another one than the session's, the runner has gone back to an earlier
    state, or another process has read meanwhile: then all that was given out and not acknowledged
    is given back to the server, which gives it again.

    Args:
        subscription: what is read.
        live: what the job says of time and latency.
        columns: what the job reads; attributes that are not among them are not made.
    """

    def __init__(self, subscription: Subscription, live: Live, columns: pa.Schema) -> None:
        self._subscription = subscription
        self._live = live
        self._columns = columns
        self._leases = Leases()
        self._puller = Puller(subscription, self._leases)
        self._times = PublishTimes(live.disorder_ms, live.idle_ms, time.monotonic())
        self._moment: int | None = None
        self._given: list[Held] = []
        self._final: list[Held] = []
        self._acknowledges_at: float | None = None

    def begin(self, moment: int) -> None:
        """A bundle begins where the runner stands."""
        if self._moment not in (None, moment):
            self._give_back([*self._leases.taken(), *self._given, *self._final])
            self._given, self._final, self._acknowledges_at = [], [], None
        self._moment = moment

    def batches(self, promised_ms: int, wait_s: float, within_s: float) -> Iterator[PulledBatch]:
        """What there is: until a pull finds no backlog, or `within_s` have passed.

        Args:
            promised_ms: the watermark that the runner has been given.
            wait_s: how long to wait for a first message.
            within_s: see above.

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
        """The bundle gives out a batch; the runner keeps `moment`."""
        self._leases.take(batch.leases)
        self._moment = moment

    def leave(self, batch: PulledBatch) -> None:
        """The bundle does not take a batch: it may be given to any reader."""
        self._give_back(batch.leases)

    def watermark_ms(self) -> int:
        """What the reader promises; `MIN_MS` promises nothing."""
        now_s = time.monotonic()
        if self._puller.is_down:
            self._times.not_quiet(now_s)
        return self._times.promised_ms(int(time.time() * 1000), now_s)

    def acknowledge_when_final(self, finalizer: Any) -> None:
        """Acknowledge what was given out so far when the runner says for the second time: final.

        Flink makes bundles final when it learns that a checkpoint is complete: all that have ended,
        and so those too that ended after the checkpoint had taken their state. What these gave out
        would be lost with the next failure. The next checkpoint has it for sure.

        One bundle at a time: until it is final, Beam's worker keeps all steps of it aside. What
        later bundles give out waits for the next one: all before a final bundle is final, too.
        """
        now = time.monotonic()
        if self._acknowledges_at is not None and now < self._acknowledges_at + _FORGET_S:
            return
        given = [*self._given, *self._leases.taken()]
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
        """Give back what is not acknowledged, and let go of the connection."""
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

    def _give_back(self, leases: Sequence[Held]) -> None:
        with suppress(ConnectionError):
            self._subscription.give_back(self._leases.end(leases))
