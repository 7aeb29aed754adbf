"""Runs a prepared job on a runner, shows its progress, and prints a summary."""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult, PipelineState

from chronon_beam.api.group_by import GroupBy
from chronon_beam.io.dead_letters.letter import Origin
from chronon_beam.io.dead_letters.sinks import DeadLetters, open_dead_letters
from chronon_beam.io.kv_store import KVStore
from chronon_beam.io.metrics import Numbers
from chronon_beam.io.runs.entry import Entry
from chronon_beam.io.sources import Source
from chronon_beam.io.units import Unit
from chronon_beam.pipeline.closing import closes_by
from chronon_beam.pipeline.existing import (
    adding_of,
    continues,
    entered,
    entry_of,
    notes,
    opened,
    source_of,
)
from chronon_beam.pipeline.job import Job, build
from chronon_beam.pipeline.jobs.second import refuse_second
from chronon_beam.pipeline.losses import losses
from chronon_beam.pipeline.metrics import JobCounts
from chronon_beam.pipeline.options import JobOptions
from chronon_beam.pipeline.prepare import (
    Prepared,
    prepare,
    reached_store,
    refuse_outputs_that_are_inputs,
    source_of_job,
    streamed_group_by,
)
from chronon_beam.pipeline.progress import ProgressLine
from chronon_beam.pipeline.runners import worker_logs, worker_metrics
from chronon_beam.pipeline.runners.choose import Chosen, check_runner, runner_of, with_job_name
from chronon_beam.pipeline.runners.latency import DEFAULT, LEVELS, Latency
from chronon_beam.pipeline.runners.metrics_endpoint import endpoint_of
from chronon_beam.pipeline.runners.quiet import HINT, quiet
from chronon_beam.pipeline.runners.root_cause import root_cause
from chronon_beam.pipeline.summary import Totals, summary
from chronon_beam.transforms.spark import quick_start


class JobFailed(RuntimeError):
    """The job ended before it was done, or lost data; the message is the cause, for the user."""


@dataclass(frozen=True)
class Done:
    """What a job that is done has computed.

    Attributes:
        group_by: the GroupBy that was computed.
        counts: the job's counts, by the names of `api.counts`.
    """

    group_by: GroupBy
    counts: dict[str, int]

    @property
    def has_values(self) -> bool:
        """Whether there is a value to look at; there is none if all events are filtered or dead."""
        totals = Totals(self.counts)
        return totals.rows > 0 or totals.events == 0


def run(options: JobOptions, runner: str, beam_flags: Sequence[str]) -> Done:
    """Run a job to its end and print a summary to stderr.

    Args:
        options: the job's flags.
        runner: Beam's name of the runner.
        beam_flags: the flags for Beam and its runner.

    Raises:
        JobFailed: the job ended in another state than done, or lost more than it may (`losses`).
        GroupByError, QueryError, UsageError: as `streamed_group_by` and `prepare`.
        EntryRefused, ChangedFile, DatasetInUse: the run must not enter the dataset, see `entry_of`.
        JobRuns, FlinkUnreachable, FlinkRefused: see `refuse_second`.
    """
    check_runner(runner, beam_flags)
    dead_letters = open_dead_letters(options.dead_letters)
    group_by = streamed_group_by(options)
    source = source_of_job(options, group_by)
    flags = with_job_name(runner, beam_flags, group_by.name)
    refuse_second(runner, flags)
    with closing(reached_store(options.store)) as store:
        refuse_outputs_that_are_inputs(options, store)
        dead_letters.reach()
        entry = entry_of(store, group_by, source, options, continues(beam_flags))
        for line in notes(entry):
            say(f"{group_by.name}: {line}")
        if entry.idle:
            return Done(group_by, {})
        quick_start.start.short = _is_little(entry.run.units)
        how = partial(carry_out, runner=runner, beam_flags=flags, latency=options.latency)
        return Done(group_by, _run_entered(store, entry, options, group_by, dead_letters, how))


def prepare_entered(
    store: KVStore, entry: Entry, options: JobOptions, group_by: GroupBy
) -> Prepared:
    """The job as planned for what its dataset holds already; tells what is new of its GroupBy.

    Raises:
        GroupByError, QueryError, UsageError: see `prepare` and `entered`.
    """
    prepared = prepare(options, group_by)
    change = entered(store, entry, prepared.info, options.existing)
    for line in change.notes():
        say(f"{group_by.name}: {line}")
    planned = prepared.over(change.info)
    return replace(planned, job=replace(planned.job, adding=adding_of(entry)))


