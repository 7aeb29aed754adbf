"""Kafka's records to Messages or rows: a splittable DoFn with one element per reader.

A reader is one consumer on many partitions: several elements on one worker thread would wait for
one another. How far a reader has come is the restriction of its element: the runner keeps the
restriction and restores it. The offsets are committed to Kafka's consumer group as well, so that
tools show the lag.
"""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.coders import Coder
from apache_beam.options.value_provider import ValueProvider
from apache_beam.pvalue import PBegin, PValue, TaggedOutput
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Duration, Timestamp

from chronon_beam.api.counts import Count, Metric
from chronon_beam.api.evaluation import Evaluation, StartEvaluation
from chronon_beam.api.records import MIN_MS, Messages
from chronon_beam.io.at_launch import number_of
from chronon_beam.io.kafka.changes import Readers
from chronon_beam.io.kafka.cluster import Cluster
from chronon_beam.io.kafka.launched import launched_options
from chronon_beam.io.kafka.options import KafkaOptions
from chronon_beam.io.kafka.placement import spread
from chronon_beam.io.kafka.progress import Vector, VectorCoder, VectorTracker
from chronon_beam.io.kafka.session import Session, Step
from chronon_beam.io.live import LiveSettings
from chronon_beam.io.metrics import GroupByMetrics
from chronon_beam.io.pool import Pool
from chronon_beam.io.watermark import GivenWatermark

WAIT_S = 0.25
"""How long a bundle waits for a first record."""

BUNDLE_S = 0.25
"""How long a bundle goes on while there is a backlog."""

_BOUNDED_BUNDLE_S = 5.0
_FOR_EVER_S = float("inf")
_pool: Pool[Session] = Pool()


@dataclass
class ReadFromKafka(beam.PTransform):
    """Records to Messages, each of one partition.

    Attributes:
        options: what is read.
        columns: what the job reads of it.
        live: the job's settings of time and latency.
        count: called with the lags, `tombstones`, `ahead` and `lost`; see docs/metrics.md.
        uri: see `Source.launched`; None reads what `options` say.
    """

    options: KafkaOptions
    columns: pa.Schema
    live: LiveSettings = field(default_factory=LiveSettings)
    count: Count = GroupByMetrics()
    uri: ValueProvider | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, root: PBegin) -> beam.PCollection[Messages]:
        """One element per reader; the readers find the partitions, also new ones, at run time."""
        read = _ReadRecordsFn(self, _bundle_s(root)) if self.options.bounded else _LiveReadFn(self)
        return _readers(root, self) | "Read" >> beam.ParDo(read)


@dataclass
class ReadRowsFromKafka(ReadFromKafka):
    """Live records to rows and failures. The promises are made of the rows' times.

    Attributes:
        evaluation: starts the job's Decode and Evaluate in a worker, and names the outputs.
    """

    evaluation: StartEvaluation = field(kw_only=True)

    def expand(self, root: PBegin) -> PValue:
        """See `Source.rows`."""
        read = beam.ParDo(_LiveReadFn(self, self.evaluation))
        return _readers(root, self) | "Read" >> read.with_outputs(
            *self.evaluation.tags, main="rows"
        )


def _readers(root: PBegin, read: ReadFromKafka) -> beam.PCollection[tuple[int, int]]:
    if read.uri is not None:
        number = beam.ParDo(_LaunchedReadersFn(read.options, read.uri))
        readers = root | beam.Impulse() | "Readers" >> number
    else:
        number = read.options.readers or _option(root, "parallelism") or 1
        each = [tuple(each) for each in spread(number, _option(root, "max_parallelism"))]
        readers = root | "Readers" >> beam.Create(each, reshuffle=False)
    return readers | "Spread" >> beam.Reshuffle()


class _LaunchedReadersFn(beam.DoFn):
    """The readers of a launch; see `launched_options` for the arguments."""

    def __init__(self, built: KafkaOptions, uri: ValueProvider) -> None:
        self._built, self._uri = built, uri

    def process(self, _: bytes) -> Iterator[tuple[int, int]]:
        readers = launched_options(self._built, self._uri.get()).readers
        number = readers or number_of("parallelism") or 1
        yield from map(tuple, spread(number, number_of("max_parallelism")))


def _option(root: PBegin, name: str) -> int:
    """A number among the runner's options; 0 if it is left to the runner."""
    options = root.pipeline.options.get_all_options(retain_unknown_options=True)
    return max(int(options.get(name) or 0), 0)


def _bundle_s(root: PBegin) -> float:
    """How long a bundle of a source with an end may take.

    Beam's embedded runners move the watermark to the end of time after the first bundle, although
    the source has deferred the rest (seen in Beam 2.77): tiles would expire before all their events
    are read, and later events would begin them anew. So these runners read all in one bundle.
    """
    embedded = isinstance(root.pipeline.runner, FnApiRunner | BundleBasedDirectRunner)
    return _FOR_EVER_S if embedded else _BOUNDED_BUNDLE_S


_TRACKER = beam.DoFn.RestrictionParam()
_WATERMARK = beam.DoFn.WatermarkEstimatorParam(GivenWatermark())


