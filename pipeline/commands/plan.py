"""`chronon-beam plan`: shows tiles, schemas, cost and warnings."""

import json
from argparse import ArgumentParser, Namespace

from chronon_beam.pipeline import options as flags
from chronon_beam.pipeline.command import DONE, FAILED, Command

_EXAMPLE = """example:
  chronon-beam plan --group_by examples/ice_cream/group_by.py \\
      --source file:examples/ice_cream/events.jsonl

Takes the flags of `run` as well, and warns of those that would harm the job:
  chronon-beam plan --group_by examples/ice_cream/group_by.py \\
      --runner_config flink_cluster --flink_master=jobmanager:8081

With --store, says what becomes of the features that are there; a change that `run` would refuse
ends with exit code 1."""


def _add_flags(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    flags.add_group_by(parser)
    flags.add_source(parser, required=False)
    flags.add_live(parser)
    flags.add_store(parser, required=False)
    flags.add_dead_letters(parser)
    flags.add_losses(parser)
    flags.add_existing(parser)
    flags.add_tiling(parser)
    flags.add_runner(parser)


def _run(arguments: Namespace, beam_flags: list[str]) -> int:
    from chronon_beam.pipeline.closing import closes_by
    from chronon_beam.pipeline.describe import as_text, describe
    from chronon_beam.pipeline.existing import continues
    from chronon_beam.pipeline.prepare import loaded_group_by, planned
    from chronon_beam.pipeline.runners import beam_flags as beams
    from chronon_beam.pipeline.runners.choose import warnings_of
    from chronon_beam.pipeline.takeover import takeover

    flags.check_flags(beam_flags, beams.known(arguments.runner))
    group_by = loaded_group_by(arguments.group_by, arguments.dialect)
    options, source = flags.job_options(arguments), arguments.source
    over = planned(group_by, source, options.layout) if source else None
    found = describe(group_by, over.plan if over else None)
    live = not over.source.bounded if over else None
    found["warnings"] += warnings_of(arguments.runner, beam_flags, live)
    if over:
        tiled = arguments.tiling == "tiled"
        found["closing"] = closes_by(group_by, over.source, options.live, tiled)
        if over.source.inferred is not None:
            found["warnings"].append(over.source.inferred)
        if arguments.store:
            found["store"] = takeover(options, over.plan, continues(beam_flags))
    print(json.dumps(found) if arguments.json else as_text(found))
    return FAILED if found["store"] and found["store"]["refused"] else DONE


COMMAND = Command(
    "show tiles, schemas, cost and warnings",
    _EXAMPLE,
    _add_flags,
    _run,
    takes_beam_flags=True,
    short=True,
)