def _run_entered(
    store: KVStore,
    entry: Entry,
    options: JobOptions,
    group_by: GroupBy,
    dead_letters: DeadLetters,
    how: partial[dict[str, Numbers]],
) -> dict[str, int]:
    """Run a job that may enter its dataset; gives its counts. `how` is `carry_out` on a runner."""
    began = time.monotonic()
    say(f"{options.group_by}: planning the query with Spark")
    prepared = prepare_entered(store, entry, options, group_by)
    job, source = prepared.job, prepared.source
    dead_letters.origin = Origin(group_by.name, entry.run.id)
    if source.inferred is not None:
        say(f"{group_by.name}: {source.inferred}")
    with opened(store, entry, prepared.info, source) as begun:
        say(f"{group_by.name}: running on {how.keywords['runner']}")
        if not source.bounded:
            say(f"{group_by.name}: {closes_by(group_by, source, options.live, job.tiled)}")
        lay = partial(_lay, job=job, source=source_of(source, entry), to=dead_letters)
        named = [group_by.name]
        counts = how(lay, named, buffered=job.buffered, live=not source.bounded)[group_by.name]
        say(summary(counts, time.monotonic() - began, options.max_dead))
        found = losses(Totals(counts), options.max_dead, options.allow_unread)
        begun.complete = not found
    if found:
        raise JobFailed("; ".join([*found, *([_UNFINISHED] if source.bounded else [])]))
    return counts


def _is_little(units: Sequence[Unit]) -> bool:
    """Whether a run over these files ends before Java's best compiler has paid for itself."""
    return 0 < sum(unit.stop - unit.start for unit in units) <= _LITTLE_BYTES


_LITTLE_BYTES = 32 << 20
"""About 400,000 events as JSON lines. Up to a million or more would gain: docs/performance.md."""

_UNFINISHED = (
    "this run does not count as finished: run it again once that is mended, and it replaces what "
    "was written now"
)


def _lay(root: beam.Pipeline, job: Job, source: Source, to: beam.PTransform) -> Any:
    return build(root, job, source, to)


def carry_out(
    lay: Callable[[beam.Pipeline], Any],
    group_bys: Sequence[str],
    runner: str,
    beam_flags: Sequence[str],
    *,
    buffered: bool = False,
    live: bool = False,
    latency: Latency = LEVELS[DEFAULT],
) -> dict[str, Numbers]:
    """Run a pipeline to its end, with a line of progress; gives its counts by GroupBy.

    Args:
        lay: applies the job to the root of a pipeline.
        group_bys: the names of the GroupBys that the job computes.
        runner: Beam's name of the runner.
        beam_flags: what the user gives Beam.
        buffered: see `runner_of`.
        live: see `runner_of`.
        latency: see `runner_of`.

    Raises:
        JobFailed: the job ended in another state than done.
        JobServerFailed, NoJobServerJar: there is no Flink that could run the job.
    """
    counts = JobCounts(group_bys)
    with (
        quiet(),
        runner_of(runner, buffered, beam_flags, live, latency) as chosen,
        _metrics_served(chosen.flags),
        ProgressLine(lambda: counts.so_far() if chosen.workers_here else None),
    ):
        result = _finished(lay, chosen)
        return counts.committed(result) if chosen.counts_all else counts.now()


def _metrics_served(flags: Sequence[str]) -> AbstractContextManager[object]:
    """Serves what this process measures until the context ends, if the flags ask for it."""
    endpoint = endpoint_of(PipelineOptions(flags=list(flags)).get_all_options())
    if endpoint is None:
        return nullcontext()
    served = endpoint.start()
    say(f"Prometheus metrics of this process: {served.url}")
    return served


def _finished(lay: Callable[[beam.Pipeline], Any], chosen: Chosen) -> PipelineResult:
    options = PipelineOptions(flags=[*chosen.flags, worker_logs.FLAG, worker_metrics.FLAG])
    pipeline = beam.Pipeline(runner=chosen.runner, options=options)
    lay(pipeline)
    try:
        result = pipeline.run()
        state = result.wait_until_finish()
    except KeyboardInterrupt:
        if chosen.cluster:
            say(_GOES_ON.format(chosen.cluster))
        raise
    except Exception as error:  # an embedded runner raises whatever a stage has raised
        raise JobFailed(_failure(error, chosen)) from error
    if state not in (PipelineState.DONE, None):
        raise JobFailed(f"the job ended {state}")
    return result


_GOES_ON = (
    "the job goes on on the Flink cluster: chronon-beam jobs list --flink_master={0} shows it, and "
    "chronon-beam jobs stop ends it with a savepoint"
)

_UNKNOWN_JOB = "FlinkJobNotFoundException"
_FORGOTTEN = (
    "the Flink cluster {} does not know the job any more, as when its JobManager was started anew: "
    "go on from the job's last checkpoint with --savepoint_path"
)


def _failure(error: Exception, chosen: Chosen) -> str:
    """What an error means that has ended this process's view of the job, in one line."""
    if isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.UNAVAILABLE:
        after = _GOES_ON.format(chosen.cluster) if chosen.cluster else "all of Flink ran in it"
        return f"the Flink job server, a process of this command, has ended: {after}"
    if chosen.cluster and _UNKNOWN_JOB in str(error):
        return _FORGOTTEN.format(chosen.cluster)
    return f"the job failed: {cause_of(error)} {HINT}"


def cause_of(error: Exception) -> str:
    """What went wrong, in one line: the same for stages in this process and in a runner's."""
    return root_cause(str(error)) or f"{type(error).__name__}: {error}".splitlines()[0]


def say(text: str) -> None:
    """Print to stderr, since stdout is for the results of the command."""
    print(text, file=sys.stderr, flush=True)
