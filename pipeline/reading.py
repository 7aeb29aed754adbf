# Beam says that `|` gives a PValue; each stage says which record it gives.
# pyright: reportAssignmentType=false
"""From a source to rows: Read, Decode and Evaluate, as three steps of Beam or as one.

A live source whose tiles close by event time promises which times its later rows will not have. The
promises are made of the times that Evaluate gives, and they are part of the source's own state: how
far it has come. So such a source decodes and evaluates each batch inside its step Read, before it
gives the batch out. The work is the same, and the promises do not depend on which steps a runner
happens to fuse.

Several GroupBys that read the same share one Read, and one step that decodes and evaluates for all.
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
    """How the messages of a source become rows of a GroupBy.

    Attributes:
        serde: decodes the messages.
        columns: the columns that are read of each message.
        query: the selects and wheres over the columns.
        changes: whether an event is a change with `before` and `after`.
        closes: whether tiles close, which they do by the source's promises.
        count: where the steps count.
    """

    serde: SerDe
    columns: pa.Schema
    query: SqlQuery
    changes: bool
    closes: bool
    count: Count

    def by_event_time(self, source: Source) -> bool:
        """Whether the source promises by the times of the rows: then it evaluates them itself."""
        return self.closes and source.evaluates

    @property
    def start(self) -> StartRows:
        """Starts what decodes and evaluates in one call."""
        return StartRows(self.serde, self.columns, self.query, self.changes, self.count)

    def of(self, source: Source | beam.PTransform) -> beam.PTransform:
        """The transform from a pipeline's root to `SourceRows`.

        Args:
            source: where messages come from, or a transform that gives them.
        """
        if not isinstance(source, Source):
            return _ReadInThreeSteps(self, source)
        if self.by_event_time(source):
            return _ReadInOneStep(source.rows(self.columns, self.start))
        return _ReadInThreeSteps(self, source.transform(self.columns))


class SourceRows(NamedTuple):
    """The rows of a GroupBy's source, and the failures of the steps that made them."""

    rows: beam.PCollection[Rows]
    failures: tuple[beam.PCollection[Failure], ...]


@dataclass
class _ReadInThreeSteps(beam.PTransform):
    reading: RowReading
    source: beam.PTransform

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, root: PBegin) -> SourceRows:
        reading = self.reading
        messages = root | "Read" >> self.source
        decode = Decode(reading.serde, reading.columns, reading.count)
        decoded: DecodedEvents = messages | "Decode" >> decode
        evaluate = Evaluate(reading.query, reading.changes, reading.count)
        evaluated: Evaluated = decoded.events | "Evaluate" >> evaluate
        return SourceRows(evaluated.rows, (decoded.failures, evaluated.failures))


@dataclass
class _ReadInOneStep(beam.PTransform):
    source: beam.PTransform

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, root: PBegin) -> SourceRows:
        rows, failures = outputs_of(root | "Read" >> self.source)
        return SourceRows(rows, (failures,))


@dataclass
class ReadShared(beam.PTransform):
    """Reads once for several GroupBys: from a pipeline's root to the `SourceRows` of each.

    Attributes:
        readings: how the messages become rows of each GroupBy.
        source: what they all read, or a transform that gives Messages.
        columns: all columns that any of them reads.
    """

    readings: Sequence[RowReading]
    source: Source | beam.PTransform
    columns: pa.Schema

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, root: PBegin) -> list[SourceRows]:
        """Read, and decode and evaluate in the same step or in the next one."""
        first, source = self.readings[0], self.source
        start = StartShared(first.serde, self.columns, tuple(each.start for each in self.readings))
        if isinstance(source, Source) and first.by_event_time(source):
            outputs = root | "Read" >> source.rows(self.columns, start)
            found = outputs_by_group_by(outputs, start)
        else:
            read = source.transform(self.columns) if isinstance(source, Source) else source
            messages: beam.PCollection[Messages] = root | "Read" >> read
            found: list[RowsOf] = messages | "DecodeAndEvaluate" >> DecodeAndEvaluate(start)
        return [SourceRows(each.rows, (each.failures,)) for each in found]
