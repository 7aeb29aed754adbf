"""`chronon-beam trace`: follows each event through the operators."""

from argparse import ArgumentParser, Namespace
from contextlib import ExitStack, closing

from chronon_beam.pipeline import options as flags
from chronon_beam.pipeline.command import DONE, Command
from chronon_beam.pipeline.json_lines import to_json

_EXAMPLE = """example:
  chronon-beam trace --group_by examples/ice_cream/group_by.py \\
      --source file:examples/ice_cream/events.jsonl

Prints one JSON object per row, filtered event and dead letter. Nothing is written to a store."""


def _add_flags(parser: ArgumentParser) -> None:
    flags.add_group_by(parser)
    flags.add_source(parser)
    parser.add_argument(
        "--tiling",
        choices=("tiled", "untiled"),
        default="tiled",
        help="whether the job stores tiles, or the rows as they are (default: %(default)s)",
    )
    parser.add_argument(
        "--store", metavar="URI", help="show what this store holds now for each event's tile, too"
    )


def _run(arguments: Namespace, _: list[str]) -> int:
    from chronon_beam.io.kv_store import open_store
    from chronon_beam.pipeline.overlap import (
        inputs_of,
        outputs_of,
        refuse_overlap,
        standard_output,
    )
    from chronon_beam.pipeline.tracing import Tracer

    tiled = arguments.tiling == "tiled"
    with ExitStack() as opened:
        uri = arguments.store
        store = opened.enter_context(closing(open_store(uri))) if uri else None
        outputs = [*outputs_of(uri, store, None), standard_output()]
        refuse_overlap(inputs_of(arguments.group_by, arguments.source), outputs)
        tracer = Tracer(arguments.group_by, arguments.dialect, arguments.source, tiled, store)
        for line in tracer.lines():
            print(to_json(line))
    return DONE


COMMAND = Command("follow each event through the operators", _EXAMPLE, _add_flags, _run, short=True)
