"""Rows of entities that are taken back: what cannot forget them is reported.

Chronon leaves such columns as they are without a word (`DirectColumnAggregator.delete`). So do we,
since the other columns of the row must follow; but the row is a dead letter as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass
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

STEP = "Delete"

compute: Any = pyarrow.compute
"""Its functions are made at run time, where no type checker sees them."""


def unforgotten(rows: Rows, plan: Plan) -> list[Failure]:
    """Those rows of a batch that are taken back, and that some column holds on to."""
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


@dataclass
class ReportDeletes(beam.PTransform):
    """Rows to Failures: those of `unforgotten`."""

    plan: Plan
    count: Count = uncounted

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, rows: beam.PCollection[Rows]) -> beam.PCollection[Failure]:
        """Most batches give none."""
        return rows | "Report" >> beam.ParDo(_ReportFn(self))


class _ReportFn(beam.DoFn):
    def __init__(self, report: ReportDeletes) -> None:
        self._plan = report.plan
        self._count = report.count

    def process(self, rows: Rows) -> Iterator[Failure]:
        failures = unforgotten(rows, self._plan)
        self._count("dead", len(failures))
        yield from failures
