"""`chronon-beam plan`: shows tiles, schemas, cost and warnings."""

import json
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from chronon_beam.pipeline import options as flags
from chronon_beam.pipeline.command import DONE, FAILED, Command
from chronon_beam.pipeline.run_flags import one_by_one

if TYPE_CHECKING:
    from chronon_beam.api.group_by import GroupBy
    from chronon_beam.pipeline.describe import Description

_EXAMPLE = """example:
  chronon-beam plan --group_by examples/ice_cream/group_by.py \\
      --source file:examples/ice_cream/events.jsonl

Takes the flags of `run` as well, and warns of those that would harm the job:
  chronon-beam plan --group_by examples/ice_cream/group_by.py \\
      --runner_config flink_cluster --flink_master=jobmanager:8081

With --store, says what would become of the features in the store. Exit code 1: `run` would refuse
the change."""


def _add_flags(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    flags.add_group_by(parser, several=True)
    flags.add_source(parser, required=False)
    flags.add_live(parser)
    flags.add_store(parser, required=False)
    flags.add_dead_letters(parser)
    flags.add_losses(parser)
    flags.add_existing(parser)
    flags.add_tiling(parser)
    flags.add_runner(parser)


def _run(arguments: Namespace, beam_flags: list[str]) -> int:
    from msgspec import to_builtins

    from chronon_beam.api.load import load_computable
    from chronon_beam.pipeline.describe import as_text
    from chronon_beam.pipeline.parts import refuse_group_bys
    from chronon_beam.pipeline.runners import beam_flags as beams

    flags.check_flags(beam_flags, beams.known(arguments.runner))
    each = one_by_one(arguments)
    group_bys = [load_computable(one.group_by, one.dialect) for one in each]
    refuse_group_bys(group_bys)
    plans = [
        _planned(group_by, one, beam_flags) for group_by, one in zip(group_bys, each, strict=True)
    ]
    if arguments.json:
        print("\n".join(json.dumps(to_builtins(found)) for found in plans))
    else:
        print("\n\n".join(map(as_text, plans)))
    refused = any(found.store and found.store.refused for found in plans)
    return FAILED if refused else DONE


def _planned(group_by: "GroupBy", arguments: Namespace, beam_flags: list[str]) -> "Description":
    from msgspec.structs import replace

    from chronon_beam.pipeline.closing import closes_by
    from chronon_beam.pipeline.describe import describe
    from chronon_beam.pipeline.existing import continues
    from chronon_beam.pipeline.prepare import planned
    from chronon_beam.pipeline.runners.choose import warnings_of
    from chronon_beam.pipeline.takeover import takeover

    options, source = flags.job_options(arguments), arguments.source
    over = planned(group_by, source, options.layout) if source else None
    found = describe(group_by, over.plan if over else None)
    live = not over.source.bounded if over else None
    warned = [*found.warnings, *warnings_of(arguments.runner, beam_flags, live)]
    if over is None:
        return replace(found, warnings=warned)
    if over.source.inferred is not None:
        warned.append(over.source.inferred)
    closing = closes_by(group_by, over.source, options.live, arguments.tiling == "tiled")
    kept = takeover(options, over.plan, continues(beam_flags)) if arguments.store else None
    return replace(found, closing=closing, store=kept, warnings=warned)


COMMAND = Command(
    "show tiles, schemas, cost and warnings",
    _EXAMPLE,
    _add_flags,
    _run,
    takes_beam_flags=True,
    short=True,
)
