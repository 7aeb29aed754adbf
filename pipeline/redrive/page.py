"""Stores rows of dead letters by the same steps as the job's page: tiled, converted and written."""

from collections.abc import Sequence
from dataclasses import dataclass

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PBegin

from chronon_beam.api.records import Failure
from chronon_beam.io.dead_letters.sinks import sink_failures
from chronon_beam.pipeline.job import Job, Stored, store_steps
from chronon_beam.pipeline.redrive.replay import Replayed
from chronon_beam.transforms.rows import Rows

_PROMISED_MS = 1 << 61
"""A promise later than all events: by it, rows are late whatever their time."""


@dataclass
class StoreAgain(beam.PTransform):
    """Stores rows of letters.

    Attributes:
        job: the job that the letters come from.
        replayed: the rows.
        late: whether rows are merged into what is stored, as late events are.
        dead_letters: takes the Failures of these stages.
    """

    job: Job
    replayed: Sequence[Replayed]
    late: bool
    dead_letters: beam.PTransform

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, root: PBegin) -> beam.PCollection[int]:
        """A step per size of tiles, as in the job; gives `Written.written`."""
        written: list[beam.PCollection[int]] = []
        failures: list[beam.PCollection[Failure]] = []
        for step in store_steps(self.job):
            found = self._rows(step.tile_size_ms)
            rows = root | f"{step.name}Rows" >> beam.Create(found, reshuffle=False)
            stored: Stored = rows | step.name >> step.transform  # pyright: ignore[reportAssignmentType]
            written.append(stored.written)
            failures += stored.failures
        sink_failures(failures, self.dead_letters)
        return written | "Written" >> beam.Flatten()

    def _rows(self, size_ms: int) -> list[Rows]:
        found = [each.rows for each in self.replayed if each.tile_size_ms in (0, size_ms)]
        return [_late(each) for each in found] if self.late else found


def _late(rows: Rows) -> Rows:
    promised_ms = pa.array([_PROMISED_MS] * rows.batch.num_rows, pa.int64())
    return rows._replace(promised_ms=promised_ms)
