# Beam says that `|` gives a PValue; each stage says which record it gives.
# pyright: reportAssignmentType=false
"""Uploads the batch side of a GroupBy: one value per key, of all rows up to the end of a day.

Source: `ai.chronon.spark.GroupByUpload`.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PBegin

from chronon_beam.api.counts import Metric, dead
from chronon_beam.api.load import load_computable
from chronon_beam.api.serde import SerDe
from chronon_beam.api.validation import require_all_keys
from chronon_beam.fetcher.batch_info import VALUE_MS, BatchInfo, begin_upload, save_batch
from chronon_beam.fetcher.serving_info import check_batch
from chronon_beam.io.dead_letters.letter import Origin
from chronon_beam.io.dead_letters.sinks import open_dead_letters, sink_failures
from chronon_beam.io.kv_store import open_store
from chronon_beam.io.metrics import GroupByMetrics
from chronon_beam.io.sources import Source
from chronon_beam.io.write import Write, Written
from chronon_beam.pipeline.losses import losses
from chronon_beam.pipeline.max_dead import MaxDead
from chronon_beam.pipeline.options import UsageError
from chronon_beam.pipeline.overlap import inputs_of, outputs_of, refuse_overlap
from chronon_beam.pipeline.prepare import planned, reached_store
from chronon_beam.pipeline.run import Done, JobFailed, carry_out, say
from chronon_beam.pipeline.runners.choose import check_runner
from chronon_beam.pipeline.summary import Totals, upload_summary
from chronon_beam.transforms.decode import Decode, DecodedEvents
from chronon_beam.transforms.evaluate import Evaluate, Evaluated, columns_read
from chronon_beam.transforms.fold import Fold, Folded, Unite, United
from chronon_beam.transforms.serdes.json import JsonSerDe
from chronon_beam.transforms.spark.query import SqlQuery


@dataclass(frozen=True)
class UploadOptions:
    """The flags of an upload.

    Attributes:
        ds: the last day that is in the batch, `YYYY-MM-DD`, in UTC.
        max_dead: see `JobOptions`.
        allow_unread: see `JobOptions`.
    """

    group_by: str
    source: str
    store: str
    ds: str
    dead_letters: str | None = None
    dialect: str | None = None
    max_dead: MaxDead = MaxDead()
    allow_unread: bool = False

    @property
    def end_ms(self) -> int:
        """The batch's end, the first instant after `ds`; raises UsageError if `ds` is not a day."""
        try:
            day = date.fromisoformat(self.ds)
        except ValueError:
            raise UsageError(f"--ds={self.ds}: a day is expected, for example 2026-01-31") from None
        following = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)
        return int(following.timestamp()) * 1000


@dataclass(frozen=True)
class Upload:
    """What to compute, and where to store it.

    Attributes:
        info: the GroupBy with the types of its columns, and the batch's end.
        query: its selects and wheres over the source's schema.
        store_uri: where the values are written.
        serde: decodes the messages of the source.
    """

    info: BatchInfo
    query: SqlQuery
    store_uri: str
    serde: SerDe = field(default_factory=JsonSerDe)

    @property
    def columns(self) -> pa.Schema:
        """The columns that the upload reads of each message."""
        return columns_read(self.query)


def build_upload(
    root: PBegin | beam.Pipeline,
    job: Upload,
    source: beam.PTransform,
    dead_letters: beam.PTransform,
) -> beam.PCollection[int]:
    """Apply the upload to the root of a pipeline; gives `Written.written`."""
    plan, end_ms, values_ms = job.info.plan, job.info.end_ms, job.info.values_ms
    count = GroupByMetrics(plan.group_by.name)
    messages = root | "Read" >> source
    decoded: DecodedEvents = messages | "Decode" >> Decode(job.serde, job.columns, count)
    evaluated: Evaluated = decoded.events | "Evaluate" >> Evaluate(job.query, count=count)
    folded: Folded = evaluated.rows | "Fold" >> Fold(plan, end_ms, count)
    united: United = folded.partials | "Unite" >> Unite(plan, end_ms, values_ms, VALUE_MS, count)
    write = Write(job.store_uri, plan.group_by.batch_dataset, count)
    written: Written = united.requests | "Write" >> write
    failures = [step.failures for step in (decoded, evaluated, folded, united, written)]
    sink_failures(failures, dead_letters)
    return written.written


def upload(options: UploadOptions, runner: str, beam_flags: Sequence[str]) -> Done:
    """Run an upload to its end; from then on, fetchers read its values.

    Raises:
        JobFailed: the job ended in another state than done, or lost more than it may (`losses`);
            fetchers then go on reading the batch before it.
        GroupByError, QueryError, UsageError: as `prepare`.
    """
    began = time.monotonic()
    dead_letters = open_dead_letters(options.dead_letters)
    check_runner(runner, beam_flags)
    job, source = prepare_upload(options)
    group_by = job.info.plan.group_by
    dead_letters.reach()
    dead_letters.origin = Origin(group_by.name)
    say(f"{group_by.name}: batch values up to the end of {options.ds}, running on {runner}")
    counts = carry_out(
        lambda root: build_upload(root, job, source.transform(job.columns), dead_letters),
        [(group_by.name,)],
        runner,
        beam_flags,
    )[group_by.name]
    say(upload_summary(counts, time.monotonic() - began, options.max_dead))
    if found := _missing(counts) + losses(Totals(counts), options.max_dead, options.allow_unread):
        raise JobFailed(f"{'; '.join(found)}. Readers stay with the batch they have")
    with closing(open_store(options.store)) as store:
        save_batch(store, job.info)
    return Done(group_by, counts)


def _missing(counts: Mapping[str, int]) -> list[str]:
    """A reason to fail if values are neither written nor dead letters; none otherwise."""
    totals = Totals(counts)
    missing = totals[Metric.VALUES] - totals[Metric.WRITTEN] - totals[dead("Write")]
    return [f"{missing:,} values were not written: run the upload again"] if missing > 0 else []


def prepare_upload(options: UploadOptions) -> tuple[Upload, Source]:
    """Load, compile and check an upload; raises as `upload` does."""
    end_ms = options.end_ms
    group_by = load_computable(options.group_by, options.dialect)
    require_all_keys(group_by)
    with closing(reached_store(options.store)) as store:
        refuse_overlap(
            inputs_of(options.group_by, options.source),
            outputs_of(options.store, store, options.dead_letters),
        )
        say(f"{group_by.name}: planning the query with Spark")
        found = planned(group_by, options.source, mutations=False)
        if not found.source.bounded:
            raise UsageError(
                f"--source={options.source}: it never ends, and batch values are made of all of "
                "it: give files"
            )
        info = BatchInfo(found.plan.checked(tiled=False), end_ms)
        store.create(group_by.batch_dataset)
        check_batch(store, info)
        info = begin_upload(store, info)
    return Upload(info, found.query, options.store, found.serde), found.source
