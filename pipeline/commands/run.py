"""`chronon-beam run`: computes the tiles of a GroupBy from events."""

import sys
from argparse import ArgumentParser, Namespace

from chronon_beam.pipeline import options as flags
from chronon_beam.pipeline.command import DONE, Command, next_steps

_EXAMPLE = """example:
  chronon-beam run --group_by examples/ice_cream/group_by.py \\
      --source file:examples/ice_cream/events.jsonl --store sqlite:features.db

or, for events that never end:
  chronon-beam run --group_by examples/ice_cream/group_by.py --store sqlite:features.db \\
      --source 'kafka://broker:9092/ice_cream?schema=customer_id STRING, ...' --runner=FlinkRunner

Flags that are not listed go to Beam and its runner, for example --streaming."""


def _add_flags(parser: ArgumentParser) -> None:
    flags.add_group_by(parser)
    flags.add_source(parser, required=False)
    flags.add_live(parser)
    flags.add_store(parser)
    flags.add_dead_letters(parser)
    flags.add_losses(parser)
    flags.add_existing(parser)
    flags.add_tiling(parser)
    flags.add_runner(parser)


def _run(arguments: Namespace, beam_flags: list[str]) -> int:
    options = flags.job_options(arguments)
    from chronon_beam.pipeline.run import run
    from chronon_beam.pipeline.runners import beam_flags as beams

    flags.check_flags(beam_flags, beams.known(arguments.runner))
    done = run(options, arguments.runner, beam_flags)
    if done.has_values:
        print(next_steps(arguments, done.group_by.keys), file=sys.stderr)
    return DONE


COMMAND = Command(
    "compute the tiles of a GroupBy from events", _EXAMPLE, _add_flags, _run, takes_beam_flags=True
)
