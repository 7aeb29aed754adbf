# Beam says that `|` gives a PValue; each stage says which record it gives.
# pyright: reportAssignmentType=false
"""The job on one page: how the events of one GroupBy become tiles or rows in a store.

Source, store and dead letters are arguments, so the same page runs in tests, on a laptop and on a
cluster. A job of several GroupBys is the same page: those that read the same share the first steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PBegin

from chronon_beam.aggregator.layout import TileSpec
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.counts import Count
from chronon_beam.api.records import Failure
from chronon_beam.api.serde import SerDe
from chronon_beam.io.at_launch import Given
from chronon_beam.io.dead_letters.sinks import sink_failures
from chronon_beam.io.metrics import GroupByMetrics
from chronon_beam.io.repair import Enter, WriteTiles
from chronon_beam.io.runs.before_images import Adding
from chronon_beam.io.sources import Source
from chronon_beam.io.write import Write, Written
from chronon_beam.pipeline.reading import ReadRows, ReadShared, RowReading
from chronon_beam.transforms.convert import Converted, ConvertRows, ConvertTiles
from chronon_beam.transforms.evaluate import columns_read
from chronon_beam.transforms.mutations import ReportDeletes
from chronon_beam.transforms.rows import Rows
from chronon_beam.transforms.serdes.json import JsonSerDe
from chronon_beam.transforms.spark.query import SqlQuery
from chronon_beam.transforms.tiling.settings import Tiling
from chronon_beam.transforms.tiling.tile import Tile, Tiled


@dataclass(frozen=True)
class Job:
    """What to compute, and where to store it.

    Attributes:
        plan: the GroupBy with the types of its columns.
        query: its selects and wheres over the source's schema.
        store_uri: the store that takes tiles or rows.
        tiling: how tiles are made; None stores the rows as they are.
        changes: the schema of events that are changes with `before` and `after`.
        serde: decodes the messages of the source.
        adding: see `WriteTiles.adding`.
        enter: see `WriteTiles.enter`.
    """

    plan: Plan
    query: SqlQuery
    store_uri: Given
    tiling: Tiling | None = field(default_factory=Tiling)
    changes: pa.Schema | None = None
    serde: SerDe = field(default_factory=JsonSerDe)
    adding: Adding | None = None
    enter: Enter | None = None

    @property
    def columns(self) -> pa.Schema:
        """The columns that the job reads of each message."""
        return columns_read(self.query, self.changes)

    @property
    def reading(self) -> RowReading:
        """What becomes of messages before they are stored."""
        return RowReading(
            self.serde, self.columns, self.query, self.changes is not None, self.tiled, self.count
        )

    @property
    def count(self) -> Count:
        """Where all stages count."""
        return GroupByMetrics(self.plan.group_by.name)

    @property
    def tiled(self) -> bool:
        """Whether tiles are stored, and not rows."""
        return self.tiling is not None

    @property
    def buffered(self) -> bool:
        """Whether tiles wait for an interval to end before they are written."""
        return self.tiling is not None and not self.tiling.trigger.every_event


Failures = beam.PCollection[Failure]


@dataclass
class GroupByJob(beam.PTransform):
    """The whole job as one transform, to be applied to the root of a pipeline.

    Its output is the numbers of requests that were written at a time.

    Attributes:
        job: what to compute, and where to store it.
        source: where events come from, or a transform that gives Messages.
        dead_letters: takes the Failures of all stages.
    """

    job: Job
    source: Source | beam.PTransform
    dead_letters: beam.PTransform

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, root: PBegin) -> beam.PCollection[int]:
        """Read, Decode, Evaluate, and what stores; names of steps are part of a job's state."""
        read: ReadRows = root | "Rows" >> self.job.reading.of(self.source)
        return StoreGroupBy(self.job, self.dead_letters).expand((read.rows, *read.failures))


