"""The stage Compare: from rows of the source to the lines of a report on what the store holds."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import apache_beam as beam

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.records import FAILURES, Failure
from chronon_beam.fetcher.serving_info import ServingInfo
from chronon_beam.io.metrics import GroupByMetrics
from chronon_beam.pipeline.verification.compare import CompareFn
from chronon_beam.pipeline.verification.recompute import RecomputeFn, RowValues, TilePartials
from chronon_beam.pipeline.verification.scope import Scope
from chronon_beam.pipeline.verification.stored import ReadStoredFn, StoredValues
from chronon_beam.transforms.rows import Rows
from chronon_beam.transforms.stage import outputs_of


class Compared(NamedTuple):
    """The outputs of `Compare`: a JSON line per difference, and rows that no tile could take."""

    lines: beam.PCollection[str]
    failures: beam.PCollection[Failure]


@dataclass
class Compare(beam.PTransform):
    """Rows to the differences between what they give and what the store holds.

    Attributes:
        made: the plan that makes tiles or rows of the source's events.
        info: what jobs have noted in the store about its data.
        store_uri: the store.
        scope: which tiles or rows are compared.
    """

    made: Plan
    info: ServingInfo
    store_uri: str
    scope: Scope

    def __post_init__(self) -> None:
        super().__init__()

    @property
    def count(self) -> GroupByMetrics:
        """Where all steps count."""
        return GroupByMetrics(self.made.group_by.name)

    @property
    def stored(self) -> StoredValues:
        """The values in the store."""
        plan = self.info.plan
        sizes = tuple(spec.size_ms for spec in plan.specs) if self.info.tiled else (0,)
        return StoredValues(self.store_uri, plan.group_by.streaming_dataset, sizes, self.scope)

    def expand(self, rows: beam.PCollection[Rows]) -> Compared:
        """Recompute values from the rows, read the stored ones, and compare them by bucket."""
        start = partial(TilePartials if self.info.tiled else RowValues, self.made, self.scope)
        recompute = beam.ParDo(RecomputeFn(start, self.count))
        expected, failures = outputs_of(
            rows | "Recompute" >> recompute.with_outputs(FAILURES, main="values")
        )
        listed = rows.pipeline | "Store" >> beam.Create([self.stored])
        stored = listed | "ReadStored" >> beam.ParDo(ReadStoredFn())
        compare = CompareFn(self.info.plan, self.info.tiled, self.count)
        both = {CompareFn.STORED: stored, CompareFn.EXPECTED: expected}
        lines = both | "ByBucket" >> beam.CoGroupByKey() | "Differ" >> beam.ParDo(compare)
        return Compared(lines, failures)
