"""`chronon-beam run`: computes the tiles of a GroupBy from events."""

import sys
from argparse import ArgumentParser, Namespace

from chronon_beam.pipeline import options as flags
from chronon_beam.pipeline.command import DONE, Command, next_steps
from chronon_beam.pipeline.metrics_flags import add_metrics, metrics_flags
from chronon_beam.pipeline.run_flags import add_run_flags

_EXAMPLE = """example:
  chronon-beam run --group_by examples/ice_cream/group_by.py \\
      --source file:examples/ice_cream/events.jsonl --store sqlite:features.db

or, for events that never end:
  chronon-beam run --group_by examples/ice_cream/group_by.py --store sqlite:features.db \\
      --source 'kafka://broker:9092/ice_cream?schema=customer_id STRING, ...' --runner=FlinkRunner

Flags that are not listed go to Beam and its runner, for example --streaming."""


def _add_flags(parser: ArgumentParser) -> None:
    add_run_flags(parser)
    add_metrics(parser)


def _run(arguments: Namespace, beam_flags: list[str]) -> int:
    options = flags.job_options(arguments)
    from chronon_beam.pipeline import submit
    from chronon_beam.pipeline.run import run
    from chronon_beam.pipeline.runners import beam_flags as beams

    flags.check_flags(beam_flags, beams.known(arguments.runner))
    if submit.asked(beam_flags):
        if arguments.metrics_port is not None:
            raise flags.UsageError(
                "--metrics_port: a job that is handed over has Beam's metrics alone: leave it out"
            )
        submit.submit(options, arguments.runner, beam_flags)
        return DONE
    done = run(options, arguments.runner, [*beam_flags, *metrics_flags(arguments)])
    if done.has_values:
        print(next_steps(arguments, done.group_by.keys), file=sys.stderr)
    return DONE


COMMAND = Command(
    "compute the tiles of a GroupBy from events",
    _EXAMPLE,
    _add_flags,
    _run,
    takes_beam_flags=True,
)
