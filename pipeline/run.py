"""Runs a job on a runner, shows its progress, and prints a summary for each of its GroupBys."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult, PipelineState

from chronon_beam.api.group_by import GroupBy
from chronon_beam.io.kv_store import KVStore
from chronon_beam.io.metrics import Numbers
from chronon_beam.io.runs.entry import Entry
from chronon_beam.io.units import Unit
from chronon_beam.pipeline.closing import closes_by
from chronon_beam.pipeline.existing import adding_of, all_opened, continues, entered, notes
from chronon_beam.pipeline.jobs.second import refuse_second
from chronon_beam.pipeline.losses import losses
from chronon_beam.pipeline.metrics import JobCounts
from chronon_beam.pipeline.options import JobOptions
from chronon_beam.pipeline.parts import (
    AskedGroupBy,
    JobPart,
    build_parts,
    readings,
    refuse_together,
)
from chronon_beam.pipeline.prepare import (
    SourceEvents,
    events_of,
    prepare,
    prepare_over,
    reached_store,
    refuse_outputs_that_are_inputs,
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
        """Whether values may be there to look at: not if all events were filtered out or dead."""
        totals = Totals(self.counts)
        return totals.rows > 0 or totals.events == 0


def run(options: JobOptions, runner: str, beam_flags: Sequence[str]) -> Done:
    """Run the job of one GroupBy; see `run_together`."""
    return run_together([options], runner, beam_flags)[0]


def run_together(
    options: Sequence[JobOptions], runner: str, beam_flags: Sequence[str]
) -> list[Done]:
    """Run a job to its end and print a summary to stderr; gives what each GroupBy has computed.

    Args:
        options: the job's flags, for each of its GroupBys; they differ in nothing else.
        runner: Beam's name of the runner.
        beam_flags: the flags for Beam and its runner.

    Raises:
        JobFailed: the job ended in another state than done, or lost more than it may (`losses`).
        GroupByError, QueryError, UsageError: as `streamed_group_by`, `prepare`, `refuse_together`.
        EntryRefused, ChangedFile, DatasetInUse: the run must not enter the dataset, see `entry_of`.
        JobRuns, FlinkUnreachable, FlinkRefused: see `refuse_second`.
    """
    check_runner(runner, beam_flags)
    asked = [AskedGroupBy.of(each) for each in options]
    refuse_together(asked)
    names = sorted(each.group_by.name for each in asked)
    flags = with_job_name(runner, beam_flags, "+".join(names))
    refuse_second(runner, flags)
    with closing(reached_store(options[0].store)) as store:
        entries = entries_of(store, asked, beam_flags)
        busy = [(one, entry) for one, entry in zip(asked, entries, strict=True) if not entry.idle]
        counts: dict[str, Numbers] = {}
        if busy:
            quick_start.start.short = _is_little([unit for _, at in busy for unit in at.run.units])
            counts = _run_entered(store, busy, runner, flags)
    return [Done(each.group_by, counts.get(each.group_by.name, {})) for each in asked]


def entries_of(
    store: KVStore, asked: Sequence[AskedGroupBy], beam_flags: Sequence[str]
) -> list[Entry]:
    """How the GroupBys of a job enter their datasets; prints what that means for earlier runs.

    Raises:
        UsageError: what the job writes is what it reads, or dead letters cannot be written.
        EntryRefused, ChangedFile, DatasetInUse: see `entry_of`.
    """
    for each in asked:
        refuse_outputs_that_are_inputs(each.options, store)
    asked[0].dead_letters.reach()
    entries = [each.entry(store, continues(beam_flags)) for each in asked]
    for each, entry in zip(asked, entries, strict=True):
        for line in notes(entry):
            say(f"{each.group_by.name}: {line}")
    return entries


def part_of(
    store: KVStore, asked: AskedGroupBy, entry: Entry, events: SourceEvents | None = None
) -> JobPart:
    """The part of a job, planned for what its dataset holds; prints what is new of its GroupBy.

    Args:
        store: has the dataset.
        asked: what the user asks for.
        entry: how the GroupBy enters its dataset.
        events: what it reads; None opens the source that the flags name.

    Raises:
        GroupByError, QueryError, UsageError: see `prepare` and `entered`.
    """
    options, group_by = asked.options, asked.group_by
    prepared = prepare_over(options, group_by, events) if events else prepare(options, group_by)
    change = entered(store, entry, prepared.info, options.existing)
    for line in change.notes():
        say(f"{group_by.name}: {line}")
    planned = prepared.over(change.info)
    job = replace(planned.job, adding=adding_of(entry))
    return JobPart(asked, entry, replace(planned, job=job))


def _parts(store: KVStore, busy: Sequence[tuple[AskedGroupBy, Entry]]) -> list[JobPart]:
    """The parts of a job, planned; each source is opened once, so that all know it as the same."""
    events: dict[str, SourceEvents] = {}
    found = []
    for asked, entry in busy:
        say(f"{asked.options.group_by}: planning the query with Spark")
        if asked.uri not in events:
            events[asked.uri] = events_of(asked.uri)
        found.append(part_of(store, asked, entry, events[asked.uri]))
    return found


def _run_entered(
    store: KVStore,
    busy: Sequence[tuple[AskedGroupBy, Entry]],
    runner: str,
    beam_flags: Sequence[str],
) -> dict[str, Numbers]:
    """Run a job that may enter its datasets, and note in their ledgers how it ends; its counts."""
    began = time.monotonic()
    parts = _parts(store, busy)
    bounded = parts[0].source.bounded
    with all_opened(store, [part.pending_run for part in parts]) as begun:
        for line in dict.fromkeys(_beginning(parts, runner)):
            say(line)
        counts = carry_out(
            partial(build_parts, parts=parts),
            [tuple(part.name for part in sharing) for sharing in readings(parts)],
            runner,
            beam_flags,
            buffered=any(part.prepared.job.buffered for part in parts),
            live=not bounded,
            latency=parts[0].asked.options.latency,
        )
        lost: list[str] = []
        for part, opened_run in zip(parts, begun, strict=True):
            found = _end(part, counts[part.name], time.monotonic() - began, len(parts) > 1)
            opened_run.complete = not found
            lost += found
    if lost:
        raise JobFailed("; ".join([*lost, *([_UNFINISHED] if bounded else [])]))
    return counts


def _beginning(parts: Sequence[JobPart], runner: str) -> Iterator[str]:
    """What is said before a job runs."""
    for part in parts:
        if part.prepared.source.inferred is not None:
            yield f"{part.name}: {part.prepared.source.inferred}"
    for sharing in readings(parts):
        names = ", ".join(part.name for part in sharing)
        together = ", with one reading" if len(sharing) > 1 else ""
        yield f"{names}: running on {runner}{together}"
    for part in parts:
        if not part.source.bounded:
            job, live = part.prepared.job, part.asked.options.live
            yield f"{part.name}: {closes_by(part.asked.group_by, part.source, live, job.tiled)}"


def _end(part: JobPart, counts: Numbers, took_s: float, several: bool) -> list[str]:
    """Print the summary of a part; gives the reasons why it counts as failed, if it does."""
    options, label = part.asked.options, f"{part.name}: " if several else ""
    say(f"{label}{summary(counts, took_s, options.max_dead)}")
    lost = losses(Totals(counts), options.max_dead, options.allow_unread)
    return [f"{label}{each}" for each in lost]


def _is_little(units: Sequence[Unit]) -> bool:
    """Whether a run over these files ends before Java's best compiler has paid for itself."""
    return 0 < sum(unit.stop - unit.start for unit in units) <= _LITTLE_BYTES