class _ReadRecordsFn(beam.DoFn, RestrictionProvider):
    """Reads partitions to their `stop`; an element is the (index, number) of one of `Readers`."""

    def __init__(self, read: ReadFromKafka, bundle_s: float = BUNDLE_S) -> None:
        self._built, self._uri = read.options, read.uri
        self._bundle_s = bundle_s
        self._columns = read.columns
        self._live = read.live
        self._count = read.count
        self._counts: Sequence[Count] = (read.count,)
        # Consumers are shared by all copies of this step in a process, and by no other step.
        self._step = uuid.uuid4().hex

    def _options(self) -> KafkaOptions:
        return self._built if self._uri is None else launched_options(self._built, self._uri.get())

    def initial_restriction(self, element: tuple[int, int]) -> Vector:
        """The reader's partitions that exist when the job starts, none of them read yet."""
        options = self._options()
        cluster = Cluster(options)
        owned = [each for each in cluster.partitions() if Readers(*element).owns(each.place)]
        return cluster.first_vector(owned, self._group(options))

    def create_tracker(self, restriction: Vector) -> VectorTracker:
        return VectorTracker(restriction)

    def restriction_coder(self) -> Coder:
        return VectorCoder()

    def restriction_size(self, element: tuple[int, int], restriction: Vector) -> int:
        return max(len(restriction.partitions), 1)

    def split(self, element: tuple[int, int], restriction: Vector) -> Iterator[Vector]:
        yield restriction

    def truncate(self, element: tuple[int, int], restriction: Vector) -> Vector | None:
        """When a job is drained, a source with an end is still read to its end."""
        return None if restriction.live else restriction

    def teardown(self) -> None:
        _pool.close(self._step)

    def process(
        self, element: tuple[int, int], tracker: Any = _TRACKER, watermark: Any = _WATERMARK
    ) -> Iterator[Any]:
        vector = tracker.current_restriction()
        with self._session(element) as session:
            for step in session.read(vector, MIN_MS, WAIT_S, self._bundle_s):
                if not tracker.try_claim(step.progress):
                    return
                yield from self._outputs(step, MIN_TIMESTAMP)
            if not tracker.current_restriction().done:
                tracker.defer_remainder(Duration(0))

    def _session(self, element: tuple[int, int]) -> AbstractContextManager[Session]:
        reader = Readers(*element)
        return _pool.session((self._step, reader), lambda: self._open(reader))

    def _open(self, reader: Readers) -> Session:
        options = self._options()
        return Session(
            options, self._live, self._group(options), reader, self._columns, len(self._counts)
        )

    def _group(self, options: KafkaOptions) -> str:
        return options.group or self._live.reader

    def _outputs(self, step: Step, at: Timestamp) -> Iterator[Any]:
        for name, number in step.counts.items():
            self._count(name, number)
        for count, number in zip(self._counts, step.ahead, strict=False):
            count(Metric.AHEAD, number)
        for output in step.outputs:
            if isinstance(output, TaggedOutput):
                yield TaggedOutput(output.tag, TimestampedValue(output.value, at))
            else:
                yield TimestampedValue(output, at)


class _LiveReadFn(_ReadRecordsFn):
    """Reads for ever, and commits offsets to the consumer group.

    Args:
        evaluation: makes rows; None gives Messages.
    """

    def __init__(self, read: ReadFromKafka, evaluation: StartEvaluation | None = None) -> None:
        super().__init__(read)
        self._evaluation = evaluation
        if evaluation is not None:
            self._counts = evaluation.counts
        self._evaluate: Evaluation | None = None

    def setup(self) -> None:
        if self._evaluation:
            self._evaluate = self._evaluation()

    def teardown(self) -> None:
        if self._evaluate:
            self._evaluate.close()
        super().teardown()

    @beam.DoFn.unbounded_per_element()
    def process(
        self,
        element: tuple[int, int],
        # Before the others: Beam gives it by position, and those by name.
        finalizer: Any = beam.DoFn.BundleFinalizerParam,
        tracker: Any = _TRACKER,
        watermark: Any = _WATERMARK,
    ) -> Iterator[Any]:
        given = watermark.current_watermark()
        floor_ms = MIN_MS if given is None else given.micros // 1000
        vector = tracker.current_restriction()
        with self._session(element) as session:
            for step in session.read(vector, floor_ms, WAIT_S, BUNDLE_S, self._evaluate):
                if not tracker.try_claim(step.progress):
                    return
                yield from self._outputs(step, given or MIN_TIMESTAMP)
            if (promised_ms := session.watermark_ms()) > floor_ms:
                watermark.set_watermark(Timestamp(micros=promised_ms * 1000))
            self._measure_lags(session, promised_ms, part=f"{self._step}/{element[0]}")
            session.commit_when_final(tracker.current_restriction(), finalizer)
            tracker.defer_remainder(Duration(seconds=session.pause_s()))

    def _measure_lags(self, session: Session, promised_ms: int, part: str) -> None:
        for name, number in session.lags(promised_ms):
            self._count(name, number, part=part)
        for sharer, lag_ms in session.event_time_lags():
            self._counts[sharer](Metric.EVENT_TIME_LAG, lag_ms, part=part)
