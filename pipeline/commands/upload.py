"""`chronon-beam upload`: computes the batch values of a GroupBy."""

import sys
from argparse import ArgumentParser, Namespace

from chronon_beam.pipeline import options as flags
from chronon_beam.pipeline.command import DONE, Command, next_steps
from chronon_beam.pipeline.metrics_flags import add_metrics, metrics_flags

_EXAMPLE = """example:
  chronon-beam upload --group_by examples/flights/group_by.py \\
      --source file:examples/flights/flights.jsonl.gz --store sqlite:flights.db --ds 2013-01-02

Every event up to the end of that day (UTC) is in the values; `chronon-beam fetch` merges them with
what `chronon-beam run` has written since. Flags that are not listed go to Beam and its runner."""


def _add_flags(parser: ArgumentParser) -> None:
    flags.add_group_by(parser)
    flags.add_source(parser)
    flags.add_store(parser)
    flags.add_dead_letters(parser)
    flags.add_losses(parser)
    flags.add_day(parser)
    flags.add_runner(parser)
    add_metrics(parser)


def _run(arguments: Namespace, beam_flags: list[str]) -> int:
    from chronon_beam.pipeline.runners import beam_flags as beams
    from chronon_beam.pipeline.upload import UploadOptions, upload

    flags.check_flags(beam_flags, beams.known(arguments.runner))
    given = {name: getattr(arguments, name) for name in UploadOptions.__dataclass_fields__}
    beam_flags = [*beam_flags, *metrics_flags(arguments)]
    done = upload(UploadOptions(**given), arguments.runner, beam_flags)
    if done.has_values:
        print(next_steps(arguments, done.group_by.keys), file=sys.stderr)
    return DONE


COMMAND = Command(
    "compute the batch values of a GroupBy", _EXAMPLE, _add_flags, _run, takes_beam_flags=True
)
