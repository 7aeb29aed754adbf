# Beam says that `|` gives a PValue; each stage says which record it gives.
# pyright: reportAssignmentType=false
"""The job on one page: how the events of a GroupBy become tiles or rows in a store.

    Rows              Read, Decode, Evaluate: see `pipeline.reading`
    StoreTiles<ms>    Tile, Convert, Write: one such step per size of tiles
    StoreRows         Convert, Write: instead, where rows are stored as they are
    Deletes           of entities: dead letters for rows that some columns cannot take back
    DeadLetters<n>    takes the failures of the steps above

Source, store and dead letters are arguments, so the same page runs in tests, on a laptop and on a
cluster. In a job of several GroupBys, those that read the same share one step Rows, and each has
all other steps for itself (`build_shared`).

Names of steps are part of a job's state: no savepoint fits a job whose steps are called otherwise.
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
from chronon_beam.pipeline.reading import ReadShared, RowReading, SourceRows
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
        adding: the run, if it adds to the tiles of earlier runs; None if it is the only one.
        enter: enters the dataset when a worker opens the store, for a job that a template launches:
            `adding` is then known in workers only.
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
        """How messages become rows."""
        return RowReading(
            self.serde, self.columns, self.query, self.changes is not None, self.tiled, self.count
        )

    @property
    def count(self) -> Count:
        """Where all stages count."""
        return GroupByMetrics(self.plan.group_by.name)

    @property
    def tiled(self) -> bool:
        """Whether tiles are stored, rather than rows as they are."""
        return self.tiling is not None

    @property
    def buffered(self) -> bool:
        """Whether changed tiles are written once per interval, rather than with every event."""
        return self.tiling is not None and not self.tiling.trigger.every_event


Failures = beam.PCollection[Failure]


@dataclass
class GroupByJob(beam.PTransform):
    """The whole job of one GroupBy, for the root of a pipeline; gives `Written.written`.

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
        """Read, Decode and Evaluate; then store."""
        read: SourceRows = root | "Rows" >> self.job.reading.of(self.source)
        # Expanded here, and not applied: the names of its steps have no name before them.
        return StoreGroupBy(self.job, self.dead_letters).expand(read)


@dataclass
class StoreGroupBy(beam.PTransform):
    """Stores the rows of a GroupBy, and its failures as dead letters; gives `Written.written`.

    Attributes:
        job: what to compute, and where to store it.
        dead_letters: takes the Failures of these stages, and of those before them.
    """

    job: Job
    dead_letters: beam.PTransform

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, read: SourceRows) -> beam.PCollection[int]:
        """Store the rows, and sink the failures."""
        job, rows = self.job, read.rows
        stored: list[Stored] = [rows | step.name >> step.transform for step in store_steps(job)]
        failures = [*read.failures, *(failed for each in stored for failed in each.failures)]
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
    """Apply several GroupBys that read the same: one step Rows, and for each its steps that store.

    The name of the step Rows has the names of all GroupBys, since its state belongs to all of them:
    a savepoint of other GroupBys does not fit it.

    Args:
        root: where a pipeline begins.
        stores: what each GroupBy does with its rows.
        source: what they all read, or a transform that gives Messages.
        columns: all columns that any of them reads.
    """
    readings = [each.job.reading for each in stores]
    names = [each.job.plan.group_by.name for each in stores]
    shared = ReadShared(readings, source, columns)
    reads: list[SourceRows] = root | f"{'+'.join(names)}/Rows" >> shared
    return [read | name >> each for name, read, each in zip(names, reads, stores, strict=True)]


class Stored(NamedTuple):
    """The outputs of a step that stores rows or tiles.

    Attributes:
        written: see `Written.written`.
        failures: of each of its stages.
    """

    written: beam.PCollection[int]
    failures: tuple[Failures, ...]


class StoreStep(NamedTuple):
    """A step of a job that stores its rows.

    Attributes:
        name: what the step is called in the job.
        transform: takes the rows, and gives `Stored`.
        tile_size_ms: the length of the tiles; 0 where rows are stored as they are.
    """

    name: str
    transform: beam.PTransform
    tile_size_ms: int = 0


def store_steps(job: Job) -> list[StoreStep]:
    """The steps that store; each size of tiles has its own, so that writes of a tile keep order."""
    if job.tiling is None:
        return [StoreStep("StoreRows", StoreRows(job.plan, job.store_uri, job.count, job.enter))]
    return [
        StoreStep(f"StoreTiles{spec.size_ms}", _store_tiles(job, job.tiling, spec), spec.size_ms)
        for spec in job.plan.specs
    ]


def _store_tiles(job: Job, tiling: Tiling, spec: TileSpec) -> "StoreTiles":
    return StoreTiles(job.plan, job.store_uri, tiling, spec, job.count, job.adding, job.enter)


@dataclass
class StoreTiles(beam.PTransform):
    """Aggregates rows to tiles of one size, and writes the tiles to the store."""

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
        """Tile, Convert, Write."""
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
