# Beam says that `|` gives a PValue; each stage says which record it gives.
# pyright: reportAssignmentType=false
"""From the source to rows: step by step, or all at once where the source promises by event time.

The promises of a live source are made of the times that Evaluate gives, and they are part of how
far the source has come. So its reading step decodes and evaluates a batch before it gives it out:
the same work, in one step of Beam instead of three. What the promises are does then not depend on
which steps a runner runs together.

Several GroupBys that read the same share one reading, and one step that decodes and evaluates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PBegin

from chronon_beam.api.counts import Count
from chronon_beam.api.records import Failure, Messages
from chronon_beam.api.serde import SerDe
from chronon_beam.io.sources import Source
from chronon_beam.transforms.decode import Decode, DecodedEvents
from chronon_beam.transforms.evaluate import Evaluate, Evaluated
from chronon_beam.transforms.evaluation import StartRows
from chronon_beam.transforms.rows import Rows
from chronon_beam.transforms.shared_evaluation import (
    DecodeAndEvaluate,
    RowsOf,
    StartShared,
    outputs_by_group_by,
)
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

    @property
    def start(self) -> StartRows:
        """Decode and Evaluate in one call."""
        return StartRows(self.serde, self.columns, self.query, self.changes, self.count)

    def of(self, source: Source | beam.PTransform) -> beam.PTransform:
        """The transform from a pipeline's root to `ReadRows`.

        Args:
            source: where messages come from, or a transform that gives them.
        """
        if not isinstance(source, Source):
            return _StepByStep(self, source)
        if self.by_event_time(source):
            return _AtOnce(source.rows(self.columns, self.start))
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


@dataclass
class ReadShared(beam.PTransform):
    """From a pipeline's root to the `ReadRows` of each of several GroupBys, by one reading.

    Attributes:
        readings: what each GroupBy does with the messages.
        source: what they all read, or a transform that gives Messages.
        columns: all that any of them reads.
    """

    readings: Sequence[RowReading]
    source: Source | beam.PTransform
    columns: pa.Schema

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, root: PBegin) -> list[ReadRows]:
        """One Read, and one step that decodes and evaluates."""
        first, source = self.readings[0], self.source
        start = StartShared(first.serde, self.columns, tuple(each.start for each in self.readings))
        if isinstance(source, Source) and first.by_event_time(source):
            outputs = root | "Read" >> source.rows(self.columns, start)
            found = outputs_by_group_by(outputs, start)
        else:
            read = source.transform(self.columns) if isinstance(source, Source) else source
            messages: beam.PCollection[Messages] = root | "Read" >> read
            found: list[RowsOf] = messages | "DecodeAndEvaluate" >> DecodeAndEvaluate(start)
        return [ReadRows(each.rows, (each.failures,)) for each in found]
