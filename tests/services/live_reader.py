"""A live reader of Kafka, bundle by bundle, as a runner's worker runs it.

The reading step, its tracker and its watermark estimator are the product's; Beam's wrappers of the
tracker are those of a worker. A bundle may be split after any output, or be thrown away as by a
crash.
"""

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.pvalue import TaggedOutput
from apache_beam.runners.sdf_utils import RestrictionTrackerView, ThreadsafeRestrictionTracker

from chronon_beam.api.records import FAILURES, MIN_MS, Failure
from chronon_beam.io.kafka.progress import VectorCoder, VectorTracker
from chronon_beam.io.kafka.read import ReadRowsFromKafka, _LiveReadFn
from chronon_beam.io.kafka.source import KafkaSource
from chronon_beam.io.live import LiveSettings
from chronon_beam.io.sources import open_source
from chronon_beam.pipeline.job import Job
from chronon_beam.transforms.evaluate import columns_of_all
from chronon_beam.transforms.rows import Rows
from chronon_beam.transforms.shared_evaluation import StartShared

ELEMENT = (0, 1)
"""The only reader of its source."""


class Reached(NamedTuple):
    """What a runner keeps of a reader: the restriction's bytes, and the watermark."""

    restriction: bytes
    watermark: Any = None

    @property
    def watermark_ms(self) -> int:
        return MIN_MS if self.watermark is None else self.watermark.micros // 1000


@dataclass
class Bundle:
    """What a bundle has given; `shared` is what it gave to GroupBys that share it, by tags."""

    rows: list[Rows]
    failures: list[Failure]
    shared: defaultdict[str, list[Any]]
    counts: dict[str, int]
    reached: Reached


class Finalizer:
    """Finalizes nothing."""

    def register(self, commit: Callable[[], None]) -> None:
        pass


class LiveReader:
    """Reads the topic of a URI for one job or several, in one process until it is closed."""

    def __init__(self, uri: str, job: Job, live: LiveSettings, *more: Job) -> None:
        source = open_source(uri)
        assert isinstance(source, KafkaSource)
        self._counts: dict[str, int] = {}
        each = tuple(
            replace(one.reading.start, count=self._count)  # all of them count as one
            for one in (job, *more)
        )
        columns = columns_of_all([one.query for one in (job, *more)])
        start = StartShared(each[0].serde, columns, each) if more else each[0]
        read = ReadRowsFromKafka(source.options, columns, live, self._count, evaluation=start)
        self._fn = _LiveReadFn(read, start)
        self._fn.setup()

    def _count(self, name: str, number: int, part: str = "") -> None:
        self._counts[name] = self._counts.get(name, 0) + number

    def beginning(self) -> Reached:
        return Reached(VectorCoder().encode(self._fn.initial_restriction(ELEMENT)))

    def bundle(self, reached: Reached, chance: random.Random | None = None) -> Bundle:
        """One bundle from a checkpoint on; `chance` draws where it is split."""
        self._counts.clear()
        tracker = ThreadsafeRestrictionTracker(
            VectorTracker(VectorCoder().decode(reached.restriction))
        )
        watermark = ManualWatermarkEstimator(reached.watermark)
        found = Bundle([], [], defaultdict(list), {}, reached)
        view, residual, given = RestrictionTrackerView(tracker), None, None
        for output in self._fn.process(ELEMENT, Finalizer(), view, watermark):
            if isinstance(output, TaggedOutput) and output.tag != FAILURES:
                found.shared[output.tag].append(output.value.value)
            elif isinstance(output, TaggedOutput):
                found.failures.append(output.value.value)
            else:
                found.rows.append(output.value)
            if residual is None and chance is not None and chance.random() < 0.2:
                (_, residual), given = tracker.try_split(0), watermark.current_watermark()
        if residual is None:
            (residual, _), given = tracker.deferred_status(), watermark.current_watermark()
        tracker.check_done()
        found.reached = Reached(VectorCoder().encode(residual), given)
        found.counts = dict(self._counts)
        return found

    def close(self) -> None:
        self._fn.teardown()
