"""Hands a job that never ends to a service, which runs it when this process has ended.

Beam's own flags ask for it: `--no_wait_until_finish`, as Dataflow's templates must, and
`--dry_run`, which does all but handing over.
"""

from collections.abc import Sequence
from contextlib import closing, nullcontext

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from chronon_beam.io.dead_letters.letter import Origin
from chronon_beam.io.dead_letters.sinks import DeadLetters, open_dead_letters
from chronon_beam.pipeline.existing import (
    continues,
    entry_of,
    notes,
    opened,
)
from chronon_beam.pipeline.job import build
from chronon_beam.pipeline.options import JobOptions, UsageError
from chronon_beam.pipeline.prepare import (
    Prepared,
    reached_store,
    refuse_outputs_that_are_inputs,
    source_of_job,
    streamed_group_by,
)
from chronon_beam.pipeline.run import JobFailed, cause_of, prepare_entered, say
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
    dead_letters = open_dead_letters(options.dead_letters)
    group_by = streamed_group_by(options)
    source = source_of_job(options, group_by)
    if source.bounded:
        raise UsageError(f"--source={options.source}: it ends: run the job without {NO_WAIT}")
    with closing(reached_store(options.store)) as store:
        refuse_outputs_that_are_inputs(options, store)
        dead_letters.reach()
        entry = entry_of(store, group_by, source, options, continues(beam_flags))
        for line in notes(entry):
            say(f"{group_by.name}: {line}")
        prepared = prepare_entered(store, entry, options, group_by)
        dead_letters.origin = Origin(group_by.name, entry.run.id)
        dry = any(_name(flag) == DRY_RUN for flag in beam_flags)
        with nullcontext() if dry else opened(store, entry, prepared.info, prepared.source):
            _hand_over(prepared, dead_letters, [f"--runner={runner}", *beam_flags])
    say(f"{group_by.name}: {'would be' if dry else 'is'} handed over to {runner}")


def _hand_over(prepared: Prepared, dead_letters: DeadLetters, flags: Sequence[str]) -> None:
    with quiet():
        try:
            # Beam's own flag is not a bare one.
            valued = [f"{DRY_RUN}=True" if flag == DRY_RUN else flag for flag in flags]
            pipeline = beam.Pipeline(options=PipelineOptions(valued))
            build(pipeline, prepared.job, prepared.source, dead_letters)
            pipeline.run()
        except Exception as error:
            raise JobFailed(f"the job is not taken: {cause_of(error)} {HINT}") from error
