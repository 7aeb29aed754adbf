"""Runs a prepared job on a runner, shows its progress, and prints a summary."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult, PipelineState

from chronon_beam.api.group_by import GroupBy
from chronon_beam.io.dead_letters import open_dead_letters
from chronon_beam.pipeline.job import build
from chronon_beam.pipeline.losses import losses
from chronon_beam.pipeline.metrics import committed, extremes, tallied_since, tally
from chronon_beam.pipeline.options import JobOptions
from chronon_beam.pipeline.prepare import prepare
from chronon_beam.pipeline.progress import ProgressLine
from chronon_beam.pipeline.runners import worker_logs
from chronon_beam.pipeline.runners.choose import Chosen, check_runner, runner_of
from chronon_beam.pipeline.runners.job_server import root_cause
from chronon_beam.pipeline.runners.latency import DEFAULT, LEVELS, Latency
from chronon_beam.pipeline.runners.quiet import HINT, quiet
from chronon_beam.pipeline.summary import Totals, summary


class JobFailed(RuntimeError):
    """The job ended before it was done, or lost data; the message is the cause, for the user."""


@dataclass(frozen=True)
class Done:
    """What a job that is done has computed.

    Attributes:
        group_by: the GroupBy that was computed.
        counts: by the names of `api.counts`.
    """

    group_by: GroupBy
    counts: dict[str, int]

    @property
    def has_values(self) -> bool:
        """Whether there is a value to look at: not where all events are filtered out or dead."""
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
        GroupByError, QueryError, UsageError: as `prepare`.
    """
    began = time.monotonic()
    check_runner(runner, beam_flags)
    say(f"{options.group_by}: planning the query with Spark")
    dead_letters = open_dead_letters(options.dead_letters)
    prepared = prepare(options)
    job, source = prepared.job, prepared.source
    group_by = job.plan.group_by
    say(f"{group_by.name}: running on {runner}")
    counts = carry_out(
        lambda root: build(root, job, source.transform(job.columns), dead_letters),
        runner,
        beam_flags,
        buffered=job.buffered,
        live=not source.bounded,
        latency=options.latency,
    )
    say(summary(counts, time.monotonic() - began, options.max_dead))
    if found := losses(Totals(counts), options.max_dead, options.allow_unread):
        raise JobFailed("; ".join(found))
    return Done(group_by, counts)


def carry_out(
    lay: Callable[[beam.Pipeline], Any],
    runner: str,
    beam_flags: Sequence[str],
    *,
    buffered: bool = False,
    live: bool = False,
    latency: Latency = LEVELS[DEFAULT],
) -> dict[str, int]:
    """Run a pipeline to its end, with a line of progress; gives its counts.

    Raises:
        JobFailed: the job ended in another state than done.
        JobServerFailed, NoJobServerJar: there is no Flink that could run the job.
    """
    before = dict(tally)
    extremes.clear()
    with (
        quiet(),
        runner_of(runner, buffered, beam_flags, live, latency) as chosen,
        ProgressLine(lambda: tallied_since(before) if chosen.workers_here else None),
    ):
        result = _finished(lay, chosen)
        return committed(result, before) if chosen.counts_all else tallied_since(before)


def _finished(lay: Callable[[beam.Pipeline], Any], chosen: Chosen) -> PipelineResult:
    options = PipelineOptions(flags=[*chosen.flags, worker_logs.FLAG])
    pipeline = beam.Pipeline(runner=chosen.runner, options=options)
    lay(pipeline)
    try:
        result = pipeline.run()
        state = result.wait_until_finish()
    except Exception as error:  # the embedded runners raise whatever a stage has raised
        raise JobFailed(f"the job failed: {cause_of(error)} {HINT}") from error
    if state not in (PipelineState.DONE, None):
        raise JobFailed(f"the job ended {state}")
    return result


def cause_of(error: Exception) -> str:
    """What went wrong, in one line: the same for stages in this process and in a runner's."""
    return root_cause(str(error)) or f"{type(error).__name__}: {error}".splitlines()[0]


def say(text: str) -> None:
    """Print to stderr, since stdout is for the results of the command."""
    print(text, file=sys.stderr, flush=True)
