"""`chronon-beam run`: computes the tiles of a GroupBy from events."""

import sys
from argparse import ArgumentParser, Namespace

from chronon_beam.pipeline import options as flags
from chronon_beam.pipeline.command import DONE, Command, next_steps
from chronon_beam.pipeline.metrics_flags import add_metrics, metrics_flags
from chronon_beam.pipeline.run_flags import add_run_flags, one_by_one

_EXAMPLE = """example:
  chronon-beam run --group_by examples/ice_cream/group_by.py \\
      --source file:examples/ice_cream/events.jsonl --store sqlite:features.db

or, for events that never end:
  chronon-beam run --group_by examples/ice_cream/group_by.py --store sqlite:features.db \\
      --source 'kafka://broker:9092/ice_cream?schema=customer_id STRING, ...' --runner=FlinkRunner

Several GroupBys run in one job, which reads what they share once:
  chronon-beam run --group_by a.py --group_by b.py --source file:events.jsonl --store ...

Flags that are not listed go to Beam and its runner, for example --streaming."""


def _add_flags(parser: ArgumentParser) -> None:
    add_run_flags(parser, several=True)
    add_metrics(parser)


def _run(arguments: Namespace, beam_flags: list[str]) -> int:
    each = one_by_one(arguments)
    options = [flags.job_options(one) for one in each]
    from chronon_beam.pipeline import submit
    from chronon_beam.pipeline.run import run_together
    from chronon_beam.pipeline.runners import beam_flags as beams

    flags.check_flags(beam_flags, beams.known(arguments.runner))
    if submit.asked(beam_flags):
        if arguments.metrics_port is not None:
            raise flags.UsageError(
                "--metrics_port: a job that is handed over has Beam's metrics alone: leave it out"
            )
        if len(options) > 1:
            raise flags.UsageError("--group_by: a job that is handed over computes one GroupBy")
        submit.submit(options[0], arguments.runner, beam_flags)
        return DONE
    all_flags = [*beam_flags, *metrics_flags(arguments)]
    for one, done in zip(each, run_together(options, arguments.runner, all_flags), strict=True):
        if done.has_values:
            print(next_steps(one, done.group_by.keys), file=sys.stderr)
    return DONE


COMMAND = Command(
    "compute the tiles of a GroupBy from events",
    _EXAMPLE,
    _add_flags,
    _run,
    takes_beam_flags=True,
)