_LITTLE_BYTES = 32 << 20
"""About 400,000 events as JSON lines. Up to a million or more would gain: docs/performance.md."""

_UNFINISHED = (
    "this run does not count as finished: run it again once that is mended, and it replaces what "
    "was written now"
)


def carry_out(
    build: Callable[[beam.Pipeline], Any],
    names: Sequence[tuple[str, ...]],
    runner: str,
    beam_flags: Sequence[str],
    *,
    buffered: bool = False,
    live: bool = False,
    latency: Latency = LEVELS[DEFAULT],
) -> dict[str, Numbers]:
    """Run a pipeline to its end, with a line of progress; gives its counts by GroupBy.

    Args:
        build: applies the job to the root of a pipeline.
        names: of the GroupBys that the job computes, those together that share a reading.
        runner: Beam's name of the runner.
        beam_flags: what the user gives Beam.
        buffered: see `runner_of`.
        live: see `runner_of`.
        latency: see `runner_of`.

    Raises:
        JobFailed: the job ended in another state than done.
        JobServerFailed, NoJobServerJar: there is no Flink that could run the job.
    """
    counts, group_bys = JobCounts(names), sum(map(len, names))
    with (
        quiet(),
        runner_of(runner, buffered, beam_flags, live, latency) as chosen,
        _metrics_served(chosen.flags),
        ProgressLine(lambda: counts.so_far() if chosen.workers_here else None, group_bys),
    ):
        result = _finished(build, chosen)
        return counts.committed(result) if chosen.counts_all else counts.now()


def _metrics_served(flags: Sequence[str]) -> AbstractContextManager[object]:
    """Serves what this process measures until the context ends, if the flags ask for it."""
    endpoint = endpoint_of(PipelineOptions(flags=list(flags)).get_all_options())
    if endpoint is None:
        return nullcontext()
    served = endpoint.start()
    say(f"Prometheus metrics of this process: {served.url}")
    return served


def _finished(build: Callable[[beam.Pipeline], Any], chosen: Chosen) -> PipelineResult:
    options = PipelineOptions(flags=[*chosen.flags, worker_logs.FLAG, worker_metrics.FLAG])
    pipeline = beam.Pipeline(runner=chosen.runner, options=options)
    build(pipeline)
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
    """What an error means after which this process knows no more of the job, in one line."""
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
