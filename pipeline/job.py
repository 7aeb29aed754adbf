"""The job: one GroupBy as one page of data flow.

Source, store and dead letters are arguments, so the same page runs in tests, on a laptop and on a
cluster.
"""

from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PBegin

from chronon_beam.aggregator.layout import TileSpec
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.serde import SerDe
from chronon_beam.io.repair import WriteTiles
from chronon_beam.io.write import Write
from chronon_beam.pipeline.progress import count
from chronon_beam.transforms.convert import ConvertRows, ConvertTiles
from chronon_beam.transforms.decode import Decode
from chronon_beam.transforms.envelope import Unfold
from chronon_beam.transforms.evaluate import Evaluate, columns_read
from chronon_beam.transforms.mutations import ReportDeletes
from chronon_beam.transforms.serdes.json import JsonSerDe
from chronon_beam.transforms.spark.query import SqlQuery
from chronon_beam.transforms.tiling.settings import Tiling
from chronon_beam.transforms.tiling.tile import Tile


@dataclass(frozen=True)
class Job:
    """What the page needs to know.

    Attributes:
        plan: the GroupBy with the types of its columns.
        query: its selects and wheres over the source's schema.
        store_uri: where tiles or rows are written.
        tiling: how tiles are made; None stores the rows as they are.
        changes: the schema of events that are changes with `before` and `after`.
        serde: what the source's messages are.
    """

    plan: Plan
    query: SqlQuery
    store_uri: str
    tiling: Tiling | None = field(default_factory=Tiling)
    changes: pa.Schema | None = None
    serde: SerDe = field(default_factory=JsonSerDe)

    @property
    def columns(self) -> pa.Schema:
        """What the job reads of each message."""
        return columns_read(self.query, self.changes)

    @property
    def tiled(self) -> bool:
        """Whether tiles are stored, and not rows."""
        return self.tiling is not None

    @property
    def buffered(self) -> bool:
        """Whether tiles wait for an interval to end before they are written."""
        return self.tiling is not None and not self.tiling.trigger.every_event


def build(
    root: PBegin | beam.Pipeline,
    job: Job,
    source: beam.PTransform,
    dead_letters: beam.PTransform,
) -> beam.PCollection[int]:
    """Lay the job onto `root`, under the GroupBy's name; gives the counts of what was written."""
    return root | job.plan.group_by.name >> _Page(job, source, dead_letters)


class _Page(beam.PTransform):
    """All of the job as one transform: each step's name begins with the GroupBy's.

    The names are part of a running job's state: a savepoint fits a job with the same ones.
    """

    def __init__(self, job: Job, source: beam.PTransform, dead_letters: beam.PTransform) -> None:
        super().__init__()
        self._job = job
        self._source = source
        self._dead_letters = dead_letters

    def expand(self, root: PBegin) -> beam.PCollection[int]:
        """See `build`."""
        return _page(root, self._job, self._source, self._dead_letters)


def _page(
    root: PBegin, job: Job, source: beam.PTransform, dead_letters: beam.PTransform
) -> beam.PCollection[int]:
    messages = root | "Read" >> source
    decoded: Any = messages | "Decode" >> Decode(job.serde, job.columns, count)
    events = decoded.events | "Unfold" >> Unfold() if job.changes else decoded.events
    evaluated: Any = events | "Evaluate" >> Evaluate(job.query, count)
    rows = evaluated.rows
    stored = _tiled(rows, job, job.tiling) if job.tiling else _untiled(rows, job)
    refused = (decoded.failures, evaluated.failures, *_deletes(evaluated.rows, job))
    _ = (*refused, *stored.failures) | beam.Flatten() | "DeadLetters" >> dead_letters
    return stored.written


def _deletes(rows: beam.PCollection[Any], job: Job) -> tuple[beam.PCollection[Any], ...]:
    """Rows of entities that are taken back and cannot be, as failures; events have none."""
    if not job.plan.group_by.is_entities:
        return ()
    return (rows | "Deletes" >> ReportDeletes(job.plan, count),)


@dataclass(frozen=True)
class _Stored:
    """Counts of what was written, and what failed on the way to the store."""

    written: beam.PCollection[int]
    failures: tuple[beam.PCollection[Any], ...]


def _tiled(rows: beam.PCollection[Any], job: Job, tiling: Tiling) -> _Stored:
    """Each family of tiles goes a way of its own: what is written keeps its order."""
    families = [_family(rows, job, spec, tiling) for spec in job.plan.specs]
    if len(families) == 1:
        return families[0]
    written = tuple(family.written for family in families) | "Written" >> beam.Flatten()
    return _Stored(written, tuple(failed for family in families for failed in family.failures))


def _family(rows: beam.PCollection[Any], job: Job, spec: TileSpec, tiling: Tiling) -> _Stored:
    of = str(spec.size_ms) if len(job.plan.specs) > 1 else ""
    tiled: Any = rows | f"Tile{of}" >> Tile(job.plan, spec, tiling, count)
    requests = tiled["tiles"] | f"Convert{of}" >> ConvertTiles(job.plan)
    write = WriteTiles(job.plan, job.store_uri, count)
    responses: Any = requests | f"Write{of}" >> write
    return _Stored(responses.written, (tiled["failures"], responses.failures))


def _untiled(rows: beam.PCollection[Any], job: Job) -> _Stored:
    converted: Any = rows | "Convert" >> ConvertRows(job.plan, count)
    write = Write(job.store_uri, job.plan.group_by.streaming_dataset, count)
    responses: Any = converted.requests | "Write" >> write
    return _Stored(responses.written, (converted.failures, responses.failures))
