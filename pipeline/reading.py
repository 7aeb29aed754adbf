# Beam says that `|` gives a PValue; each stage says which record it gives.
# pyright: reportAssignmentType=false
"""From the source to rows: step by step, or all at once where the source promises by event time.

The promises of a live source are made of the times that Evaluate gives, and they are part of how
far the source has come. So its reading step decodes and evaluates a batch before it gives it out:
the same work, in one step of Beam instead of three. What the promises are does then not depend on
which steps a runner runs together.
"""

from dataclasses import dataclass
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PBegin

from chronon_beam.api.counts import Count
from chronon_beam.api.records import Failure
from chronon_beam.api.serde import SerDe
from chronon_beam.io.sources import Source
from chronon_beam.transforms.decode import Decode, DecodedEvents
from chronon_beam.transforms.evaluate import Evaluate, Evaluated
from chronon_beam.transforms.evaluation import StartRows
from chronon_beam.transforms.rows import Rows
from chronon_beam.transforms.spark.query import SqlQuery
from chronon_beam.transforms.stage import outputs_of


@dataclass(frozen=True)
class RowReading:
    """What becomes of the messages of a source before they are stored.

    Attributes:
        serde: what the messages are.
        columns: what is read of each.
        query: the selects and wheres over the columns.
        changes: whether an event is a change with `before` and `after`.
        closes: whether tiles close, so that what the source promises matters.
        count: where the steps count.
    """

    serde: SerDe
    columns: pa.Schema
    query: SqlQuery
    changes: bool
    closes: bool
    count: Count

    def by_event_time(self, source: Source) -> bool:
        """Whether the source promises by the rows' times."""
        return self.closes and source.evaluates

    def of(self, source: Source | beam.PTransform) -> beam.PTransform:
        """The transform from a pipeline's root to `ReadRows`.

        Args:
            source: where messages come from, or a transform that gives them.
        """
        if not isinstance(source, Source):
            return _StepByStep(self, source)
        if self.by_event_time(source):
            start = StartRows(self.serde, self.columns, self.query, self.changes, self.count)
            return _AtOnce(source.rows(self.columns, start))
        return _StepByStep(self, source.transform(self.columns))


class ReadRows(NamedTuple):
    """Rows, and what did not become one."""

    rows: beam.PCollection[Rows]
    failures: tuple[beam.PCollection[Failure], ...]


@dataclass
class _StepByStep(beam.PTransform):
    reading: RowReading
    source: beam.PTransform

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, root: PBegin) -> ReadRows:
        reading = self.reading
        messages = root | "Read" >> self.source
        decode = Decode(reading.serde, reading.columns, reading.count)
        decoded: DecodedEvents = messages | "Decode" >> decode
        evaluate = Evaluate(reading.query, reading.changes, reading.count)
        evaluated: Evaluated = decoded.events | "Evaluate" >> evaluate
        return ReadRows(evaluated.rows, (decoded.failures, evaluated.failures))


@dataclass
class _AtOnce(beam.PTransform):
    source: beam.PTransform

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, root: PBegin) -> ReadRows:
        rows, failures = outputs_of(root | "Read" >> self.source)
        return ReadRows(rows, (failures,))