@dataclass
class StoreGroupBy(beam.PTransform):
    """What a GroupBy does with its rows; the input is the rows, and the failures before them.

    Attributes:
        job: what to compute, and where to store it.
        dead_letters: takes the Failures of all stages.
    """

    job: Job
    dead_letters: beam.PTransform

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, read: tuple[beam.PCollection, ...]) -> beam.PCollection[int]:
        """Store the rows, and sink the failures."""
        job, (rows, *failures) = self.job, read
        stored: list[Stored] = [rows | name >> step for name, step in stores_of(job)]
        failures += [failed for each in stored for failed in each.failures]
        if job.plan.group_by.is_entities:
            deletes: Failures = rows | "Deletes" >> ReportDeletes(job.plan, job.count)
            failures.append(deletes)
        sink_failures(failures, self.dead_letters)
        return [each.written for each in stored] | "Written" >> beam.Flatten()


def build(
    root: PBegin | beam.Pipeline,
    job: Job,
    source: Source | beam.PTransform,
    dead_letters: beam.PTransform,
) -> beam.PCollection[int]:
    """Apply the job to `root` under the GroupBy's name; see `GroupByJob`."""
    return root | job.plan.group_by.name >> GroupByJob(job, source, dead_letters)


def build_shared(
    root: PBegin | beam.Pipeline,
    stores: Sequence[StoreGroupBy],
    source: Source | beam.PTransform,
    columns: pa.Schema,
) -> list[beam.PCollection[int]]:
    """Apply several GroupBys that read the same: one reading, and each stores under its own name.

    The name of the reading has the names of all, since its state is theirs: a savepoint of other
    GroupBys does not fit it.
    """
    readings = [each.job.reading for each in stores]
    names = [each.job.plan.group_by.name for each in stores]
    shared = ReadShared(readings, source, columns)
    reads: list[ReadRows] = root | f"{'+'.join(names)}/Rows" >> shared
    return [
        (read.rows, *read.failures) | name >> each
        for name, read, each in zip(names, reads, stores, strict=True)
    ]


class Stored(NamedTuple):
    """The outputs of a stage that stores rows or tiles: the numbers written, and failures."""

    written: beam.PCollection[int]
    failures: tuple[Failures, ...]


def stores_of(job: Job) -> list[tuple[str, beam.PTransform]]:
    """The stages that store what the job is told to store, and their names.

    Each family of tiles has a stage of its own, so that its tiles keep their order.
    """
    if job.tiling is None:
        return [("StoreRows", StoreRows(job.plan, job.store_uri, job.count, job.enter))]
    return [
        (f"StoreTiles{spec.size_ms}", _store_tiles(job, job.tiling, spec))
        for spec in job.plan.specs
    ]


def _store_tiles(job: Job, tiling: Tiling, spec: TileSpec) -> "StoreTiles":
    return StoreTiles(job.plan, job.store_uri, tiling, spec, job.count, job.adding, job.enter)


@dataclass
class StoreTiles(beam.PTransform):
    """Aggregates rows to one family of tiles, and writes the tiles to the store."""

    plan: Plan
    store_uri: Given
    tiling: Tiling
    spec: TileSpec
    count: Count
    adding: Adding | None = None
    enter: Enter | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, rows: beam.PCollection[Rows]) -> Stored:
        """Tile, Convert, Write: writes of a tile keep their order."""
        tiled: Tiled = rows | "Tile" >> Tile(self.plan, self.spec, self.tiling, self.count)
        requests = tiled.tiles | "Convert" >> ConvertTiles(self.plan)
        write = WriteTiles(self.plan, self.store_uri, self.count, self.adding, self.enter)
        written: Written = requests | "Write" >> write
        return Stored(written.written, (tiled.failures, written.failures))


@dataclass
class StoreRows(beam.PTransform):
    """Writes rows to the store as they are."""

    plan: Plan
    store_uri: Given
    count: Count
    enter: Enter | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, rows: beam.PCollection[Rows]) -> Stored:
        """Convert, Write: one request per row."""
        dataset = self.plan.group_by.streaming_dataset
        converted: Converted = rows | "Convert" >> ConvertRows(self.plan, self.count)
        write = Write(self.store_uri, dataset, self.count, self.enter)
        written: Written = converted.requests | "Write" >> write
        return Stored(written.written, (converted.failures, written.failures))
