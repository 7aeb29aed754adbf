"""Reports deletes that are not possible: rows of entities that some column cannot take back.

MIN, for example, cannot forget a value. Chronon leaves such columns as they are without a word
(`DirectColumnAggregator.delete`). This project also leaves them, since the other columns must take
the row back; but the row is reported as a dead letter as well.
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


def unforgotten(rows: Rows, plan: Plan) -> list[Failure]:
    """The rows of a batch that are to be taken back and that some column cannot take back."""
    taken_back = compute.fill_null(rows.batch.column(IS_BEFORE), False)
    if not compute.any(taken_back).as_py():
        return []
    holding: dict[int, list[str]] = {}
    for column in plan.aggregator.columns:
        if column.undo is None:
            for index in _held(rows.batch, column, taken_back):
                holding.setdefault(index, []).append(column.part.column)
    return [
        dead_row(rows, index, STEP, f"the row is taken back, but {', '.join(names)} cannot forget")
        for index, names in sorted(holding.items())
    ]


def _held(batch: pa.RecordBatch, column: Column, taken_back: pa.Array) -> list[int]:
    held = compute.and_(taken_back, compute.is_valid(batch.column(column.part.input_column)))
    if column.part.bucket is not None:
        held = compute.and_(held, compute.is_valid(batch.column(column.part.bucket)))
    return compute.indices_nonzero(held).to_pylist()


def deletes_reporter(plan: Plan) -> Callable[[Rows], Result[None]]:
    """The function of the stage: passes no row on; its failures are those of `unforgotten`."""
    return lambda rows: Result(None, unforgotten(rows, plan))


@dataclass
class ReportDeletes(beam.PTransform):
    """Rows to the Failures of `unforgotten`."""

    plan: Plan
    count: Count = uncounted

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, rows: beam.PCollection[Rows]) -> beam.PCollection[Failure]:
        """Most batches give no Failure."""
        start = partial(deletes_reporter, self.plan)
        _, failures = outputs_of(rows | "Report" >> PerBatch(start, self.count))
        return failures
