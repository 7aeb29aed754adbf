"""The GroupBys of one job: how each enters its dataset, and which of them share a reading.

A reading is one step Rows of the job's page (`pipeline.job`). GroupBys share it if they read the
same: the same source, and the same files of it; both as events, or both as changes of entities; and
of tables, whose columns are read one by one, the same columns. All others have a reading each.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import apache_beam as beam

from chronon_beam.api.group_by import GroupBy, GroupByError
from chronon_beam.io.dead_letters.letter import Origin
from chronon_beam.io.dead_letters.sinks import DeadLetters, open_dead_letters
from chronon_beam.io.kv_store import KVStore
from chronon_beam.io.metrics import SharedMetrics
from chronon_beam.io.runs.entry import Entry
from chronon_beam.io.sources import ARROW, Source
from chronon_beam.pipeline.existing import PendingRun, entry_of, source_of
from chronon_beam.pipeline.job import StoreGroupBy, build, build_shared
from chronon_beam.pipeline.options import JobOptions, UsageError
from chronon_beam.pipeline.prepare import (
    Prepared,
    source_of_job,
    source_uri,
    streamed_group_by,
)
from chronon_beam.transforms.evaluate import columns_of_all
from chronon_beam.transforms.spark.setups import refuse_other_functions


@dataclass(frozen=True)
class AskedGroupBy:
    """A GroupBy that a job is asked to compute.

    Attributes:
        options: the flags of the job, with this GroupBy.
        group_by: the GroupBy.
        source: where its events come from.
        dead_letters: takes the events that the job cannot use.
    """

    options: JobOptions
    group_by: GroupBy
    source: Source
    dead_letters: DeadLetters

    @staticmethod
    def of(options: JobOptions) -> "AskedGroupBy":
        """Load what the flags name; raises as `streamed_group_by` and `source_of_job` do."""
        dead_letters = open_dead_letters(options.dead_letters)
        group_by = streamed_group_by(options)
        return AskedGroupBy(options, group_by, source_of_job(options, group_by), dead_letters)

    @property
    def uri(self) -> str:
        """The URI of the source."""
        return source_uri(self.group_by, self.options.source, self.options.kafka_bootstrap)

    def entry(self, store: KVStore, with_state: bool) -> Entry:
        """How the GroupBy enters its dataset; raises as `entry_of` does."""
        return entry_of(store, self.group_by, self.source, self.options, with_state)


def refuse_together(asked: Sequence[AskedGroupBy]) -> None:
    """Refuse GroupBys that cannot be in one job.

    Raises:
        UsageError: one source ends, and another does not.
        GroupByError, QueryError: see `refuse_group_bys`.
    """
    refuse_group_bys([each.group_by for each in asked])
    ends = {each.source.bounded: each for each in asked}
    if len(ends) == 2:
        raise UsageError(
            f"the source of {ends[True].group_by.name} ends, and that of "
            f"{ends[False].group_by.name} does not: run them as two jobs"
        )


def refuse_group_bys(group_bys: Sequence[GroupBy]) -> None:
    """Refuse GroupBys that cannot be in one job, whatever they read.

    Raises:
        GroupByError: two have one dataset.
        QueryError: the setups of two would change what a function of the other means.
    """
    for one, other in combinations(group_bys, 2):
        if one.streaming_dataset == other.streaming_dataset:
            raise GroupByError(
                f"{one.name} and {other.name} write to one dataset, {one.streaming_dataset}: "
                "rename one of them, or run them into two stores"
            )
    refuse_other_functions({each.name: each.source.query.setups for each in group_bys})


@dataclass(frozen=True)
class JobPart:
    """A GroupBy of a job, after it was checked that the GroupBy may enter its dataset.

    Attributes:
        asked: what the user asks for.
        entry: how the GroupBy enters its dataset.
        prepared: its job, planned for what the dataset holds.
    """

    asked: AskedGroupBy
    entry: Entry
    prepared: Prepared

    def __post_init__(self) -> None:
        self.asked.dead_letters.origin = Origin(self.name, self.entry.run.id)

    @property
    def name(self) -> str:
        """The name of the GroupBy."""
        return self.asked.group_by.name

    @property
    def source(self) -> Source:
        """The source, narrowed to what this run has to read."""
        return source_of(self.prepared.source, self.entry)

    @property
    def pending_run(self) -> PendingRun:
        """The run of this GroupBy, which has not begun."""
        return PendingRun(self.entry, self.prepared.info, self.prepared.source)

    @property
    def reads(self) -> Hashable:
        """What is read: equal for parts that share a reading."""
        job, source = self.prepared.job, self.prepared.source
        columns = tuple(job.columns.names) if source.format == ARROW else None
        return self.asked.uri, self.entry.run.units, job.changes is None, columns

    def build(self, root: beam.Pipeline) -> Any:
        """Apply the part to a pipeline, with a reading of its own."""
        return build(root, self.prepared.job, self.source, self.asked.dead_letters)


def build_parts(root: beam.Pipeline, parts: Sequence[JobPart]) -> None:
    """Apply the parts of a job to a pipeline."""
    for sharing in readings(parts):
        if len(sharing) == 1:
            sharing[0].build(root)
        else:
            _build_sharing(root, sharing)


def readings(parts: Sequence[JobPart]) -> Iterator[list[JobPart]]:
    """The parts of each reading, in the order of their names."""
    found: defaultdict[Hashable, list[JobPart]] = defaultdict(list)
    for part in sorted(parts, key=lambda part: part.name):
        found[part.reads].append(part)
    yield from found.values()


def _build_sharing(root: beam.Pipeline, parts: Sequence[JobPart]) -> None:
    names = tuple(part.name for part in parts)
    source = copy(parts[0].source)
    source.count = SharedMetrics(names)
    source.live = replace(source.live, reader=f"chronon-{'+'.join(names)}")
    jobs = [part.prepared.job for part in parts]
    columns = columns_of_all([job.query for job in jobs], jobs[0].changes)
    stores = [StoreGroupBy(part.prepared.job, part.asked.dead_letters) for part in parts]
    build_shared(root, stores, source, columns)
