"""Pub/Sub's messages to Messages: a splittable DoFn with one element per reader.

The server alone knows which messages are left, so a reader's restriction holds only a moment: the
time of the last batch. By the moment a session finds out whether the runner has gone back to an
earlier state (see `PubsubSession`).
"""

import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.pvalue import PBegin
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Duration, Timestamp

from chronon_beam.api.counts import Count, Metric
from chronon_beam.api.records import MIN_MS, Messages
from chronon_beam.io.live import LiveSettings
from chronon_beam.io.metrics import GroupByMetrics
from chronon_beam.io.pool import Pool
from chronon_beam.io.pubsub.distinct import Distinct
from chronon_beam.io.pubsub.options import PubsubOptions
from chronon_beam.io.pubsub.session import PubsubSession
from chronon_beam.io.pubsub.subscription import Subscription
from chronon_beam.io.watermark import GivenWatermark

_WAIT_S = 0.25
_BUNDLE_S = 0.25
_FOR_EVER = 1 << 62
_pool: Pool[PubsubSession] = Pool()


@dataclass
class ReadFromPubsub(beam.PTransform):
    """Reads the messages of a subscription, each once.

    Attributes:
        options: what is read.
        columns: what the job reads of it.
        live: the job's settings of time and latency.
        count: takes the watermark's lag, and `redelivered`, the messages that came again.
    """

    options: PubsubOptions
    columns: pa.Schema
    live: LiveSettings = field(default_factory=LiveSettings)
    count: Count = GroupByMetrics()

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, root: PBegin) -> beam.PCollection[Messages]:
        """Readers, whose messages then pass `Distinct`: the server may give one message twice.

        Raises:
            ValueError: on Flink without checkpoints, no message would ever be acknowledged.
        """
        options = root.pipeline.options.get_all_options(retain_unknown_options=True)
        _check_checkpoints(options)
        readers = self.options.readers or max(int(options.get("parallelism") or 1), 1)
        return (
            root
            | "Readers" >> beam.Create(list(range(readers)), reshuffle=False)
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(_PullFn(self))
            | "Distinct" >> Distinct(self.options.remember_ms, readers, self.count)
        )


def _check_checkpoints(options: Mapping[str, object]) -> None:
    if "flink" in str(options.get("runner")).lower() and not options.get("checkpointing_interval"):
        raise ValueError(
            "pubsub: on Flink without checkpoints, no message is ever acknowledged, and all come "
            "again: add --checkpointing_interval=10000 and, for state of more than 5 MB, "
            "--state_backend=filesystem --state_backend_storage_path=file:///PATH"
        )


class _Moments(RestrictionProvider):
    def initial_restriction(self, element: int) -> OffsetRange:
        return OffsetRange(0, _FOR_EVER)

    def create_tracker(self, restriction: OffsetRange) -> OffsetRestrictionTracker:
        return OffsetRestrictionTracker(restriction)

    def restriction_size(self, element: int, restriction: OffsetRange) -> int:
        return 1

    def split(self, element: int, restriction: OffsetRange) -> Iterator[OffsetRange]:
        yield restriction

    def truncate(self, element: int, restriction: OffsetRange) -> None:
        """A job that is drained leaves the rest to the server."""


_TRACKER = beam.DoFn.RestrictionParam(_Moments())
_WATERMARK = beam.DoFn.WatermarkEstimatorParam(GivenWatermark())


class _PullFn(beam.DoFn):
    def __init__(self, read: ReadFromPubsub) -> None:
        self._options = read.options
        self._columns = read.columns
        self._live = read.live
        self._count = read.count
        # Sessions are shared by all copies of this step in a process, and by no other step.
        self._step = uuid.uuid4().hex

    def teardown(self) -> None:
        _pool.close(self._step)

    @beam.DoFn.unbounded_per_element()
    def process(
        self,
        element: int,
        # Before the others: Beam gives it by position, and those by name.
        finalizer: Any = beam.DoFn.BundleFinalizerParam,
        tracker: Any = _TRACKER,
        watermark: Any = _WATERMARK,
    ) -> Iterator[Any]:
        given = watermark.current_watermark()
        promised_ms = MIN_MS if given is None else given.micros // 1000
        moment = tracker.current_restriction().start
        with _pool.session((self._step, element), self._session) as session:
            session.begin(moment)
            for batch in session.batches(promised_ms, _WAIT_S, _BUNDLE_S):
                moment = max(time.time_ns(), moment + 1)
                if not tracker.try_claim(moment - 1):
                    session.leave(batch)
                    return
                session.take(batch, moment)
                for messages in batch.messages:
                    yield TimestampedValue(messages, given or MIN_TIMESTAMP)
            if (now_ms := session.watermark_ms()) > promised_ms:
                watermark.set_watermark(Timestamp(micros=now_ms * 1000))
            if now_ms > MIN_MS:
                lag_ms = max(int(time.time() * 1000) - now_ms, 0)
                self._count(Metric.WATERMARK_LAG, lag_ms, part=f"{self._step}/{element}")
            session.acknowledge_when_final(finalizer)
            tracker.defer_remainder(Duration(0))

    def _session(self) -> PubsubSession:
        return PubsubSession(
            Subscription(self._options, self._live.reader), self._live, self._columns
        )
