"""Reports rows of entities that are to be deleted, but that some column cannot take back.

MIN, for example, cannot take a value back. Chronon leaves such columns as they are without a report
(`DirectColumnAggregator.delete`). This project also leaves them, and takes the row back from the
other columns; but it reports the row as a dead letter as well.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute

from chronon_beam.aggregator.columns import Column
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.counts import Count, uncounted
from chronon_beam.api.group_by import IS_BEFORE
from chronon_beam.api.records import Failure
from chronon_beam.transforms.rows import Rows, dead_row
from chronon_beam.transforms.stage import PerBatch, Result, outputs_of

STEP = "Delete"

compute: Any = pyarrow.compute
"""Its functions are made at run time, where no type checker sees them."""


def failed_deletes(rows: Rows, plan: Plan) -> list[Failure]:
    """A failure per row that is to be taken back, if some column cannot take it back."""
    taken_back = compute.fill_null(rows.batch.column(IS_BEFORE), False)
    if not compute.any(taken_back).as_py():
        return []
    holding: dict[int, list[str]] = {}
    for column in plan.aggregator.columns:
        if column.undo is None:
            for index in _rows_with_value(rows.batch, column, taken_back):
                holding.setdefault(index, []).append(column.part.column)
    return [
        dead_row(rows, index, STEP, f"the row is taken back, but {', '.join(names)} cannot forget")
        for index, names in sorted(holding.items())
    ]


def _rows_with_value(batch: pa.RecordBatch, column: Column, taken_back: pa.Array) -> list[int]:
    held = compute.and_(taken_back, compute.is_valid(batch.column(column.part.input_column)))
    if column.part.bucket is not None:
        held = compute.and_(held, compute.is_valid(batch.column(column.part.bucket)))
    return compute.indices_nonzero(held).to_pylist()


def deletes_reporter(plan: Plan) -> Callable[[Rows], Result[None]]:
    """The function of the stage: gives no batch, and the failures of `failed_deletes`."""
    return lambda rows: Result(None, failed_deletes(rows, plan))


@dataclass
class ReportDeletes(beam.PTransform):
    """Rows to the Failures of `failed_deletes`."""

    plan: Plan
    count: Count = uncounted

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, rows: beam.PCollection[Rows]) -> beam.PCollection[Failure]:
        """Most batches give no Failure."""
        start = partial(deletes_reporter, self.plan)
        _, failures = outputs_of(rows | "Report" >> PerBatch(start, self.count))
        return failures
