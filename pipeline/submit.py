"""Hands a job that never ends over to a service, which runs it after this process has ended.

Two of Beam's own flags ask for that: `--no_wait_until_finish`, which Dataflow's templates must
give, and `--dry_run`, which does everything except handing over.
"""

from collections.abc import Sequence
from contextlib import closing, nullcontext

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from chronon_beam.pipeline.existing import all_opened
from chronon_beam.pipeline.options import JobOptions, UsageError
from chronon_beam.pipeline.parts import AskedGroupBy, JobPart
from chronon_beam.pipeline.prepare import reached_store
from chronon_beam.pipeline.run import JobFailed, cause_of, entries_of, part_of, say
from chronon_beam.pipeline.runners.quiet import HINT, quiet

NO_WAIT, DRY_RUN = "--no_wait_until_finish", "--dry_run"
RUNNER = "DataflowRunner"
"""The only runner whose jobs need no launcher."""


def asked(beam_flags: Sequence[str]) -> bool:
    """Whether these flags ask for a job that is only handed over."""
    return any(_name(flag) in (NO_WAIT, DRY_RUN) for flag in beam_flags)


def _name(flag: str) -> str:
    return flag.partition("=")[0]


def submit(options: JobOptions, runner: str, beam_flags: Sequence[str]) -> None:
    """Check a job as `run` does, and hand it over; a dry run writes nothing.

    Args:
        options: the job's flags.
        runner: Beam's name of the runner.
        beam_flags: the flags for Beam and its runner.

    Raises:
        UsageError: the job ends by itself, or the runner needs its launcher.
        JobFailed: the service does not take the job.
        Others: as `pipeline.run.run` before a job starts.
    """
    if runner != RUNNER:
        raise UsageError(
            f"{NO_WAIT}, {DRY_RUN}: --runner={runner} needs this process; see {RUNNER}"
        )
    requested = AskedGroupBy.of(options)
    if requested.source.bounded:
        raise UsageError(f"--source={options.source}: it ends: run the job without {NO_WAIT}")
    with closing(reached_store(options.store)) as store:
        (entry,) = entries_of(store, [requested], beam_flags)
        part = part_of(store, requested, entry)
        dry = any(_name(flag) == DRY_RUN for flag in beam_flags)
        with nullcontext() if dry else all_opened(store, [part.pending_run]):
            _hand_over(part, [f"--runner={runner}", *beam_flags])
    say(f"{part.name}: {'would be' if dry else 'is'} handed over to {runner}")


def _hand_over(part: JobPart, flags: Sequence[str]) -> None:
    with quiet():
        try:
            # Beam's own `--dry_run` needs a value.
            valued = [f"{DRY_RUN}=True" if flag == DRY_RUN else flag for flag in flags]
            pipeline = beam.Pipeline(options=PipelineOptions(valued))
            part.build(pipeline)
            pipeline.run()
        except Exception as error:
            raise JobFailed(f"the job is not taken: {cause_of(error)} {HINT}") from error
